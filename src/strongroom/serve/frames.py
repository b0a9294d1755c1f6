"""The data frames between gateway and worker: one batch of tensors out, one answer or failure back.

Length-prefixed on a stream socket, little-endian, every count and size bounded before anything is
allocated. Tensor data is 16-byte aligned within a frame, so arrays are views of what was received. Neither
side trusts the other: a frame that is not exactly as docs/formats/wire-frames.md says ends the channel.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from strongroom.errors import InvalidError, RejectedError

MAX_FRAME_BYTES = 256 * 2**20
"""What a reader accepts unless told less; the length field itself ends at 4 GiB."""
MAX_ANSWER_BYTES = 64 * 2**20
"""What a gateway takes from a worker in one frame, and what a worker sends."""
MAX_STRINGS = 2**16
"""In one tensor: each is an object of its own on both sides."""
MAX_TENSORS = 1024
MAX_RANK = 16
MAX_DIMENSION = 2**31 - 1
MAX_ELEMENTS = 2**31 - 1
MAX_NAME_BYTES = 256
MAX_MESSAGE_BYTES = 512

Array = np.ndarray[Any, np.dtype[Any]]
Octets = bytes | bytearray | memoryview

BFLOAT16 = np.dtype([("bf16", "<u2")])
"""How BF16 travels as numpy, which has no such type: the raw 16 bits, told apart from UINT16."""

# Open Inference Protocol 2 names, in the order of their codes on the wire (the first is 1).
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BF16": BFLOAT16,
    "BYTES": np.dtype(np.object_),
}
_CODES = {dtype: code for code, dtype in enumerate(DTYPES.values(), start=1)}
_BY_CODE = dict(enumerate(DTYPES.values(), start=1))
_BOOL, _OBJECT = DTYPES["BOOL"], DTYPES["BYTES"]
_BYTES_CODE = _CODES[_OBJECT]

_VERSION = 1
_BATCH, _ANSWER, _FAILURE = 1, 2, 3
_FAMILIES = ("error", "invalid", "denied", "rejected", "outage")

_HEADER = struct.Struct("<IBBHIIQ")  # frame bytes, version, kind, count, table end, deadline ms, number
_TENSOR = struct.Struct("<BBHI")  # dtype, rank, name bytes, data bytes; then u32 dimensions, then the name
_LENGTH = struct.Struct("<I")
_ALIGNMENT = 16
_ZEROS = bytes(_ALIGNMENT)
_PADDING = [_ZEROS[length:] for length in range(_ALIGNMENT)]
_JOIN_BYTES = 64 * 2**10
"""Below this a frame is sent as one buffer: copying is cheaper than gathering."""
_COPY_BYTES = 4 * 2**10
"""Below this a tensor is copied at once: that is cheaper than a view of it."""
_MAX_PLANS = 256

_Plan = list[tuple[str, np.dtype[Any], tuple[int, ...], int, int]]


@dataclass(slots=True)
class Batch:
    """Rows to run; ``deadline_ms`` is what is left of the wall clock, 0 for none."""

    number: int
    deadline_ms: int
    inputs: dict[str, Array]


@dataclass(slots=True)
class Answer:
    number: int
    outputs: dict[str, Array]


@dataclass(slots=True)
class Failure:
    """The batch ``number`` failed; ``family`` is that of a `StrongroomError`, or ``error`` for a fault."""

    number: int
    family: str
    message: str


Frame = Batch | Answer | Failure


def datatype(array: Array) -> str:
    """Return the Open Inference Protocol name of the array's type. Raises InvalidError if it has none."""
    return _NAMES[_code(array)]


_NAMES = dict(enumerate(DTYPES, start=1))


def encode_batch(number: int, deadline_ms: int, inputs: Sequence[tuple[str, Array]]) -> list[Octets]:
    """Return the buffers of one batch frame, for `socket.sendmsg`; they share memory with large inputs.

    Raises:
        InvalidError: a tensor has no form on the wire, or the frame would pass 4 GiB.
    """
    return _encode(_BATCH, number, deadline_ms, inputs)


def encode_answer(number: int, outputs: Sequence[tuple[str, Array]]) -> list[Octets]:
    """Return the buffers of the answer to batch ``number``; see `encode_batch`."""
    return _encode(_ANSWER, number, 0, outputs)


