import pytest

from strongroom.artifact.manifest import (
    MAX_ENTRIES,
    MAX_ENTRY_BYTES,
    Entry,
    Manifest,
    require_path,
    require_paths,
)
from strongroom.errors import RejectedError
from strongroom.values import Digest

ONE = Digest.of(b"1")
TWO = Digest.of(b"2")


@pytest.mark.parametrize(
    "path", ["model.onnx", "weights/part-0.bin", "a b/c.d", "modèle.onnx", "日本.txt", ".config"]
)
def test_plain_relative_paths_pass(path: str) -> None:
    assert require_path(path) == path


@pytest.mark.parametrize(
    ("attack", "path"),
    [
        ("empty", ""),
        ("absolute", "/etc/passwd"),
        ("parent", "../model.onnx"),
        ("parent inside", "a/../../b"),
        ("here", "./model.onnx"),
        ("empty segment", "a//b"),
        ("folder", "a/"),
        ("backslash", "a\\..\\b"),
        ("drive", "C:model.onnx"),
        ("alternate stream", "model.onnx:hidden"),
        ("nul", "model.onnx\x00.txt"),
        ("line end", "a\nb"),
        ("unicode line end", "a\u2028b"),
        ("right to left override", "model\u202exnno.exe"),
        ("zero width", "mo\u200bdel.onnx"),
        ("lone surrogate", "a\udc80"),
        ("decomposed", "mode\u0300le.onnx"),
        ("blank at the end", "model.onnx "),
        ("dot at the end", "model.onnx."),
        ("wild card", "*"),
        ("memory address", "*/_ORT_MEM_ADDR_/*"),
        ("too long", "a" * 1025),
        ("too deep", "/".join("a" * 33)),
    ],
)
def test_a_path_that_could_mean_something_else_is_refused(attack: str, path: str) -> None:
    with pytest.raises(RejectedError):
        require_path(path)


@pytest.mark.parametrize(
    ("attack", "paths"),
    [
        ("twice", ["a", "a"]),
        ("case", ["Model.onnx", "model.onnx"]),
        ("full case folding", ["straße", "STRASSE"]),
        ("file and folder", ["a", "a/b"]),
        ("file and folder in another case", ["A", "a/b/c"]),
        ("none", []),
        ("too many", [f"{n}" for n in range(MAX_ENTRIES + 1)]),
    ],
)
def test_paths_that_cannot_live_together_are_refused(attack: str, paths: list[str]) -> None:
    with pytest.raises(RejectedError):
        require_paths(paths)


def test_paths_are_ordered_by_their_utf8_bytes() -> None:
    assert require_paths(["b", "é", "a/z", "Z", "a.b"]) == ("Z", "a.b", "a/z", "b", "é")


def test_the_digest_binds_names_order_sizes_and_contents() -> None:
    manifest = Manifest((Entry("a", 1, ONE), Entry("b", 2, TWO)))
    others = [
        Manifest((Entry("a", 1, ONE), Entry("c", 2, TWO))),
        Manifest((Entry("a", 1, TWO), Entry("b", 2, ONE))),
        Manifest((Entry("a", 2, ONE), Entry("b", 1, TWO))),
        Manifest((Entry("a", 1, ONE),)),
    ]
    assert len({manifest.digest, *(other.digest for other in others)}) == 5


def test_the_digest_is_frozen() -> None:
    """A change here would orphan every approval and statement ever made."""
    manifest = Manifest.of([Entry("b/c.bin", 0, TWO), Entry("a.onnx", 2**40, ONE)])
    assert str(manifest.digest) == "sha256:e2dfd4d93302ea71ad6d00b1a1e5de25ed9253a8dde06e3c81da3617342f460d"


def test_entries_out_of_order_are_refused_and_put_in_order_by_of() -> None:
    entries = (Entry("b", 1, ONE), Entry("a", 1, ONE))
    with pytest.raises(RejectedError, match="order"):
        Manifest(entries)
    assert [entry.path for entry in Manifest.of(entries).entries] == ["a", "b"]


@pytest.mark.parametrize("size", [-1, MAX_ENTRY_BYTES + 1])
def test_sizes_are_bounded(size: int) -> None:
    with pytest.raises(RejectedError):
        Entry("a", size, ONE)
