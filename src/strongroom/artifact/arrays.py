"""Read the header of a NumPy array file: an honest shape, a dtype without surprises.

numpy/lib/_format_impl.py, "Format Version 1.0" to 3.0; dtype strings as in "The array interface protocol".
"""

import re
from dataclasses import dataclass
from typing import Any

from strongroom.artifact.literals import parse_literal
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

MAX_HEADER_BYTES = 10_000
"""What NumPy itself reads of a file that nobody vouched for."""
MAX_DIMENSIONS = 64
MAX_FIELDS = 4096
MAX_ITEM_BYTES = 2**31 - 1
"""What NumPy itself allows."""

_MAGIC = b"\x93NUMPY"
_OBJECT = re.compile(r"\|?O[48]?")
_SIMPLE = re.compile(
    r"[<>|=]?(?:([biufcSUV])([0-9]{1,9})|[mM]8(?:\[[1-9]?[0-9]{0,5}(?:[YMWDhms]|[munpfa]s)(?:/[0-9]{1,6})?\])?)|\|?\?"
)
_WIDTHS = {"b": {1}, "i": {1, 2, 4, 8}, "u": {1, 2, 4, 8}, "f": {2, 4, 8, 12, 16}, "c": {8, 16, 24, 32}}


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """What an array file says of itself."""

    text: str
    """The header as written: names of fields are people's words."""
    shape: tuple[int, ...]
    item_bytes: int
    has_objects: bool
    """Whether the data is a pickle, whole or in part."""
    data_at: int

    @property
    def data_bytes(self) -> int:
        size = self.item_bytes
        for length in self.shape:
            size *= length
        return size


def read_array_header(read_at: ReadAt, size_bytes: int) -> ArrayHeader:
    """Return the header of a ``.npy`` file. The data is not read.

    Raises:
        RejectedError: not one, an unknown version, a header that is too long or malformed, an unknown dtype,
            a shape whose product no file can hold.
    """
    head = read_at(0, 12)
    version = head[6:8]
    if head[:6] != _MAGIC or version not in (b"\x01\x00", b"\x02\x00", b"\x03\x00") or len(head) < 12:
        raise RejectedError("is no array file of a known version")
    start = 10 if version == b"\x01\x00" else 12
    length = int.from_bytes(head[8:start], "little")
    if length > min(MAX_HEADER_BYTES, size_bytes - start):
        raise RejectedError(f"the header of an array has {length} bytes")
    try:
        text = read_at(start, length).decode("utf-8" if version == b"\x03\x00" else "latin-1")
    except UnicodeDecodeError:
        raise RejectedError("the header of an array is not UTF-8") from None
    fields = parse_literal(text)
    if not isinstance(fields, dict) or fields.keys() != {"descr", "fortran_order", "shape"}:
        raise RejectedError("the header of an array does not have the three fields it should")
    if not isinstance(fields["fortran_order"], bool):
        raise RejectedError("the header of an array has a malformed order")
    item_bytes, has_objects = _measure(fields["descr"])
    return ArrayHeader(text, _shape(fields["shape"]), item_bytes, has_objects, start + length)


def _shape(value: Any) -> tuple[int, ...]:
    is_shape = isinstance(value, tuple) and len(value) <= MAX_DIMENSIONS
    if not is_shape or not all(type(length) is int and 0 <= length < 2**63 for length in value):
        raise RejectedError(f"the shape {shorten(value)} of an array is malformed")
    product = 1
    for length in value:
        product *= length or 1  # as NumPy counts: a length of zero hides no overflow
        if product >= 2**63:
            raise RejectedError(f"the shape {shorten(value)} of an array is larger than any memory")
    return tuple(value)


def _measure(descr: Any) -> tuple[int, bool]:
    """Return the bytes of one element, and whether objects are among them."""
    if isinstance(descr, str):
        return _measure_simple(descr)
    if not isinstance(descr, list) or not 0 < len(descr) <= MAX_FIELDS:
        raise RejectedError(f"the dtype {shorten(descr)} is not known")
    size, has_objects = 0, False
    for field in descr:
        if not isinstance(field, tuple) or len(field) not in (2, 3) or not _is_name(field[0]):
            raise RejectedError(f"the dtype {shorten(descr)} is malformed")
        field_bytes, is_object = _measure(field[1])
        for length in _subshape(field[2:]):
            field_bytes *= length
        size += field_bytes
        has_objects = has_objects or is_object
        if size > MAX_ITEM_BYTES:
            raise RejectedError("an element of an array is larger than NumPy allows")
    return size, has_objects


def _is_name(name: Any) -> bool:
    return isinstance(name, str) or (
        isinstance(name, tuple) and len(name) == 2 and all(isinstance(part, str) for part in name)
    )


def _subshape(rest: tuple[Any, ...]) -> tuple[int, ...]:
    if not rest:
        return ()
    return _shape((rest[0],) if type(rest[0]) is int else rest[0])


def _measure_simple(descr: str) -> tuple[int, bool]:
    if _OBJECT.fullmatch(descr):
        return 8, True
    match = _SIMPLE.fullmatch(descr)
    if match is None:
        raise RejectedError(f"the dtype {shorten(descr)} is not known")
    kind, width = match[1], int(match[2] or 8)
    if kind in _WIDTHS and width not in _WIDTHS[kind]:
        raise RejectedError(f"the dtype {shorten(descr)} is not known")
    if descr.endswith("?"):
        return 1, False
    return width * (4 if kind == "U" else 1), False