def encode_failure(number: int, family: str, message: str) -> list[Octets]:
    """Return the buffers that tell batch ``number`` failed; an unknown family travels as ``error``."""
    text = message.encode("utf-8", "replace")[:MAX_MESSAGE_BYTES].decode("utf-8", "ignore").encode()
    code = _FAMILIES.index(family) if family in _FAMILIES else 0
    end = _HEADER.size + len(text)
    size = end + -end % _ALIGNMENT
    header = _HEADER.pack(size, _VERSION, _FAILURE, code, end, 0, number)
    return [header + text + _ZEROS[: size - end]]


def _encode(kind: int, number: int, deadline_ms: int, tensors: Sequence[tuple[str, Array]]) -> list[Octets]:
    if len(tensors) > MAX_TENSORS:
        raise InvalidError(f"frame: more than {MAX_TENSORS} tensors")
    shapes: list[tuple[str, int, tuple[int, ...], int]] = []
    body: list[Octets] = []
    for name, array in tensors:
        code = _CODES.get(array.dtype) or _code(array)
        if code == _BYTES_CODE:
            data: Octets = _encode_strings(array)
            length = len(data)
        else:
            length = array.nbytes
            data = array.tobytes() if length <= _COPY_BYTES else _octets(array)
        shapes.append((name, code, array.shape, length))
        body.append(data)
        if length % _ALIGNMENT:
            body.append(_PADDING[length % _ALIGNMENT])
    key = tuple(shapes)
    table = _tables.get(key) or _remember_table(key)
    size, end, entries = table
    head = _HEADER.pack(size, _VERSION, kind, len(shapes), end, deadline_ms, number)
    if size <= _JOIN_BYTES:
        return [b"".join((head, entries, *body))]
    return [head + entries, *(part for part in body if len(part))]


_Shapes = tuple[tuple[str, int, tuple[int, ...], int], ...]
_tables: dict[_Shapes, tuple[int, int, bytes]] = {}
"""Tensor tables written lately, with the frame's size and the table's end: a server repeats few shapes."""


def _remember_table(shapes: _Shapes) -> tuple[int, int, bytes]:
    entries = b"".join(_describe(*shape) for shape in shapes)
    end = _HEADER.size + len(entries)
    entries += _ZEROS[: -end % _ALIGNMENT]
    size = _HEADER.size + len(entries) + sum(shape[3] + -shape[3] % _ALIGNMENT for shape in shapes)
    if size > 0xFFFFFFFF:
        raise InvalidError("frame: larger than 4 GiB")
    if len(_tables) >= _MAX_PLANS:
        _tables.clear()
    _tables[shapes] = (size, end, entries)
    return size, end, entries


def _code(array: Array) -> int:
    code = _CODES.get(array.dtype)
    if code is None:
        raise InvalidError(f"frame: no wire form for arrays of {array.dtype.name}")
    return code


def _describe(name: str, code: int, shape: tuple[int, ...], length: int) -> bytes:
    encoded = name.encode()
    if not 1 <= len(encoded) <= MAX_NAME_BYTES:
        raise InvalidError(f"frame: a tensor name is not 1 to {MAX_NAME_BYTES} bytes")
    _count_elements(shape, InvalidError)
    if length > 0xFFFFFFFF:
        raise InvalidError("frame: larger than 4 GiB")
    rank = len(shape)
    return _TENSOR.pack(code, rank, len(encoded), length) + struct.pack(f"<{rank}I", *shape) + encoded


def _count_elements(shape: tuple[int, ...], error: type[InvalidError] | type[RejectedError]) -> int:
    """Return the number of elements; also bounds shapes that are empty but absurd, like (0, 2**31)."""
    if len(shape) > MAX_RANK or prod(max(1, extent) for extent in shape) > MAX_ELEMENTS:
        raise error("frame: a shape is out of bounds")
    return prod(shape)


def _encode_strings(array: Array) -> bytes:
    parts: list[bytes] = []
    if array.size > MAX_STRINGS:
        raise InvalidError(f"frame: more than {MAX_STRINGS} strings")
    for element in array.ravel().tolist():
        if not isinstance(element, bytes):
            raise InvalidError("frame: a BYTES array holds something that is not bytes")
        parts += (_LENGTH.pack(len(element)), element)
    return b"".join(parts)


