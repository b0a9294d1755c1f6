"""Group commit: while one batch is on its way to the disk, the next one gathers.

The disk is waited for in a thread of its own, so that requests are read and workers fed meanwhile. What is to
be recorded is handed over in order, and called back in order once it is durable, or not (I4).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from strongroom.errors import OutageError
from strongroom.serve.gateway.book import Book
from strongroom.trust.journal import Batch, Record

Done = Callable[[Batch | None], None]


class Commits:
    """One batch at a time; all methods are for the loop's thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, book: Book, on_failure: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._book = book
        self._on_failure = on_failure
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._started_s = 0.0
        self.is_busy = False

    @property
    def waited_s(self) -> float:
        """How long the disk has kept the batch that is on its way."""
        return self._loop.time() - self._started_s if self.is_busy else 0.0

    def begin(self, records: list[Record], done: Done) -> None:
        """Commit ``records`` as one batch; ``done`` gets it once it is durable, or None if it could not be.

        Only while not `is_busy`. ``done`` may be called before this returns.
        """
        try:
            batch = self._book.encode(records)
            if not self._book.durable:
                self._book.commit(batch)
        except OutageError as error:
            self._on_failure(error.message)
            done(None)
            return
        if not self._book.durable:
            self._book.accept(batch)
            done(batch)
            return
        self.is_busy = True
        self._started_s = self._loop.time()
        future = self._thread.submit(self._book.commit, batch)
        future.add_done_callback(
            lambda ended: self._loop.call_soon_threadsafe(self._finish, ended, batch, done)
        )

    def close(self) -> None:
        """Wait for the batch that is on its way."""
        self._thread.shutdown(wait=True)

    def _finish(self, ended: "Future[None]", batch: Batch, done: Done) -> None:
        self.is_busy = False
        try:
            ended.result()
        except OutageError as error:
            self._on_failure(error.message)
            done(None)
            return
        self._book.accept(batch)
        done(batch)
