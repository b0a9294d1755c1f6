"""Read Universal Binary JSON as XGBoost writes it, lengths checked against the file before anything is read.

Draft 12 (ubjson.org) leaves writers a choice of containers; of these XGBoost has three: objects without a
count, arrays with a count, arrays with a type and a count. The others are refused, and so are no-ops.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any

import numpy as np

from strongroom.artifact.json_stream import OnItem, Path
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

MAX_DOCUMENT_BYTES = 2**31
MAX_PIECE_BYTES = 64 * 2**20
"""Of typed arrays in one item of a streamed array, or beside them."""
MAX_PIECE_VALUES = 4_000_000
"""Values outside typed arrays in one such piece: each takes up to 100 bytes of memory."""
MAX_DEPTH = 16
MAX_NAME_BYTES = 4096
MAX_TEXT_BYTES = 16 * 2**20

_WINDOW_BYTES = 256 * 1024
_INTEGERS = {"i": Struct(">b"), "U": Struct(">B"), "I": Struct(">h"), "l": Struct(">i"), "L": Struct(">q")}
_FLOATS = {"d": Struct(">f"), "D": Struct(">d")}
_CONSTANTS = {"T": True, "F": False, "Z": None}
_ARRAYS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}


def read_ubjson_stream(read_at: ReadAt, size_bytes: int, paths: frozenset[Path], on_item: OnItem) -> Any:
    """Return the document; each array at one of ``paths`` is its number of items, which went to ``on_item``.

    Typed arrays are numpy arrays.

    Raises:
        RejectedError: cut, an unknown marker, a name given twice, a count, size or depth beyond its bound.
    """
    if size_bytes > MAX_DOCUMENT_BYTES:
        raise RejectedError(f"larger than {MAX_DOCUMENT_BYTES} bytes")
    reader = _Reader(read_at, size_bytes, paths, on_item)
    value = reader.value((), 0)
    if reader.at != size_bytes:
        raise RejectedError("something follows the UBJSON document")
    return value


class _Reader:
    def __init__(self, read_at: ReadAt, size_bytes: int, paths: frozenset[Path], on_item: OnItem) -> None:
        self._read_at = read_at
        self._size = size_bytes
        self.at = 0
        self._data = b""
        self._start = 0
        self._paths = paths
        self._on_item = on_item
        self._bytes_left = MAX_PIECE_BYTES
        self._values_left = MAX_PIECE_VALUES
        self._containers: dict[str, Callable[[Path, int], Any]] = {"{": self._object, "[": self._array}

    def value(self, path: Path, depth: int) -> Any:
        self._values_left -= 1
        if self._values_left < 0:
            raise RejectedError(f"a piece of UBJSON with more than {MAX_PIECE_VALUES} values")
        marker = self._marker()
        if marker in self._containers:
            if depth >= MAX_DEPTH:
                raise RejectedError(f"UBJSON nested deeper than {MAX_DEPTH}")
            return self._containers[marker](path, depth)
        if marker == "S":
            return self._text(MAX_TEXT_BYTES)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        packed = _INTEGERS.get(marker) or _FLOATS.get(marker)
        if packed is None:
            raise RejectedError(f"UBJSON marker {shorten(marker)} is not known here")
        return packed.unpack(self._take(packed.size))[0]

    def _object(self, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._peek() != "}":
            name = self._text(MAX_NAME_BYTES)
            if name in found:
                raise RejectedError(f"name {shorten(name)} is given twice")
            found[name] = self.value((*path, name), depth + 1)
        self._marker()
        return found

    def _array(self, path: Path, depth: int) -> Any:
        kind = self._marker()
        if kind == "$":
            return self._typed_array()
        if kind != "#":
            raise RejectedError("a UBJSON array without a count")
        count = self._count()
        if count > self._size - self.at:
            raise RejectedError("the file is cut")
        if path in self._paths:
            return self._items(path, count, depth)
        if count > self._values_left:
            raise RejectedError(f"a piece of UBJSON with more than {MAX_PIECE_VALUES} values")
        return [self.value((*path, ""), depth + 1) for _ in range(count)]

    def _items(self, path: Path, count: int, depth: int) -> int:
        kept = self._bytes_left, self._values_left
        for _ in range(count):
            self._bytes_left, self._values_left = MAX_PIECE_BYTES, MAX_PIECE_VALUES
            self._on_item(path, self.value((*path, ""), depth + 1))
        self._bytes_left, self._values_left = kept
        return count

    def _typed_array(self) -> Any:
        kind = _ARRAYS.get(self._marker())
        if kind is None or self._marker() != "#":
            raise RejectedError("a UBJSON array of an unknown type, or without a count")
        dtype = np.dtype(kind)
        size = self._count() * dtype.itemsize
        self._bytes_left -= size
        if size > self._size - self.at or self._bytes_left < 0:
            raise RejectedError(f"a UBJSON array of {size} bytes, more than there are or than is looked at")
        return np.frombuffer(self._take(size), dtype=dtype).astype(dtype.newbyteorder("="))

    def _text(self, limit: int) -> str:
        size = self._count()
        if size > limit:
            raise RejectedError(f"a UBJSON text of {size} bytes, more than {limit}")
        data = self._take(size)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise RejectedError(f"UBJSON text {shorten(data)} is not UTF-8") from None

    def _count(self) -> int:
        packed = _INTEGERS.get(self._marker())
        count = -1 if packed is None else packed.unpack(self._take(packed.size))[0]
        if not isinstance(count, int) or count < 0:
            raise RejectedError("a UBJSON length that is negative or no integer")
        return count

    def _marker(self) -> str:
        return self._take(1).decode("latin-1")

    def _peek(self) -> str:
        marker = self._marker()
        self.at -= 1
        return marker

    def _take(self, size: int) -> bytes:
        start = self.at
        if size > self._size - start:
            raise RejectedError("the file is cut")
        if not self._start <= start <= start + size <= self._start + len(self._data):
            self._data = self._read_at(start, max(size, min(_WINDOW_BYTES, self._size - start)))
            self._start = start
        taken = self._data[start - self._start : start - self._start + size]
        if len(taken) != size:
            raise RejectedError("the file is cut")
        self.at += size
        return taken