def _octets(array: Array) -> memoryview:
    """Return a flat byte view, so that a partial send can be resumed at any byte."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


class FrameReader:
    """Takes a stream apart into frames. After a refusal it refuses everything: the channel is lost.

    ``feed`` keeps what it is given: pass immutable bytes, or a buffer that nobody reuses. Arrays of a frame
    are read-only or writable as the buffer behind them is.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._parser = FrameParser(max_frame_bytes)
        self._head = b""
        self._partial: bytearray | None = None
        self._filled = 0

    def feed(self, data: Octets) -> Iterator[Frame]:
        """Yield the frames that ``data`` completes; consume all of them.

        Raises:
            RejectedError: the stream is not a sequence of frames; close the channel.
        """
        view = memoryview(data)
        while len(view):
            if self._partial is not None:
                view = self._fill(self._partial, view)
                if self._filled < len(self._partial):
                    return
                whole, self._partial = memoryview(self._partial), None
                yield self._parser.parse(whole)
                continue
            if self._head:
                missing = _HEADER.size - len(self._head)
                self._head, view = self._head + bytes(view[:missing]), view[missing:]
                if len(self._head) < _HEADER.size:
                    return
                head, self._head = memoryview(self._head), b""
                self._begin(head)
                continue
            if len(view) < _HEADER.size:
                self._parser.size(view)
                self._head = bytes(view)
                return
            size = self._parser.size(view)
            if len(view) < size:
                self._begin(view)
                return
            frame, view = view[:size], view[size:]
            yield self._parser.parse(frame)

    def _begin(self, view: memoryview) -> None:
        self._partial, self._filled = bytearray(self._parser.size(view)), 0
        self._fill(self._partial, view)

    def _fill(self, partial: bytearray, view: memoryview) -> memoryview:
        taken = min(len(partial) - self._filled, len(view))
        partial[self._filled : self._filled + taken] = view[:taken]
        self._filled += taken
        return view[taken:]


