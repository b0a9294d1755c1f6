"""Arbitrary bytes into the frame reader: frames or RejectedError, nothing else, and no large allocation."""

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import RejectedError
from strongroom.serve.frames import FrameReader, encode_answer, encode_batch, encode_failure

LIMIT = 2**16
GOOD = (
    b"".join(
        encode_batch(1, 5, [("x", np.ones((2, 3), np.float32)), ("s", np.array([b"a", b"bc"], object))])
    ),
    b"".join(encode_answer(2, [("flag", np.array([True, False])), ("n", np.array(7, np.int64))])),
    b"".join(encode_failure(3, "outage", "out of memory")),
)


def read(data: bytes, step: int) -> int:
    reader = FrameReader(LIMIT)
    try:
        return sum(1 for at in range(0, len(data), step) for _ in reader.feed(data[at : at + step]))
    except RejectedError:
        return 0


@given(st.binary(max_size=512), st.integers(1, 600))
def test_arbitrary_bytes(data: bytes, step: int) -> None:
    read(data, step)


@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(1, 300),
)
def test_a_good_frame_with_changed_bytes(frame: bytes, changes: list[tuple[int, int]], step: int) -> None:
    changed = bytearray(frame)
    for at, value in changes:
        changed[at % len(changed)] = value
    read(bytes(changed), step)


@given(st.sampled_from(GOOD), st.binary(min_size=1, max_size=64), st.integers(0, 200))
def test_a_good_frame_with_bytes_put_in(frame: bytes, extra: bytes, at: int) -> None:
    read(frame[:at] + extra + frame[at:], 64)


@given(st.lists(st.sampled_from(GOOD), max_size=6), st.integers(1, 200))
def test_good_frames_in_any_pieces(stream: list[bytes], step: int) -> None:
    assert read(b"".join(stream), step) == len(stream)


@given(st.binary(min_size=20, max_size=200))
def test_a_lying_header_allocates_no_more_than_the_limit(rest: bytes) -> None:
    tracemalloc.start()
    read(b"\xf0\xff\x00\x00\x01\x01" + rest, 50)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LIMIT
