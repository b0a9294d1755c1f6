"""Group commit: while one batch is on its way to the disk, the next one gathers.

A disk that takes its time is waited for in a thread of its own, so that requests are read and workers fed
meanwhile; one that answers faster than two threads can take turns is waited for on the spot. What is to be
recorded is handed over in order, and called back in order once it is durable, or not (I4).
"""

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from time import monotonic

from strongroom.errors import OutageError
from strongroom.serve.gateway.book import Book
from strongroom.trust.journal import Batch, Record

Done = Callable[[Batch | None], None]

INLINE_BELOW_S = 0.0004
"""A disk that is faster than this, as it was of late, is not worth a change of threads (100 to 200 us)."""
_MEMORY = 0.8
"""Share of the past in what is expected of the next commit."""


class Commits:
    """One batch at a time; all methods are for the loop's thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, book: Book, on_failure: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._book = book
        self._on_failure = on_failure
        self._started_s = 0.0
        self._expected_s = 1.0
        self._done: Done | None = None
        # Not an executor: its futures and locks cost more than the write itself on a fast disk.
        self._todo: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether a batch is on its way to the disk."""
        return self._done is not None

    @property
    def waited_s(self) -> float:
        """How long the disk has kept that batch."""
        return self._loop.time() - self._started_s if self.is_busy else 0.0

    def begin(self, records: list[Record], done: Done) -> None:
        """Commit ``records`` as one batch; ``done`` gets it once it is durable, or None if it could not be.

        Only while not `is_busy`. ``done`` may be called before this returns.
        """
        try:
            batch = self._book.encode(records)
        except Exception as error:
            self._on_failure(_explain(error))
            done(None)
            return
        self._done = done
        self._started_s = self._loop.time()
        if self._book.durable and self._expected_s > INLINE_BELOW_S:
            self._todo.put(batch)
        else:
            self._finish(batch, self._commit(batch))

    def close(self) -> None:
        """Wait for the batch that is on its way."""
        self._todo.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (batch := self._todo.get()) is not None:
            self._loop.call_soon_threadsafe(self._finish, batch, self._commit(batch))

    def _commit(self, batch: Batch) -> str:
        """Return why it failed, or nothing."""
        started_s = monotonic()
        try:
            self._book.commit(batch)
        except Exception as error:
            return _explain(error)
        self._expected_s = _MEMORY * self._expected_s + (1 - _MEMORY) * (monotonic() - started_s)
        return ""

    def _finish(self, batch: Batch, failure: str) -> None:
        done, self._done = self._done, None
        if failure:
            self._on_failure(failure)
        else:
            self._book.accept(batch)
        if done is not None:
            done(None if failure else batch)


def _explain(error: Exception) -> str:
    """Return why nothing was recorded. A bug of ours is no exception: whoever waits must hear of it."""
    return error.message if isinstance(error, OutageError) else f"journal: fault: {type(error).__name__}"