class FrameParser:
    """Parses whole frames in place; remembers a bounded number of tensor tables already checked."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._plans: dict[tuple[int, int, int, bytes], _Plan] = {}
        self._lost = False

    def size(self, view: memoryview) -> int:
        """Return the size of the frame that begins here; 0 while fewer than 4 bytes tell it."""
        if self._lost:
            raise RejectedError("frame: the channel was lost by an earlier frame")
        if len(view) < _LENGTH.size:
            return 0
        size: int = _LENGTH.unpack_from(view)[0]
        if not _HEADER.size <= size <= self._max or size % _ALIGNMENT:
            raise self._lose("length out of bounds")
        return size

    def parse(self, frame: memoryview) -> Frame:
        """Return the frame; its arrays are views of ``frame``, which is exactly one frame."""
        if self._lost:
            raise RejectedError("frame: the channel was lost by an earlier frame")
        try:
            return self._parse(frame)
        except RejectedError:
            self._lost = True
            raise

    def _parse(self, frame: memoryview) -> Frame:
        size, version, kind, count, end, deadline_ms, number = _HEADER.unpack_from(frame)
        if version != _VERSION or size != len(frame) or not _HEADER.size <= end <= size:
            raise self._lose("header out of bounds")
        if kind == _FAILURE:
            return self._failure(frame, count, end, deadline_ms, number)
        # The padding behind the table is remembered with it, so it needs no look of its own.
        table = bytes(frame[_HEADER.size : end + -end % _ALIGNMENT])
        plan = self._plans.get((size, end, count, table))
        if plan is None:
            plan = self._remember(size, end, count, table)
        tensors = {}
        for name, dtype, shape, at, to in plan:
            if dtype is _OBJECT or dtype is _BOOL or to == at:
                tensors[name] = _tensor(frame, dtype, shape, at, to)
            else:
                tensors[name] = np.ndarray(shape, dtype, frame, at)
            if to % _ALIGNMENT and frame[to : to + -to % _ALIGNMENT] != _PADDING[to % _ALIGNMENT]:
                raise self._lose("padding is not zero")
        if kind == _BATCH:
            return Batch(number, deadline_ms, tensors)
        if kind != _ANSWER or deadline_ms:
            raise self._lose("unknown kind")
        return Answer(number, tensors)

    def _failure(self, frame: memoryview, code: int, end: int, deadline_ms: int, number: int) -> Failure:
        size = end + -end % _ALIGNMENT
        text = bytes(frame[_HEADER.size : end])
        if code >= len(_FAMILIES) or len(text) > MAX_MESSAGE_BYTES or deadline_ms or size != len(frame):
            raise self._lose("malformed failure")
        if frame[end:] != _ZEROS[: size - end]:
            raise self._lose("padding is not zero")
        try:
            return Failure(number, _FAMILIES[code], text.decode())
        except UnicodeDecodeError:
            raise self._lose("failure is not UTF-8") from None

    def _remember(self, size: int, end: int, count: int, table: bytes) -> _Plan:
        if count > MAX_TENSORS:
            raise self._lose("too many tensors")
        length = end - _HEADER.size
        if any(table[length:]):
            raise self._lose("padding is not zero")
        plan = _plan(count, size, table[:length])
        if len(self._plans) >= _MAX_PLANS:
            self._plans.clear()
        self._plans[size, end, count, table] = plan
        return plan

    def _lose(self, reason: str) -> RejectedError:
        self._lost = True
        return RejectedError(f"frame: {reason}")


def _plan(count: int, size: int, table: bytes) -> _Plan:
    """Check a tensor table and lay its tensors out; every offset in the result lies within ``size``."""
    plan: _Plan = []
    names: set[bytes] = set()
    at = _HEADER.size + len(table)
    at += -at % _ALIGNMENT
    cursor = 0
    for _ in range(count):
        name, dtype, shape, length, cursor = _entry(table, cursor)
        if name in names:
            raise RejectedError("frame: two tensors of one name")
        names.add(name)
        try:
            plan.append((name.decode(), dtype, shape, at, at + length))
        except UnicodeDecodeError:
            raise RejectedError("frame: a tensor name is not UTF-8") from None
        at += length + -length % _ALIGNMENT
    if cursor != len(table) or at != size:
        raise RejectedError("frame: table and length disagree")
    return plan


def _entry(table: bytes, cursor: int) -> tuple[bytes, np.dtype[Any], tuple[int, ...], int, int]:
    if len(table) - cursor < _TENSOR.size:
        raise RejectedError("frame: table is cut")
    code, rank, name_bytes, length = _TENSOR.unpack_from(table, cursor)
    cursor += _TENSOR.size
    dtype = _BY_CODE.get(code)
    if dtype is None or rank > MAX_RANK or not 1 <= name_bytes <= MAX_NAME_BYTES:
        raise RejectedError("frame: unknown type, or rank or name out of bounds")
    if len(table) - cursor < 4 * rank + name_bytes:
        raise RejectedError("frame: table is cut")
    shape: tuple[int, ...] = struct.unpack_from(f"<{rank}I", table, cursor)
    cursor += 4 * rank + name_bytes
    elements = _count_elements(shape, RejectedError)
    if dtype is _OBJECT and elements > MAX_STRINGS:
        raise RejectedError("frame: too many strings")
    if length < 4 * elements if dtype is _OBJECT else length != elements * dtype.itemsize:
        raise RejectedError("frame: shape and data length disagree")
    return table[cursor - name_bytes : cursor], dtype, shape, length, cursor


def _tensor(frame: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], at: int, to: int) -> Array:
    if dtype is _OBJECT:
        return _decode_strings(frame[at:to], shape)
    array: Array = np.ndarray(shape, dtype, frame, at) if to > at else np.empty(shape, dtype)
    if dtype is _BOOL and to > at and array.view(np.uint8).max() > 1:
        raise RejectedError("frame: a BOOL is neither 0 nor 1")
    return array


def _decode_strings(data: memoryview, shape: tuple[int, ...]) -> Array:
    array = np.empty(prod(shape), _OBJECT)
    cursor = 0
    for index in range(len(array)):
        if len(data) - cursor < _LENGTH.size:
            raise RejectedError("frame: BYTES data is cut")
        end = cursor + _LENGTH.size + _LENGTH.unpack_from(data, cursor)[0]
        if end > len(data):
            raise RejectedError("frame: BYTES data is cut")
        array[index] = bytes(data[cursor + _LENGTH.size : end])
        cursor = end
    if cursor != len(data):
        raise RejectedError("frame: BYTES data is left over")
    return array.reshape(shape)
