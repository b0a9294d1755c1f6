"""Frames between two processes that do not trust each other: what goes in comes out, and lies are refused."""

import struct
from typing import Any

import numpy as np
import pytest

from strongroom.errors import InvalidError, RejectedError
from strongroom.serve import frames
from strongroom.serve.frames import (
    BFLOAT16,
    DTYPES,
    Answer,
    Batch,
    Failure,
    FrameReader,
    encode_answer,
    encode_batch,
    encode_failure,
)

HEADER = 24
X = np.array([[1.5, -2.0]], np.float32)


def sample(name: str) -> Any:
    if name == "BOOL":
        return np.array([[True, False, True]])
    if name == "BYTES":
        return np.array([[b"", b"a", b"\x00\xff" * 9]], object)
    if name == "BF16":
        return np.arange(6, dtype=np.uint16).reshape(2, 3).view(BFLOAT16)
    return np.arange(6).reshape(2, 3).astype(DTYPES[name])


EVERY_TYPE = [(name, sample(name)) for name in DTYPES]


def joined(parts: list[Any]) -> bytes:
    return b"".join(parts)


def read(data: bytes, limit: int = frames.MAX_FRAME_BYTES) -> list[Any]:
    return list(FrameReader(limit).feed(data))


def patched(data: bytes, at: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


@pytest.mark.parametrize("step", [1, 5, 24, 33, 4096, 2**20])
def test_every_type_survives_in_pieces_of_any_size(step: int) -> None:
    stream = joined(encode_batch(7, 250, EVERY_TYPE)) + joined(encode_answer(8, EVERY_TYPE))
    reader = FrameReader()
    got = [frame for at in range(0, len(stream), step) for frame in reader.feed(stream[at : at + step])]
    batch, answer = got
    assert isinstance(batch, Batch)
    assert isinstance(answer, Answer)
    assert (batch.number, batch.deadline_ms, answer.number) == (7, 250, 8)
    for tensors in (batch.inputs, answer.outputs):
        assert list(tensors) == list(DTYPES)
        for name, array in EVERY_TYPE:
            assert tensors[name].dtype == array.dtype
            assert tensors[name].shape == array.shape
            assert (tensors[name] == array).all()


@pytest.mark.parametrize(
    "array",
    [
        np.float32(3) * np.ones(()),
        np.zeros((0, 4), np.float32),
        np.zeros((3, 0), object),
        np.arange(12, dtype=np.int64).reshape(3, 4).T,
        np.arange(12, dtype=np.int64)[::-2],
        np.random.default_rng(1).standard_normal((300, 100)),
        np.full((2,) * 16, 1, np.int8),
    ],
    ids=["scalar", "no rows", "no strings", "transposed", "strided", "large", "sixteen dimensions"],
)
def test_every_shape_survives(array: Any) -> None:
    (batch,) = read(joined(encode_batch(1, 0, [("x", array)])))
    assert batch.inputs["x"].shape == array.shape
    assert (batch.inputs["x"] == array).all()


def test_a_large_tensor_is_sent_from_where_it_lies() -> None:
    array = np.ones(100_000)
    parts = encode_batch(1, 0, [("x", array)])
    assert any(np.shares_memory(np.frombuffer(part, np.uint8), array) for part in parts)


def test_small_frames_are_one_buffer() -> None:
    assert len(encode_batch(1, 0, EVERY_TYPE)) == 1


def test_arrays_are_views_of_what_was_received_and_aligned() -> None:
    data = joined(encode_batch(1, 0, [("name", X), ("another", np.ones(3)), ("y", np.ones((2, 2), np.int8))]))
    whole = np.frombuffer(bytearray(data), np.uint8)
    (batch,) = FrameReader().feed(memoryview(whole))
    for array in batch.inputs.values():
        assert np.shares_memory(array, whole)
        assert (array.ctypes.data - whole.ctypes.data) % 16 == 0


def test_no_tensors_at_all() -> None:
    assert read(joined(encode_batch(2**64 - 1, 2**32 - 1, []))) == [Batch(2**64 - 1, 2**32 - 1, {})]


@pytest.mark.parametrize("family", ["error", "invalid", "denied", "rejected", "outage"])
def test_failures_survive(family: str) -> None:
    assert read(joined(encode_failure(3, family, "no: é"))) == [Failure(3, family, "no: é")]


def test_a_failure_of_an_unknown_family_is_a_fault_and_a_long_message_is_cut_between_characters() -> None:
    (failure,) = read(joined(encode_failure(3, "panic", "é" * 600)))
    assert failure == Failure(3, "error", "é" * 256)


@pytest.mark.parametrize(
    "tensors",
    [
        [("x", np.array(["text"]))],
        [("x", np.array([1], "datetime64[s]"))],
        [("x", np.ones(1, np.complex64))],
        [("x", np.ones(1, ">f4"))],
        [("x", np.array(["not bytes"], object))],
        [("x", np.array([None], object))],
        [("", X)],
        [("é" * 129, X)],
        [("x", np.ones((1,) * 17))],
        [(str(n), X) for n in range(frames.MAX_TENSORS + 1)],
    ],
    ids=[
        *("unicode", "time", "complex", "big-endian", "str", "none", "no name", "long name", "rank", "count"),
    ],
)
def test_what_has_no_wire_form_is_refused_by_the_sender(tensors: list[Any]) -> None:
    with pytest.raises(InvalidError):
        encode_batch(1, 0, tensors)


def test_datatype_names_are_the_protocol_s() -> None:
    assert [frames.datatype(array) for _, array in EVERY_TYPE] == list(DTYPES)
    with pytest.raises(InvalidError):
        frames.datatype(np.ones(1, np.complex64))


BATCH = joined(encode_batch(1, 9, [("x", X)]))
TABLE = HEADER
STRINGS = joined(encode_batch(1, 9, [("x", np.array([b"ab", b"c"], object))]))
STRINGS_DATA = len(STRINGS) - 16
TWO = joined(encode_batch(1, 0, [("a", X), ("b", X)]))
FAILURE = joined(encode_failure(1, "invalid", "no"))

LIES = {
    "frame shorter than its header": patched(BATCH, 0, "<I", 16),
    "frame length not aligned": patched(BATCH, 0, "<I", len(BATCH) - 1),
    "frame longer than the limit": patched(BATCH, 0, "<I", frames.MAX_FRAME_BYTES + 16),
    "frame cut by a lying length": patched(BATCH, 0, "<I", len(BATCH) - 16),
    "unknown version": patched(BATCH, 4, "<B", 2),
    "unknown kind": patched(BATCH, 5, "<B", 4),
    "kind zero": patched(BATCH, 5, "<B", 0),
    "more tensors than the table": patched(BATCH, 6, "<H", 2),
    "fewer tensors than the table": patched(BATCH, 6, "<H", 0),
    "too many tensors": patched(BATCH, 6, "<H", frames.MAX_TENSORS + 1),
    "table ends inside the header": patched(BATCH, 8, "<I", HEADER - 1),
    "table ends behind the frame": patched(BATCH, 8, "<I", len(BATCH) + 1),
    "table longer than its entries": patched(BATCH, 8, "<I", 42),
    "unknown type": patched(BATCH, TABLE, "<B", 15),
    "type zero": patched(BATCH, TABLE, "<B", 0),
    "rank beyond the bound": patched(BATCH, TABLE + 1, "<B", 17),
    "rank beyond the table": patched(BATCH, TABLE + 1, "<B", 9),
    "name of no bytes": patched(BATCH, TABLE + 2, "<H", 0),
    "name beyond the table": patched(BATCH, TABLE + 2, "<H", 200),
    "data length short": patched(BATCH, TABLE + 4, "<I", 4),
    "data length long": patched(BATCH, TABLE + 4, "<I", 16),
    "dimensions larger than the data": patched(BATCH, TABLE + 8, "<I", 2),
    "dimensions whose product overflows": patched(
        patched(BATCH, TABLE + 8, "<I", 2**31), TABLE + 12, "<I", 2**31
    ),
    "empty but absurd shape": patched(
        patched(patched(BATCH, TABLE + 4, "<I", 0), TABLE + 8, "<I", 0), TABLE + 12, "<I", 2**32 - 1
    ),
    "name not UTF-8": patched(BATCH, TABLE + 16, "<B", 0xFF),
    "padding not zero before the data": patched(BATCH, TABLE + 17, "<B", 1),
    "padding not zero behind the data": patched(BATCH, len(BATCH) - 1, "<B", 1),
    "two tensors of one name": TWO.replace(b"b", b"a", 1),
    "an answer with a deadline": patched(BATCH, 5, "<B", 2),
    "a string longer than the data": patched(STRINGS, STRINGS_DATA, "<I", 200),
    "a string length that is cut": patched(STRINGS, STRINGS_DATA, "<I", 5),
    "strings that leave bytes over": patched(STRINGS, STRINGS_DATA, "<I", 1),
    "more strings than the data can hold": patched(STRINGS, TABLE + 8, "<I", 2**31 - 1),
    "a boolean that is neither": joined(encode_batch(1, 0, [("x", np.array([True, True]))])).replace(
        b"\1\1" + bytes(14), b"\1\2" + bytes(14)
    ),
    "failure of an unknown family": patched(FAILURE, 6, "<H", 9),
    "failure with a deadline": patched(FAILURE, 12, "<I", 1),
    "failure longer than its text": patched(FAILURE, 8, "<I", HEADER + 9),
    "failure not UTF-8": patched(FAILURE, HEADER, "<B", 0xFF),
    "failure with padding not zero": patched(FAILURE, len(FAILURE) - 1, "<B", 1),
    "failure with a message beyond the bound": patched(
        patched(FAILURE[:HEADER] + b"a" * 520, 0, "<I", 544), 8, "<I", HEADER + 520
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_and_the_channel_is_lost(lie: str) -> None:
    stream = LIES[lie]
    assert stream not in (BATCH, STRINGS, FAILURE, TWO)
    reader = FrameReader()
    with pytest.raises(RejectedError):
        list(reader.feed(stream + BATCH * 3))
    with pytest.raises(RejectedError):
        list(reader.feed(BATCH))


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_when_it_comes_byte_by_byte(lie: str) -> None:
    reader, stream = FrameReader(), LIES[lie] + BATCH * 3
    with pytest.raises(RejectedError):
        for at in range(len(stream)):
            list(reader.feed(stream[at : at + 1]))


def test_a_lie_behind_a_remembered_table_is_refused() -> None:
    """Tables already checked are remembered; what is not in the table is checked every time."""
    reader = FrameReader()
    assert len(list(reader.feed(BATCH + BATCH))) == 2
    with pytest.raises(RejectedError):
        list(reader.feed(LIES["padding not zero behind the data"]))
    strings = FrameReader()
    assert len(list(strings.feed(STRINGS))) == 1
    with pytest.raises(RejectedError):
        list(strings.feed(LIES["a string longer than the data"]))


def test_frames_before_a_lie_are_delivered() -> None:
    got = []
    with pytest.raises(RejectedError):
        for frame in FrameReader().feed(BATCH + LIES["unknown kind"]):
            got.append(frame.number)  # noqa: PERF401 - the loop ends by an exception
    assert got == [1]


def test_the_limit_is_the_reader_s() -> None:
    assert len(read(BATCH, len(BATCH))) == 1
    with pytest.raises(RejectedError):
        read(BATCH, len(BATCH) - 1)


def test_an_over_long_length_is_refused_from_its_first_four_bytes() -> None:
    with pytest.raises(RejectedError):
        list(FrameReader(1024).feed(struct.pack("<I", 2**31)))


def test_tables_remembered_are_bounded() -> None:
    reader = FrameReader()
    for rows in range(1000):
        assert (
            len(list(reader.feed(joined(encode_batch(rows, 0, [("x", np.zeros((rows, 2), np.int8))]))))) == 1
        )
    assert len(reader._parser._plans) <= frames._MAX_PLANS
