"""What the elements of an HDF5 dataset or attribute are, and how many there are."""

from dataclasses import dataclass
from enum import IntEnum
from math import prod

from strongroom.artifact.hdf5_bytes import Cursor
from strongroom.errors import RejectedError

MAX_RANK = 32
MAX_MEMBERS = 4096
"""Of a compound or an enumeration."""
MAX_NESTING = 8
MAX_ELEMENT_BYTES = 2**31

_UNLIMITED = 2**64 - 1


class Kind(IntEnum):
    """Classes of types; those that no model holds (time) are left out, and so refused."""

    INTEGER = 0
    FLOAT = 1
    STRING = 3
    BITS = 4
    OPAQUE = 5
    COMPOUND = 6
    REFERENCE = 7
    ENUM = 8
    SEQUENCE = 9
    ARRAY = 10


_FIXED_PROPERTIES = {Kind.INTEGER: 4, Kind.FLOAT: 12, Kind.BITS: 4, Kind.STRING: 0, Kind.REFERENCE: 0}
_VERSIONS = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class ElementType:
    kind: Kind
    size_bytes: int
    is_text: bool = False
    """A sequence that is a string."""
    parts: tuple["ElementType", ...] = ()
    """Of a compound; the one of a sequence, an array or an enumeration."""
    tag: bytes = b""
    """What an opaque type says it is."""

    @property
    def is_inline(self) -> bool:
        """Whether all of a value lies where the value is, not in a heap."""
        return self.kind is not Kind.SEQUENCE and all(part.is_inline for part in self.parts)


@dataclass(frozen=True, slots=True)
class Extent:
    """Dimensions; none for a single value."""

    dimensions: tuple[int, ...]
    is_null: bool = False

    @property
    def count(self) -> int:
        return 0 if self.is_null else prod(self.dimensions)


def parse_type(cursor: Cursor, depth: int = 0) -> ElementType:
    """Return the type at the cursor.

    Raises:
        RejectedError: cut, unknown, nested deeper than MAX_NESTING, parts that do not fit the whole.
    """
    if depth > MAX_NESTING:
        raise RejectedError("a type is nested too deeply")
    head, bits, size = cursor.number(1), cursor.number(3), cursor.number(4)
    version, number = head >> 4, head & 15
    if version not in _VERSIONS or number not in tuple(Kind):
        raise RejectedError(f"a type of class {number}, version {version}, is not known")
    kind = Kind(number)
    if not 0 < size <= MAX_ELEMENT_BYTES:
        raise RejectedError(f"elements of {size} bytes")
    if kind in _FIXED_PROPERTIES:
        cursor.take(_FIXED_PROPERTIES[kind])
        return ElementType(kind, size)
    if kind is Kind.OPAQUE:
        return ElementType(kind, size, tag=cursor.take(-(-(bits & 0xFF) // 8) * 8).rstrip(b"\0"))
    if kind is Kind.COMPOUND:
        return ElementType(kind, size, parts=_parse_members(cursor, bits & 0xFFFF, version, size, depth))
    if kind is Kind.ARRAY:
        return _parse_array(cursor, version, size, depth)
    base = parse_type(cursor, depth + 1)
    if kind is Kind.SEQUENCE:
        if bits & 15 not in (0, 1) or size != 16:
            raise RejectedError("a sequence type is malformed")
        return ElementType(kind, size, is_text=bits & 15 == 1, parts=(base,))
    count = bits & 0xFFFF
    if count > MAX_MEMBERS or base.kind is not Kind.INTEGER or base.size_bytes != size:
        raise RejectedError("an enumeration is malformed")
    for _ in range(count):
        cursor.name(padded=version < 3)
    cursor.take(count * size)
    return ElementType(kind, size, parts=(base,))


def parse_extent(cursor: Cursor) -> Extent:
    """Return the dataspace at the cursor; its message may be padded behind it."""
    version, rank, flags = cursor.number(1), cursor.number(1), cursor.number(1)
    if version not in (1, 2) or rank > MAX_RANK or flags & ~1:
        raise RejectedError("a dataspace is malformed")
    if version == 1:
        cursor.take(5)
        shape = 1 if rank else 0
    else:
        shape = cursor.number(1)
    if shape > 2 or (shape != 1 and rank):
        raise RejectedError("a dataspace is malformed")
    dimensions = tuple(cursor.number(8) for _ in range(rank))
    if flags & 1:
        for size in dimensions:
            if size > cursor.number(8):
                raise RejectedError("a dimension is larger than its largest")
    if prod(dimensions) >= 2**63 or _UNLIMITED in dimensions:
        raise RejectedError("the dimensions of a dataset overflow")
    return Extent(dimensions, shape == 2)


def _parse_members(
    cursor: Cursor, count: int, version: int, size: int, depth: int
) -> tuple[ElementType, ...]:
    if not 0 < count <= MAX_MEMBERS:
        raise RejectedError(f"a compound of {count} members")
    parts = []
    offset_bytes = (size.bit_length() + 7) // 8 if version >= 3 else 4
    for _ in range(count):
        cursor.name(padded=version < 3)
        offset, dimensions = cursor.number(offset_bytes), 1
        if version == 1:
            dimensions = _old_dimensions(cursor)
        part = parse_type(cursor, depth + 1)
        if offset + part.size_bytes * dimensions > size:
            raise RejectedError("a member of a compound reaches beyond it")
        parts.append(part)
    return tuple(parts)


def _old_dimensions(cursor: Cursor) -> int:
    """The dimensions of a member in version 1, which later are a type of their own."""
    rank = cursor.number(1)
    cursor.take(11)
    sizes = [cursor.number(4) for _ in range(4)]
    if rank > 4:
        raise RejectedError("a member of a compound has too many dimensions")
    return prod(sizes[:rank])


def _parse_array(cursor: Cursor, version: int, size: int, depth: int) -> ElementType:
    rank = cursor.number(1)
    if not 0 < rank <= MAX_RANK or version < 2:
        raise RejectedError("an array type is malformed")
    if version == 2:
        cursor.take(3)
    count = prod(cursor.number(4) for _ in range(rank))
    if version == 2:
        cursor.take(4 * rank)
    base = parse_type(cursor, depth + 1)
    if count * base.size_bytes != size:
        raise RejectedError("an array type has another size than its elements")
    return ElementType(Kind.ARRAY, size, parts=(base,))
