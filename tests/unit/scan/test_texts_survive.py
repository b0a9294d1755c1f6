"""Whatever lies in a text file, a scan of it ends with a report."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.scan.upload import scan_upload
from tests.unit.scan.looking import source, template_matches
from tests.unit.scan.model_folders import FOLDERS

_WORDS = st.sampled_from(
    [
        *("auto_map", "_target_", "chat_template", "template", "py/object", "lc", "type", "id", "class_name"),
        *("config", "flavors", "model", "vocab", "merges", "cells", "outputs", "data", "metadata", "target"),
        *(
            "params",
            "dependencies",
            "pip",
            "scripts",
            "weight_map",
            "layers",
            "source",
            "args",
            "class",
            "{{ x }}",
        ),
        *(
            "trust_remote_code",
            "tokenizer_class",
            "${oc.env:X}",
            "constructor",
            "Sequential",
            "Lambda",
            "$import x",
        ),
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_WORDS | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)
_NAMES = [
    *("config.json", "model_index.json", "modules.json", "MANIFEST.json", "package.json", "tokenizer.json"),
    *("nb.ipynb", "tokenizer_config.json", "model.safetensors.index.json", "vocab.json", "data.jsonl"),
    *("tasks.json", "configuration.json", "MLmodel", "conda.yaml", "config.cfg"),
]


def _scan(name: str, text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    scan_upload({name: source(data)})


@pytest.mark.parametrize("name", _NAMES)
@given(value=_VALUES)
@settings(max_examples=15, deadline=None)
def test_any_json(name: str, value: Any) -> None:
    _scan(name, json.dumps({"nbformat": 4, "cells": value, "a": value} if name == "nb.ipynb" else value))


_MARKUP = st.lists(
    st.sampled_from(
        [
            *(
                "{{",
                "}}",
                "{%",
                "%}",
                "{#",
                "#}",
                " set ",
                " if ",
                " for ",
                " in ",
                "x",
                "'",
                '"',
                "[",
                "]",
                "(",
                ")",
            ),
            *(
                ".",
                "|",
                "~",
                "+",
                "*",
                "endfor",
                "endif",
                "else",
                "macro m()",
                "endmacro",
                "call m()",
                "endcall",
            ),
            *(
                "namespace(",
                "range(",
                "1",
                "-",
                ",",
                ":",
                "{",
                "}",
                "=",
                "not ",
                "is ",
                "attr(",
                "__class__",
                "loop",
            ),
            *(
                "generation",
                "endgeneration",
                "break",
                "continue",
                "with ",
                "filter upper",
                "do ",
                "block b",
                "\\",
                "\n",
            ),
        ]
    ),
    max_size=30,
).map("".join)


@given(text=_MARKUP)
@settings(max_examples=200, deadline=None)
def test_any_template(text: str) -> None:
    template_matches(text)
    template_matches("{{ " + text + " }}")
    template_matches("{% set x = " + text + " %}{{ x }}")


@pytest.mark.parametrize(
    "name", ["a.yaml", "a.toml", "a.cfg", "requirements.txt", "a.py", "README.md", ".gitattributes"]
)
@given(text=st.text(alphabet="ab:-[]{}&*!|>?%@#'\"=<\\ \n\t,.()~$1é\u202e", max_size=80))
@settings(max_examples=25, deadline=None)
def test_any_text(name: str, text: str) -> None:
    _scan(name, text)


@given(
    file=st.sampled_from([(name, text) for files in FOLDERS.values() for name, text in files.items()]),
    cuts=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 40), st.text(max_size=3)), min_size=1, max_size=4
    ),
)
@settings(max_examples=80, deadline=None)
def test_real_files_cut_and_mixed(file: tuple[str, str], cuts: list[tuple[int, int, str]]) -> None:
    name, text = file
    for at, size, new in cuts:
        at = at % (len(text) + 1)
        text = text[:at] + new + text[at + size :]
    _scan(name, text)
