"""The in-memory twin of a blob store, with the same promises."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from threading import Lock

from strongroom.adapters.blobs.names import (
    missing,
    require_name,
    require_prefix,
    require_small,
    taken,
    too_large,
)
from strongroom.errors import InvalidError
from strongroom.ports import BlobReader, BlobStat, BlobWriter


class MemoryBlobStore:
    """Objects in a dict; ``objects`` is open for tests that play the attacker."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._lock = Lock()

    def create(self, name: str, size_hint: int = 0) -> BlobWriter:
        return _Writer(self, require_name(name))

    def put_new(self, name: str, data: bytes) -> None:
        self.add(require_name(name), require_small(name, data))

    def replace(self, name: str, data: bytes) -> None:
        self.objects[require_name(name)] = bytes(require_small(name, data))

    def open(self, name: str) -> BlobReader:
        return _Reader(self._find(name))

    def read(self, name: str, limit: int) -> bytes:
        data = self._find(name)
        if len(data) > limit:
            raise too_large(name, limit)
        return data

    def list(self, prefix: str) -> Iterator[str]:
        prefix = require_prefix(prefix)
        return iter(sorted(n for n in self.objects if not prefix or n.startswith(f"{prefix}/")))

    def delete(self, name: str) -> None:
        self.objects.pop(require_name(name), None)

    def stat(self, name: str) -> BlobStat:
        return _stat(self._find(name))

    def survey(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:
        for name in self.list(prefix):
            yield name, _stat(self.objects[name])

    def concerns(self) -> Sequence[str]:
        return ()

    def add(self, name: str, data: bytes) -> None:
        """Create-only, as one step."""
        with self._lock:
            if name in self.objects:
                raise taken(name)
            self.objects[name] = bytes(data)

    def _find(self, name: str) -> bytes:
        data = self.objects.get(require_name(name))
        if data is None:
            raise missing(name)
        return data


def _stat(data: bytes) -> BlobStat:
    return BlobStat(len(data), sha256(data).hexdigest())


class _Writer:
    def __init__(self, store: MemoryBlobStore, name: str) -> None:
        self._store = store
        self._name = name
        self._data: bytearray | None = bytearray()
        self._lock = Lock()

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        if offset < 0:
            raise InvalidError(f"blob {self._name}: a negative offset")
        with self._lock:
            content = self._require_open()
            content.extend(bytes(max(0, offset + len(data) - len(content))))
            content[offset : offset + len(data)] = data

    def commit(self) -> None:
        content, self._data = self._require_open(), None
        self._store.add(self._name, bytes(content))

    def discard(self) -> None:
        self._data = None

    def _require_open(self) -> bytearray:
        if self._data is None:
            raise InvalidError(f"blob {self._name}: the writer is committed or discarded")
        return self._data


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        if offset < 0:
            raise InvalidError("blob: a negative offset")
        piece = self._data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Nothing to give back."""
