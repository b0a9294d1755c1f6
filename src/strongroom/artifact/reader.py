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
        end = min(offset + size, self.size)
        pieces: list[bytes] = []
        with self._lock:
            while offset < end:
                index, start = divmod(offset, CHUNK_BYTES)
                piece = self._chunk(index)[start : start + end - offset]
                pieces.append(bytes(piece))
                offset += len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Wipe the plaintext kept here."""
        with self._lock:
            while self._kept:
                self._drop_oldest()

    def _chunk(self, index: int) -> memoryview:
        kept = self._kept.get(index)
        if kept is not None:
            self._kept.move_to_end(index)
            return kept
        ciphertext = read_chunk(self._read_into, self._entry, index, self._scratch)
        plain = allocate(CHUNK_BYTES)[: chunk_size(index, self.size)]
        decrypt_chunk(self._key, index, ciphertext, plain, self._entry)
        if len(self._kept) == _KEPT_CHUNKS:
            self._drop_oldest()
        self._kept[index] = plain
        return plain

    def _drop_oldest(self) -> None:
        _, plain = self._kept.popitem(last=False)
        wipe(plain)
