"""Where a version came from, and what is elsewhere: each has one form, and every other is refused."""

from dataclasses import replace
from typing import Any

import pytest

from strongroom.errors import InvalidError
from strongroom.trust.provenance import MAX_PATTERNS, Provenance
from strongroom.trust.unmanaged import Unmanaged
from strongroom.values import ModelId

COMMIT, DIGEST = "ab" * 20, "sha256:" + "cd" * 32
GIT = Provenance("git", "https://host/repo", COMMIT, "a/b", ("*.onnx",), {"commit_sha256": "ab" * 32})
OTHERS = (
    Provenance("huggingface", "https://hub/org/name", COMMIT),
    Provenance("oci", "registry/repo", DIGEST, facts={"artifact_type": "x/y"}),
)


@pytest.mark.parametrize("one", [GIT, *OTHERS])
def test_round_trip(one: Provenance) -> None:
    assert Provenance.from_json(one.to_json()) == one
    assert one.revision in str(one)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "svn"},
        {"revision": "main"},
        {"revision": COMMIT[:12]},
        {"revision": COMMIT.upper()},
        {"revision": DIGEST},
        {"repository": ""},
        {"repository": "x" * 3000},
        {"path": "a\nb"},
        {"only": ["*"] * (MAX_PATTERNS + 1)},
        {"only": [1]},
        {"only": "*"},
        {"facts": {"color": "red"}},
        {"facts": {"lfs_files": 3}},
        {"facts": {"lfs_files": "x" * 300}},
        {"more": ""},
    ],
)
def test_every_other_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        Provenance.from_json({**GIT.to_json(), **change})


@pytest.mark.parametrize("name", list(GIT.to_json()))
def test_missing_field(name: str) -> None:
    value = GIT.to_json()
    del value[name]
    with pytest.raises(InvalidError):
        Provenance.from_json(value)
    with pytest.raises(InvalidError):
        Provenance.from_json([value])


ENTRY = Unmanaged(ModelId.parse("fraud@1.0.0"), "risk", "pkl", "s3://a", DIGEST, "numpy", "old")


def test_unmanaged_round_trip() -> None:
    assert Unmanaged.from_json(ENTRY.to_json()) == ENTRY


@pytest.mark.parametrize(
    "change",
    [
        {"model": "fraud"},
        {"model": "fraud@01.0.0"},
        {"owner": ""},
        {"owner": 1},
        {"owner": "a\tb"},
        {"digest": "sha256:AB"},
        {"note": "x" * 501},
        {"more": ""},
    ],
)
def test_unmanaged_in_every_other_form(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        Unmanaged.from_json({**ENTRY.to_json(), **change})
    with pytest.raises(InvalidError):
        Unmanaged.from_json([])
    with pytest.raises(InvalidError):
        replace(ENTRY, location="x" * 2000)
