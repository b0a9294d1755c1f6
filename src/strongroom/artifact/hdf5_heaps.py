"""Heaps of HDF5: local ones hold names of old groups, global ones texts, fractal ones links and more."""

from strongroom.artifact.hdf5_bytes import UNDEFINED, Cursor, Hdf5Bytes
from strongroom.artifact.hdf5_trees import read_records
from strongroom.errors import RejectedError

MAX_NAME_BYTES = 64 * 1024
MAX_OBJECT_BYTES = 16 * 2**20
"""Of one text or attribute."""
MAX_COLLECTIONS = 65_536
MAX_ROWS = 64
MAX_WIDTH = 1024
_HUGE_TREE = 1


class LocalHeap:
    """Names of an old group, by offset."""

    def __init__(self, file: Hdf5Bytes, address: int) -> None:
        head = Cursor(file.read(address, 32), "a heap of names")
        head.require(b"HEAP\x00\x00\x00\x00")
        self._size = head.number(8)
        head.take(8)
        self._data = file.read(head.number(8), self._size)

    def name(self, offset: int) -> bytes:
        end = self._data.find(b"\0", offset)
        if end < 0 or end - offset > MAX_NAME_BYTES:
            raise RejectedError("a name in a group has no end")
        return self._data[offset:end]


class GlobalHeaps:
    """Values of variable length, by the address of a collection and a number in it."""

    def __init__(self, file: Hdf5Bytes) -> None:
        self._file = file
        self._collections: dict[int, dict[int, tuple[int, int]]] = {}

    def read(self, address: int, index: int, size: int) -> bytes:
        if address not in self._collections:
            if len(self._collections) >= MAX_COLLECTIONS:
                raise RejectedError("more heaps of texts than any model has")
            self._collections[address] = self._collect(address)
        found = self._collections[address].get(index)
        if found is None or found[1] < size or size > MAX_OBJECT_BYTES:
            raise RejectedError("a text does not lie in its heap")
        return self._file.read(found[0], size)

    def _collect(self, address: int) -> dict[int, tuple[int, int]]:
        head = Cursor(self._file.read(address, 16), "a heap of texts")
        head.require(b"GCOL\x01\x00\x00\x00")
        size = head.number(8)
        self._file.require_span(address, size, "a heap of texts")
        objects: dict[int, tuple[int, int]] = {}
        at, end = address + 16, address + size
        while end - at >= 16:
            item = Cursor(self._file.read(at, 16), "a heap of texts")
            index = item.number(2)
            item.take(6)
            length = item.number(8)
            if not index:
                break
            at += 16
            if index in objects or length > end - at:
                raise RejectedError("a heap of texts is malformed")
            objects[index] = (at, length)
            at += -(-length // 8) * 8
        return objects


class FractalHeap:
    """Links or attributes of a large object, by the identifiers that its trees hold."""

    def __init__(self, file: Hdf5Bytes, address: int) -> None:
        self._file, self._address = file, address
        head = file.read(address, 146)  # without filters, which no library writes here unless it is told to
        file.require_checksum(head, "a heap")
        cursor = Cursor(head, "a heap")
        cursor.require(b"FRHP\x00")
        self.id_bytes, filtered = cursor.number(2), cursor.number(2)
        self._is_checked = bool(cursor.number(1) & 2)
        largest_managed = cursor.number(4)
        cursor.take(8)
        self._huge_tree = cursor.number(8)
        cursor.take(80)
        self._width, self._first_bytes = cursor.number(2), cursor.number(8)
        self._largest_direct, self._heap_bits = cursor.number(8), cursor.number(2)
        cursor.take(2)
        self._root, self._root_rows = cursor.number(8), cursor.number(2)
        self._offset_bytes = (self._heap_bits + 7) // 8
        self._length_bytes = min(_length_width(self._largest_direct), _limit_width(largest_managed))
        self._require_sane(filtered)
        self._huge: dict[int, tuple[int, int]] | None = None

    def _require_sane(self, filtered: int) -> None:
        first, largest = self._first_bytes, self._largest_direct
        powers = all(size and not size & (size - 1) for size in (first, largest, self._width))
        if filtered or not powers or not first <= largest <= 2**32 or self._heap_bits > 64:
            raise RejectedError("a heap has filters or sizes that no library writes")
        if self._root_rows > MAX_ROWS or self._width > MAX_WIDTH or not 2 <= self.id_bytes <= 64:
            raise RejectedError("a heap has filters or sizes that no library writes")

    def read(self, identifier: bytes) -> bytes:
        """Return one object."""
        cursor = Cursor(identifier, "an identifier in a heap")
        kind = cursor.number(1)
        if kind & 0xC0:
            raise RejectedError("an identifier in a heap is malformed")
        if kind >> 4 == 0:
            offset, size = cursor.number(self._offset_bytes), cursor.number(self._length_bytes)
            return self._managed(offset, size)
        if kind >> 4 == 1:
            return self._read_huge(cursor.number(min(cursor.left, 8)))
        if kind >> 4 == 2 and self.id_bytes <= 17:
            return cursor.take((kind & 15) + 1)
        raise RejectedError("an identifier in a heap is malformed")

    def _read_huge(self, key: int) -> bytes:
        if self._huge is None:
            self._huge = {}
            for record in read_records(self._file, self._huge_tree, _HUGE_TREE):
                cursor = Cursor(record, "a record of a heap")
                address, size = cursor.number(8), cursor.number(8)
                self._huge[cursor.number(8)] = (address, size)
        address, size = self._huge.get(key, (UNDEFINED, 0))
        return self._file.read(address, size)

    def _managed(self, offset: int, size: int) -> bytes:
        if not self._root_rows:
            return self._in_direct(self._root, 0, self._first_bytes, offset, size)
        return self._in_indirect(self._root, 0, self._root_rows, offset, size)

    def _in_direct(self, address: int, start: int, block_bytes: int, offset: int, size: int) -> bytes:
        """A block of objects; offsets in a heap count from its head."""
        within = offset - start
        if within < 13 + self._offset_bytes or within + size > block_bytes:
            raise RejectedError("an object lies outside its block of a heap")
        head = Cursor(self._file.read(address, 13 + self._offset_bytes), "a block of a heap")
        head.require(b"FHDB\x00" + self._address.to_bytes(8, "little"))
        head.require(start.to_bytes(self._offset_bytes, "little"))
        return self._file.read(address + within, size)

    def _in_indirect(self, address: int, start: int, rows: int, offset: int, size: int) -> bytes:
        """A table of blocks that double in size by row; too large for objects, they are tables again."""
        if address == UNDEFINED or rows > MAX_ROWS:
            raise RejectedError("a block of a heap is missing")
        head_bytes = 13 + self._offset_bytes
        block = self._file.read(address, head_bytes + rows * self._width * 8 + 4)
        self._file.require_checksum(block, "a block of a heap")
        cursor = Cursor(block, "a block of a heap")
        cursor.require(b"FHIB\x00" + self._address.to_bytes(8, "little"))
        cursor.require(start.to_bytes(self._offset_bytes, "little"))
        at = start
        for row in range(rows):
            row_bytes = self._first_bytes << max(0, row - 1)
            if offset >= at + row_bytes * self._width:
                at += row_bytes * self._width
                continue
            column = (offset - at) // row_bytes
            if column < 0:
                break
            child = Cursor(block, "a block of a heap", head_bytes + 8 * (row * self._width + column)).number(
                8
            )
            at += column * row_bytes
            if row_bytes <= self._largest_direct:
                return self._in_direct(child, at, row_bytes, offset, size)
            inner = row_bytes.bit_length() - (self._first_bytes * self._width).bit_length() + 1
            if inner < 1 or inner >= rows:
                break
            return self._in_indirect(child, at, inner, offset, size)
        raise RejectedError("an object lies outside its heap")


def _limit_width(limit: int) -> int:
    return max(1, (limit.bit_length() + 7) // 8)


def _length_width(size: int) -> int:
    """``H5VM_log2_gen`` of a power of two, in bytes (``H5HF_SIZEOF_OFFSET_LEN``)."""
    return max(1, (size.bit_length() - 1 + 7) // 8)
