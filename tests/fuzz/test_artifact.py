"""Parsers and unsealing on arbitrary bytes: refused or read, never a crash, never without end."""

from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from strongroom.artifact.formats import detect_format
from strongroom.artifact.gguf import read_gguf
from strongroom.artifact.inspect import inspect
from strongroom.artifact.manifest import require_path, require_paths
from strongroom.artifact.onnx import read_onnx
from strongroom.artifact.safetensors import read_safetensors
from strongroom.artifact.sealed import CHUNK_BYTES, HEADER_BYTES, Header
from strongroom.artifact.stream import verify_root
from strongroom.errors import RejectedError
from tests import models
from tests.unit.artifact import wire
from tests.unit.artifact.objects import Octets, Sealed, make_sealed
from tests.unit.artifact.test_formats import safetensors
from tests.unit.artifact.test_weights import gguf

SEEDS = [
    models.linear().onnx,
    models.classifier_with_zipmap().onnx,
    models.external_data().onnx,
    wire.model(wire.graph(wire.floats(4), wire.external("v", location="w"))),
    gguf(),
    safetensors(),
]
SMALL, TWO = make_sealed(100), make_sealed(CHUNK_BYTES + 50)


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One of the seeds with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 12))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + size] = draw(st.binary(min_size=size, max_size=size))
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size]
            case _:
                data[at:at] = draw(st.binary(max_size=12))
    return bytes(data)


ANY = st.one_of(st.binary(max_size=300), mutated(SEEDS))


@given(ANY)
@settings(max_examples=300)
def test_readers_of_models_only_ever_refuse(data: bytes) -> None:
    source = Octets(data).read_at
    for read in (read_onnx, read_safetensors, read_gguf, detect_format):
        with suppress(RejectedError):
            read(source, len(data), "model")


@given(ANY, st.sampled_from(["model.onnx", "w.safetensors", "w.gguf", "x.json", "x"]))
@settings(max_examples=200)
def test_inspection_only_ever_refuses(data: bytes, path: str) -> None:
    with suppress(RejectedError):
        found = inspect({path: (Octets(data).read_at, len(data))})
        assert found.summary()["format"] in ("onnx", "safetensors", "gguf")


@given(mutated(SEEDS), st.integers(0, 400))
def test_a_source_shorter_than_it_says_is_refused_or_read(data: bytes, more: int) -> None:
    for read in (read_onnx, read_safetensors, read_gguf):
        with suppress(RejectedError):
            read(Octets(data).read_at, len(data) + more, "model")


@given(st.binary(max_size=HEADER_BYTES + 10))
@example(SMALL.content[:HEADER_BYTES])
def test_header_bytes_parse_to_themselves_or_not_at_all(data: bytes) -> None:
    with suppress(RejectedError):
        assert Header.parse(data).to_bytes() == data


@given(mutated([SMALL.content[:HEADER_BYTES]]))
def test_a_mutated_header_parses_to_itself_or_not_at_all(data: bytes) -> None:
    with suppress(RejectedError):
        assert Header.parse(data).to_bytes() == data


@given(mutated([SMALL.content, TWO.content]), st.sampled_from([SMALL, TWO]))
@settings(max_examples=150)
def test_a_mutated_object_unseals_only_if_it_is_the_object(data: bytes, made: Sealed) -> None:
    attacked = Sealed(data, made.entry, made.plain)
    try:
        plain = attacked.open()
    except RejectedError:
        assert data != made.content
        return
    assert (data, plain) == (made.content, made.plain)


@given(st.binary(max_size=200), st.integers(0, 2**63))
def test_arbitrary_bytes_have_no_root(data: bytes, size: int) -> None:
    try:
        verify_root(Octets(data).read_into, SMALL.entry, size)
    except RejectedError:
        return
    raise AssertionError("bytes that are no sealed object were accepted")


@given(st.text(max_size=60))
def test_a_path_that_passes_stays_below_its_folder(path: str) -> None:
    with suppress(RejectedError):
        segments = require_path(path).split("/")
        assert not {"", ".", ".."} & set(segments)
        assert path.isprintable() or " " in path


@given(st.lists(st.text("aAé/.", max_size=6), max_size=8))
def test_paths_that_pass_are_apart_on_every_file_system(paths: list[str]) -> None:
    with suppress(RejectedError):
        found: Any = require_paths(paths)
        assert len({path.casefold() for path in found}) == len(paths)
