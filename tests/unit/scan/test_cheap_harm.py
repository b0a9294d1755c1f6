"""A few bytes that cost much: they are refused while they are read, not after."""

import gzip
import json
import pickle
from typing import Any

import pytest

from strongroom.scan.upload import Report, Verdict, scan_upload

DEEP = b"\x80\x04)" + b"\x85" * 3_000_000 + b"."


def _scan(name: str, data: bytes, read: list[int] | None = None) -> Report:
    def read_at(offset: int, size: int) -> bytes:
        if read is not None:
            read.append(offset + size)
        return data[offset : offset + size]

    return scan_upload({name: (read_at, len(data))})


def _rules(report: Report) -> set[str]:
    return {match.rule.id for match in report.matches}


def _count_instructions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from strongroom.scan.pickle_machine import Machine

    seen: list[int] = []
    settle = Machine.settle

    def count(self: Machine) -> None:
        seen.append(self._ops)
        settle(self)

    monkeypatch.setattr(Machine, "settle", count)
    return seen


@pytest.mark.parametrize(
    "nested",
    [DEEP, b"\x80\x04)" + b"\x85\x94" * 10_000 + b".", b"\x80\x04" + b"(" * 3000 + b"t" * 3000 + b"."],
    ids=["tuples", "remembered tuples", "marks"],
)
def test_deep_pickles_end_where_they_become_deep(monkeypatch: pytest.MonkeyPatch, nested: bytes) -> None:
    seen = _count_instructions(monkeypatch)
    assert _rules(_scan("model.pkl", nested)) == {"pickle-bomb"}
    assert max(seen) < 5000


def test_lists_in_lists_end_when_the_first_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _count_instructions(monkeypatch)
    report = _scan("model.pkl", b"\x80\x04" + b"]" * 20_000 + b"a" * 19_999 + b".")
    assert _rules(report) == {"pickle-bomb"}
    assert max(seen) < 22_000


def test_a_deep_beginning_does_not_hide_a_command_in_a_string() -> None:
    hidden = b"\x80\x04)" + b"\x85" * 2000 + b"0cos\nsystem\n(S'true'\ntR."
    report = _scan("model.pkl", pickle.dumps({"weights": hidden}))
    assert "pickle-inside-data" in _rules(report)


def test_objects_that_know_their_parents_are_not_deep() -> None:
    parent: dict[str, Any] = {"children": []}
    for number in range(3000):
        parent["children"].append({"parent": parent, "number": number, "before": None})
    assert _scan("model.pkl", pickle.dumps(parent)).verdict is Verdict.ACCEPTED


def test_a_stream_that_unpacks_to_nothing_but_zeros_is_not_unpacked_far() -> None:
    assert "file-malformed" in _rules(_scan("weights.gz", gzip.compress(bytes(2**25))))
    assert _scan("notes.gz", gzip.compress(b"words\n" * 2**18)).verdict is Verdict.ACCEPTED


def _config(**fields: Any) -> bytes:
    layer = {"class_name": "Dense", "module": "keras.layers", "config": {"name": "dense", **fields}}
    return json.dumps({"class_name": "Sequential", "config": {"layers": [layer]}}).encode()


def _judge(config: bytes) -> set[str]:
    from strongroom.scan.keras_config import judge_keras_config
    from strongroom.scan.place import Place
    from strongroom.scan.scan import Scan

    scan = Scan({}, lambda scan, content: None, lambda scan, text, place: None)  # type: ignore[arg-type, return-value]
    judge_keras_config(scan, json.loads(config), Place("model.keras"))
    return {match.rule.id for match in scan.matches}


@pytest.mark.parametrize(
    "fields",
    [
        {"units": 10**12},
        {"units": 1e12},
        {"units": -(10**12)},
        {"units": 10**400},
        {"filters": 2**32},
        {"kernel_size": [10**10, 1]},
        {"input_dim": 2**30, "output_dim": 2**30},
        {"batch_shape": [None, 2**20, 2**20, 2**20]},
        {"target_shape": [2**30, 2**30]},
    ],
    ids=str,
)
def test_sizes_that_no_layer_has_are_refused(fields: dict[str, Any]) -> None:
    assert _judge(_config(**fields)) == {"keras-huge-shape"}


def test_large_layers_and_seeds_are_not() -> None:
    assert _judge(_config(units=50_000, seed=2**40, input_dim=250_000, output_dim=4096, rate=1e30)) == set()


def test_a_page_of_letters_is_no_text() -> None:
    page = b"%PDF-1.4\n1 0 obj << /OpenAction << /S /JavaScript /JS (app.alert(1)) >> >> endobj\n%%EOF\n"
    report = _scan("card.txt2", page)
    assert report.verdict is Verdict.REFUSED
    assert (
        _scan("NOTES.md", b"The card is a PDF (%PDF- stands in its first bytes).\n").verdict
        is Verdict.ACCEPTED
    )


@pytest.mark.parametrize("name", ["deploy.prototxt", "net.txt"])
def test_a_network_that_imports_python_is_refused(name: str) -> None:
    layer = "layer {\n  name: 'x'\n  type: 'Python'\n  python_param { module: 'os' layer: 'system' }\n}\n"
    assert "caffe-python-layer" in _rules(_scan(name, f"name: 'net'\n{layer}".encode()))
    plain = "layer {\n  name: 'conv1'\n  type: 'Convolution'\n  convolution_param { num_output: 20 }\n}\n"
    assert _scan(name, f"name: 'net'\n{plain}".encode()).verdict is not Verdict.REFUSED
