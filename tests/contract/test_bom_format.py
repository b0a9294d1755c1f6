"""CycloneDX: what is written fits the official schema, says what the bill says, and is the same each time."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.adapters.bom import cyclonedx
from strongroom.adapters.bom.cyclonedx import CycloneDx
from strongroom.errors import RejectedError
from strongroom.scan.advisories import parse_record
from strongroom.scan.bill import BillFile
from strongroom.scan.dependencies import build_dependency
from strongroom.scan.lockfiles import parse_lockfile
from strongroom.scan.vulnerabilities import find_vulnerabilities
from tests.unit.scan.test_differences import BILL
from tests.unit.scan.test_vulnerabilities import osv

FORMAT = CycloneDx()


def built(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(FORMAT.build(replace(BILL, **changes)))
    return document


def test_the_model_and_its_card() -> None:
    document = built()
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    model = document["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "fraud", "1.0.0")
    assert (model["publisher"], model["supplier"]) == ("dora", {"name": "risk"})
    assert model["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert model["modelCard"]["modelParameters"]["inputs"] == [{"format": "x: float32[-1,4]"}]
    properties = {one["name"]: one["value"] for one in model["properties"]}
    assert properties["strongroom:opset:ai.onnx"] == "21"
    assert properties["strongroom:engine"] == "onnxruntime 1.22.0"


def test_files_packages_and_the_graph() -> None:
    files = (BillFile("a/w.bin", 9, "d" * 64), BillFile("model.onnx", 1, "c" * 64))
    hashed = build_dependency("scipy", "1.11", hashes=["e" * 64, "f" * 64])
    document = built(files=files, dependencies=(*BILL.dependencies, hashed, build_dependency("pandas")))
    parts = {one["bom-ref"]: one for one in document["components"]}
    assert parts["file:a/w.bin"]["hashes"] == [{"alg": "SHA-256", "content": "d" * 64}]
    assert parts["pkg:pypi/numpy@2.1.0"]["purl"] == "pkg:pypi/numpy@2.1.0"
    assert len(parts["pkg:pypi/scipy@1.11"]["hashes"]) == 2
    assert "version" not in parts["pkg:pypi/pandas"]
    assert "hashes" not in document["metadata"]["component"]
    graph = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    assert sorted(graph["model:fraud@1.0.0"]) == sorted(parts)


def test_the_same_bill_is_the_same_document() -> None:
    assert FORMAT.build(BILL) == CycloneDx().build(BILL)
    assert built()["serialNumber"] != built(statement="sha256:" + "0" * 64)["serialNumber"]


def test_what_it_writes_can_be_read_as_a_lockfile() -> None:
    found = parse_lockfile(FORMAT.build(BILL), "bom.json").dependencies
    assert ("numpy", "2.1.0") in [(one.name, one.version) for one in found]


def test_known_holes() -> None:
    record = osv(
        {
            "package": {"ecosystem": "PyPI", "name": "numpy"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.2"}]}],
        },
        aliases=["CVE-2026-1"],
        severity=[{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
    )
    known = [one for _, one in parse_record(record).affected]
    holes = find_vulnerabilities(BILL.dependencies, lambda name: known if name == "numpy" else ())
    document = json.loads(FORMAT.build(BILL, holes))
    (hole,) = document["vulnerabilities"]
    assert (hole["id"], hole["ratings"][0]["severity"]) == ("PYSEC-1-1", "critical")
    assert hole["affects"] == [{"ref": "pkg:pypi/numpy@2.1.0"}]
    assert hole["recommendation"] == "use numpy 2.2 or newer"
    assert json.loads(FORMAT.build(BILL, ()))["vulnerabilities"] == []


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_other_peoples_words_leave_it_valid(name: str, producer: str) -> None:
    requires = {"operators": {"ai.onnx": [name]}, "producer": producer}
    document = built(inputs=(f"{name}: float32[1]",), requires=requires)
    assert all(one["value"].isprintable() for one in document["metadata"]["component"]["properties"])


def test_a_document_that_would_not_fit_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cyclonedx, "_model_card", lambda bill: {"surprise": 1})
    with pytest.raises(RejectedError, match=r"does not fit CycloneDX 1\.6"):
        FORMAT.build(BILL)


@pytest.mark.parametrize("version", ["1.2", "1.3", "1.4", "1.5", "1.6", "1.7"])
def test_documents_of_others(version: str) -> None:
    document = {"bomFormat": "CycloneDX", "specVersion": version, "version": 1, "components": []}
    assert FORMAT.require_valid(json.dumps(document).encode())["specVersion"] == version


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"bomFormat": "SPDX", "specVersion": "1.6"}',
        b'{"bomFormat": "CycloneDX", "specVersion": "9.9"}',
        b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "surprise": true}',
        b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "version": 2}',
        b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": "one"}',
        b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "mine"}',
        b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "soup", "name": "x"}]}',
    ],
)
def test_what_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedError):
        FORMAT.require_valid(data)


def test_a_document_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cyclonedx, "MAX_DOCUMENT_BYTES", 10)
    with pytest.raises(RejectedError, match="larger than 10"):
        FORMAT.require_valid(b" " * 11)
