"""Vocabularies are data: no word of one is a finding; what lies around them is judged."""

import json
from typing import Any

from tests.unit.scan.looking import refused, rules, scan_files
from tests.unit.scan.model_folders import TOKENIZER

TOKEN = "hf_" + "".join(chr(98 + (7 * step) % 24) + "Q3"[step % 2] for step in range(17))


def _tokenizer(**more: Any) -> str:
    return json.dumps({**TOKENIZER, **more})


def test_unigram_vocabulary_passes() -> None:
    words = [["<unk>", 0.0], ["{{ ''.__class__ }}", -1.0], ["#!/bin/sh", -2.0], ["curl | sh", -3.0]] * 200
    model = {"type": "Unigram", "unk_id": 0, "vocab": words}
    assert scan_files({"tokenizer.json": _tokenizer(model=model)}).matches == ()


def test_pairs_of_merges_pass() -> None:
    model = {**TOKENIZER["model"], "merges": [["os", ".system"], ["ev", "al("], ["{{", "x"]] * 100}
    assert scan_files({"tokenizer.json": _tokenizer(model=model)}).matches == ()


def test_vocabulary_in_other_files_passes() -> None:
    words = "\n".join(["import", "os.system(", "{{", "\u202e", "#!", "sk-", "-----BEGIN", "AKIA"] * 50)
    files = {
        "vocab.txt": words,
        "merges.txt": "#version: 0.2\na b\n",
        "bpe.codes": words,
        "qwen.tiktoken": "YWJj 1\n",
    }
    assert scan_files(files).matches == ()


def test_credential_among_the_words_is_found() -> None:
    vocabulary = {**TOKENIZER["model"]["vocab"], TOKEN: 999}
    for name, text in (
        ("tokenizer.json", _tokenizer(model={**TOKENIZER["model"], "vocab": vocabulary})),
        ("vocab.json", json.dumps(vocabulary)),
        ("vocab.txt", f"a\nb\n{TOKEN}\n"),
        ("tokenizer.json", _tokenizer(note=TOKEN)),
    ):
        assert any(rule.startswith("secret-") for rule in rules(scan_files({name: text}).matches)), name


def test_code_beside_the_words_is_refused() -> None:
    assert refused(scan_files({"tokenizer.json": _tokenizer(auto_map={"A": "b.C"})}).matches) == {
        "config-names-code"
    }
    assert refused(scan_files({"vocab.py": "import os\n"}).matches)
    assert refused(scan_files({"vocab.json": json.dumps({"_target_": "os.system"})}).matches)
