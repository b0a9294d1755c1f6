"""Reads an object of a remote store by ranges, several in flight, ahead of whoever reads it in order."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from threading import Lock

from strongroom.errors import InvalidError

BLOCK_BYTES = 4 * 2**20
AHEAD_BLOCKS = 3
KEPT_BLOCKS = 6
"""At most 24 MiB of ciphertext for one open object."""
FETCHING_THREADS = 4

Fetch = Callable[[int, int], bytes]
"""Bytes from an offset to an end that lies within the object."""


class RangedReader:
    """A `BlobReader` over ``fetch``; a small object is fetched whole when it is opened."""

    def __init__(self, name: str, size: int, fetch: Fetch) -> None:
        self._name = name
        self._size = size
        self._fetch = fetch
        self._lock = Lock()
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._last = -1
        self._closed = False
        self._pool: ThreadPoolExecutor | None = None
        if 0 < size <= BLOCK_BYTES:
            whole: Future[bytes] = Future()
            whole.set_result(fetch(0, size))
            self._blocks[0] = whole

    @property
    def size(self) -> int:
        return self._size

    def read_into(self, offset: int, buffer: memoryview) -> int:
        if offset < 0 or self._closed:
            raise InvalidError(f"blob {self._name}: a negative offset or a closed reader")
        end = min(offset + len(buffer), self._size)
        filled = 0
        while offset + filled < end:
            index, start = divmod(offset + filled, BLOCK_BYTES)
            block = self._block(index)
            piece = memoryview(block)[start : start + end - offset - filled]
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def close(self) -> None:
        """Waits for no request that is still in flight."""
        with self._lock:
            self._closed = True
            self._blocks.clear()
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _block(self, index: int) -> bytes:
        while True:
            with self._lock:
                wanted = self._request(index)
                self._fetch_ahead(index)
            try:
                return wanted.result()
            except CancelledError:
                continue  # others read so much meanwhile that it was given up before it was fetched
            except BaseException:
                with self._lock:
                    if self._blocks.get(index) is wanted:
                        del self._blocks[index]  # fetched anew by the next read
                raise

    def _fetch_ahead(self, index: int) -> None:
        """For whoever reads in order, from the second block on: many look at a header only."""
        if index > 0 and index in (self._last, self._last + 1):
            for ahead in range(index + 1, index + 1 + AHEAD_BLOCKS):
                if ahead * BLOCK_BYTES < self._size:
                    self._request(ahead)
        self._last = index
        self._blocks.move_to_end(index)
        while len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)[1].cancel()

    def _request(self, index: int) -> "Future[bytes]":
        if self._closed:
            raise InvalidError(f"blob {self._name}: a closed reader")
        known = self._blocks.get(index)
        if known is not None:
            return known
        if self._pool is None:
            self._pool = ThreadPoolExecutor(FETCHING_THREADS, thread_name_prefix="blob-ranges")
        start = index * BLOCK_BYTES
        block = self._pool.submit(self._fetch, start, min(start + BLOCK_BYTES, self._size))
        self._blocks[index] = block
        return block
