"""Attributes of HDF5 objects: small values beside the data, where frameworks keep configuration."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from strongroom.artifact.hdf5_bytes import Cursor
from strongroom.artifact.hdf5_headers import TYPE, Message
from strongroom.artifact.hdf5_heaps import GlobalHeaps
from strongroom.artifact.hdf5_types import ElementType, Extent, Kind, parse_extent
from strongroom.errors import RejectedError, shorten

MAX_VALUES = 1_000_000
"""Texts or bytes taken from one attribute."""

TypeReader = Callable[[Message], ElementType]
"""Reads a type, also one that lies elsewhere."""


@dataclass(frozen=True, slots=True)
class Attribute:
    name: str
    element: ElementType
    extent: Extent
    data: bytes

    def values(self, heaps: GlobalHeaps) -> Iterator[bytes]:
        """Yield each element that holds bytes or text; nothing of numbers.

        Raises:
            RejectedError: a text that does not lie in its heap.
        """
        yield from read_values(self.element, self.extent.count, self.data, heaps)


def read_values(element: ElementType, count: int, data: bytes, heaps: GlobalHeaps) -> Iterator[bytes]:
    """Yield each element of some that holds bytes or text."""
    if count > MAX_VALUES:
        raise RejectedError(f"more than {MAX_VALUES} texts in one place")
    size = element.size_bytes
    if element.kind in (Kind.STRING, Kind.OPAQUE):
        for at in range(0, count * size, size):
            yield data[at : at + size].rstrip(b"\0")
    elif element.kind is Kind.SEQUENCE:
        base = element.parts[0]
        for at in range(0, count * size, size):
            cursor = Cursor(data, "a sequence", at)
            length, address, index = cursor.number(4), cursor.number(8), cursor.number(4)
            if not length or base.kind is Kind.REFERENCE:
                continue
            value = heaps.read(address, index, length * base.size_bytes)
            if element.is_text or base.size_bytes == 1:
                yield value.rstrip(b"\0") if element.is_text else value
            elif not base.is_inline or base.kind is Kind.STRING:
                yield from read_values(base, length, value, heaps)
    elif element.kind is Kind.ARRAY:
        base = element.parts[0]
        yield from read_values(base, count * (size // base.size_bytes), data, heaps)


def read_attribute(data: bytes, type_at: TypeReader) -> Attribute:
    """Return the attribute of a message.

    Raises:
        RejectedError: cut, malformed, a value of another size than its type and dimensions say.
    """
    cursor = Cursor(data, "an attribute")
    version, flags = cursor.number(1), cursor.number(1)
    if version not in (1, 2, 3) or flags & ~1 or (version == 1 and flags):
        raise RejectedError("an attribute is malformed")
    name_bytes, type_bytes, extent_bytes = cursor.number(2), cursor.number(2), cursor.number(2)
    if version == 3:
        cursor.take(1)

    def part(size: int) -> bytes:
        return cursor.take(-(-size // 8) * 8 if version == 1 else size)

    name = _name(part(name_bytes)[:name_bytes])
    element = type_at(Message(TYPE, part(type_bytes), bool(flags & 1)))
    extent = parse_extent(Cursor(part(extent_bytes), "a dataspace"))
    size = extent.count * element.size_bytes
    if size > cursor.left:
        raise RejectedError(f"attribute {shorten(name)} is larger than what is stored of it")
    return Attribute(name, element, extent, cursor.take(size))


def _name(data: bytes) -> str:
    text, end, rest = data.partition(b"\0")
    if not text or not end or rest.strip(b"\0"):
        raise RejectedError("the name of an attribute is malformed")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise RejectedError(f"the name of an attribute, {shorten(text)}, is not text") from None
