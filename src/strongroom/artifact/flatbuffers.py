"""Read FlatBuffers by structure, every offset within bounds. https://flatbuffers.dev/internals/"""

from dataclasses import dataclass
from struct import Struct

from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

MAX_TABLES = 4_000_000
MAX_SLOTS = 64
MAX_TEXT_BYTES = 64 * 1024
MAX_NUMBERS = 1_000_000
"""Of a vector that is read, not only measured."""

_WINDOW_BYTES = 64 * 1024
_I32, _VTABLE = Struct("<i"), Struct("<HH")


class FlatFile:
    """Bytes from anywhere within a file. Remembers how far it was needed."""

    def __init__(self, read_at: ReadAt, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.end = 0
        """Behind the last byte that belongs to the structure."""
        self._read_at = read_at
        self._start, self._window = 0, b""
        self._tables_left = MAX_TABLES

    def read(self, at: int, size: int) -> bytes:
        self.require(at, size)
        offset = at - self._start
        if not 0 <= offset <= len(self._window) - size:
            self._start = max(0, at - _WINDOW_BYTES // 4)
            self._window = self._read_at(self._start, max(_WINDOW_BYTES, size + at - self._start))
            offset = at - self._start
            if len(self._window) < offset + size:
                raise RejectedError("the file is cut")
        return self._window[offset : offset + size]

    def require(self, at: int, size: int) -> None:
        if at < 0 or size > self.size_bytes - at:
            raise RejectedError("an offset leads out of the file")
        self.end = max(self.end, at + size)

    def number(self, at: int, size: int) -> int:
        return int.from_bytes(self.read(at, size), "little")

    def table(self, at: int) -> "Table":
        self._tables_left -= 1
        if self._tables_left < 0:
            raise RejectedError(f"more than {MAX_TABLES} tables")
        vtable = at - int(_I32.unpack(self.read(at, 4))[0])
        vtable_bytes, table_bytes = _VTABLE.unpack(self.read(vtable, 4))
        count = (vtable_bytes - 4) // 2
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4 or count > MAX_SLOTS:
            raise RejectedError("a table is malformed")
        self.require(at, table_bytes)
        data = self.read(vtable + 4, 2 * count)
        slots = tuple(int.from_bytes(data[i : i + 2], "little") for i in range(0, 2 * count, 2))
        if any(slot and not 4 <= slot < table_bytes for slot in slots):
            raise RejectedError("a field lies outside its table")
        return Table(self, at, slots, table_bytes)

    def root(self) -> "Table":
        return self.table(self.number(0, 4))


@dataclass(frozen=True, slots=True)
class Table:
    file: FlatFile
    at: int
    slots: tuple[int, ...]
    size_bytes: int

    def require_known(self, fields: int) -> None:
        """Raises RejectedError for fields beyond those that a schema has."""
        if any(self.slots[fields:]):
            raise RejectedError("a table has fields that are not known")

    def has(self, field: int) -> bool:
        return field < len(self.slots) and self.slots[field] != 0

    def number(self, field: int, size: int, default: int = 0) -> int:
        if not self.has(field):
            return default
        if self.slots[field] + size > self.size_bytes:
            raise RejectedError("a field lies outside its table")
        return self.file.number(self.at + self.slots[field], size)

    def signed(self, field: int, size: int, default: int = 0) -> int:
        value = self.number(field, size, default)
        return value - (1 << 8 * size) if value >= 1 << (8 * size - 1) else value

    def offset(self, field: int) -> int | None:
        if not self.has(field):
            return None
        distance = self.number(field, 4)
        if not distance:
            raise RejectedError("an offset leads to itself")
        return self.at + self.slots[field] + distance

    def table(self, field: int) -> "Table | None":
        at = self.offset(field)
        return None if at is None else self.file.table(at)

    def vector(self, field: int, element_bytes: int) -> tuple[int, int]:
        """Where the elements of a vector lie, and how many there are."""
        at = self.offset(field)
        if at is None:
            return 0, 0
        count = self.file.number(at, 4)
        self.file.require(at + 4, count * element_bytes)
        return at + 4, count

    def tables(self, field: int) -> list["Table"]:
        at, count = self.vector(field, 4)
        if count > MAX_NUMBERS:
            raise RejectedError("a vector has more elements than any model needs")
        starts = range(at, at + 4 * count, 4)
        return [self.file.table(start + self.file.number(start, 4)) for start in starts]

    def integers(self, field: int) -> list[int]:
        """The elements of a vector of int32."""
        at, count = self.vector(field, 4)
        if count > MAX_NUMBERS:
            raise RejectedError("a vector has more elements than any model needs")
        return list(Struct(f"<{count}i").unpack(self.file.read(at, 4 * count))) if count else []

    def data(self, field: int, limit: int) -> bytes:
        at, count = self.vector(field, 1)
        if count > limit:
            raise RejectedError(f"a value of {count} bytes, more than {limit}")
        return self.file.read(at, count) if count else b""

    def text(self, field: int) -> str:
        data = self.data(field, MAX_TEXT_BYTES)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise RejectedError(f"text {shorten(data)} is not UTF-8") from None
