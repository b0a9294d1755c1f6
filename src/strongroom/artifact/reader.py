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
_PAGE_BYTES = 4096
_SHORT_BYTES = 4 * _PAGE_BYTES
_MAX_PAGES = 4096
"""Of 4 KiB: kept of what was read in short pieces. A scan and an inspection read the same headers, each more
than once, and these lie chunks apart.
"""


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
        self._pages: dict[int, bytes] = {}
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
        with self._lock:
            return self._short(offset, end) if size <= _SHORT_BYTES else self._join(offset, end)

    def close(self) -> None:
        """Wipe the plaintext kept here."""
        with self._lock:
            self._pages.clear()
            while self._kept:
                wipe(self._take_oldest())

    def _short(self, offset: int, end: int) -> bytes:
        first = offset // _PAGE_BYTES
        pages = [self._page(index) for index in range(first, -(-end // _PAGE_BYTES))]
        start = first * _PAGE_BYTES
        return b"".join(pages)[offset - start : max(end, offset) - start]

    def _page(self, index: int) -> bytes:
        page = self._pages.get(index)
        if page is None:
            page = self._join(index * _PAGE_BYTES, min((index + 1) * _PAGE_BYTES, self.size))
            if len(self._pages) < _MAX_PAGES:
                self._pages[index] = page
        return page

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
