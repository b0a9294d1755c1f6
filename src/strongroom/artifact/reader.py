"""Read a sealed object anywhere: authenticated bytes by offset, a few chunks kept."""

from collections import OrderedDict
from threading import Lock
from types import TracebackType
from typing import Self

from strongroom.artifact.opening import (
    ReadInto,
    decrypt_chunk,
    derive_key,
    read_chunk,
    read_header,
    require_object_size,
)
from strongroom.artifact.scratch import allocate, wipe
from strongroom.artifact.sealed import CHUNK_BYTES, SEALED_CHUNK_BYTES, chunk_size
from strongroom.errors import InvalidError
from strongroom.values import ModelId, SealedEntry

_KEPT_CHUNKS = 4
_KEPT_PIECE_BYTES = 16 * 1024
_KEPT_PIECES_BYTES = 16 * 2**20
"""Of short pieces together. A scan and an inspection read the same headers, which lie chunks apart."""


class SealedReader:
    """Random access to the plaintext of one sealed object.

    Each chunk is authenticated under the data key; the signed root over all chunks is not checked (only
    `unseal` and `verify_root` see all of them). Thread-safe. Close it to wipe the chunks it keeps.
    """

    def __init__(self, read_into: ReadInto, dek: bytes, entry: SealedEntry, model: ModelId) -> None:
        header_bytes = read_header(read_into, entry, model)
        require_object_size(read_into, entry)
        self._key = derive_key(dek, header_bytes, entry)
        self._read_into = read_into
        self._entry = entry
        self._scratch = allocate(SEALED_CHUNK_BYTES)
        self._kept: OrderedDict[int, memoryview] = OrderedDict()
        self._pieces: dict[tuple[int, int], bytes] = {}
        self._pieces_left = _KEPT_PIECES_BYTES
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        return self._entry.size_bytes

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset``; fewer only at the end.

        Raises:
            RejectedError: a chunk in the range does not authenticate.
        """
        if offset < 0 or size < 0:
            raise InvalidError("read: a negative offset or size")
        with self._lock:
            kept = self._pieces.get((offset, size))
            if kept is not None:
                return kept
            data = self._join(offset, min(offset + size, self.size))
            if size <= _KEPT_PIECE_BYTES and len(data) <= self._pieces_left:
                self._pieces[offset, size] = data
                self._pieces_left -= len(data)
        return data

    def close(self) -> None:
        """Wipe the plaintext kept here."""
        with self._lock:
            self._pieces.clear()
            while self._kept:
                wipe(self._take_oldest())

    def _join(self, offset: int, end: int) -> bytes:
        pieces: list[bytes] = []
        while offset < end:
            index, start = divmod(offset, CHUNK_BYTES)
            size = min(end - offset, CHUNK_BYTES - start)
            pieces.append(bytes(self._chunk(index)[start : start + size]))
            offset += size
        return b"".join(pieces)

    def _chunk(self, index: int) -> memoryview:
        kept = self._kept.get(index)
        if kept is not None:
            self._kept.move_to_end(index)
            return kept
        ciphertext = read_chunk(self._read_into, self._entry, index, self._scratch)
        # Memory is used again: fresh pages would cost as much as decrypting into them.
        plain = self._take_oldest() if len(self._kept) == _KEPT_CHUNKS else allocate(CHUNK_BYTES)
        try:
            decrypt_chunk(self._key, index, ciphertext, plain[: chunk_size(index, self.size)], self._entry)
        except BaseException:
            wipe(plain)
            raise
        self._kept[index] = plain
        return plain

    def _take_oldest(self) -> memoryview:
        return self._kept.popitem(last=False)[1]
