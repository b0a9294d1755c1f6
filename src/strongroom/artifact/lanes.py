"""Work on the chunks of a file in a few threads, with one step that sees them in order.

The caller's thread is one of the lanes. Every lane takes whatever is next: the in-order step (a hash) if its
chunk is ready and nobody is at it, else a fresh chunk if a buffer is free. So all lanes stay busy, memory
is bounded by the buffers, and the first failure stops all of them within one chunk.
"""

from collections.abc import Callable
from threading import Condition, Thread

from strongroom.artifact.scratch import allocate, wipe
from strongroom.errors import InvalidError, OutageError

MAX_THREADS = 8
_SPARE_BUFFERS = 4

Work = Callable[[int, memoryview], int]
"""Fills the buffer with the numbered chunk, does what is to be done with it, returns its size."""

Progress = Callable[[int], None]
"""Told how many more bytes are done; calls do not overlap but come from any lane."""


def run_lanes(
    threads: int,
    chunks: int,
    buffer_bytes: int,
    make_work: Callable[[], Work],
    in_order: Callable[[memoryview], object] | None = None,
    progress: Progress | None = None,
) -> None:
    """Call the work of one lane for each chunk, and ``in_order`` on each filled buffer by rising number.

    ``make_work`` is called once a lane, in that lane. Buffers are wiped before this returns or raises; no
    thread outlives the call. Whatever the first failing lane raised is raised.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise InvalidError(f"threads: not within 1 and {MAX_THREADS}")
    threads = min(threads, chunks)
    belt = _Belt(threads + (_SPARE_BUFFERS if in_order else 0), chunks, buffer_bytes, in_order, progress)
    others = [
        Thread(target=belt.run, args=(make_work,), name=f"chunks-{n}", daemon=True) for n in range(1, threads)
    ]
    started: list[Thread] = []
    try:
        for thread in others:
            thread.start()
            started.append(thread)
        belt.run(make_work)
    except RuntimeError:
        belt.fail(OutageError("threads: the system starts no more of them"))
    except BaseException as error:
        belt.fail(error)
    finally:
        _join(started, belt)
    belt.finish()


def _join(threads: list[Thread], belt: "_Belt") -> None:
    """Wait for the other lanes; an interrupt meanwhile stops them and waits again."""
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join()
            except BaseException as interrupt:
                belt.fail(interrupt)


class _Belt:
    """Chunk numbers, buffers and order, shared by the lanes under one lock."""

    def __init__(
        self,
        buffers: int,
        chunks: int,
        buffer_bytes: int,
        in_order: Callable[[memoryview], object] | None,
        progress: Progress | None,
    ) -> None:
        self._changed = Condition()
        self._buffers = [allocate(buffer_bytes) for _ in range(buffers)]
        self._free = list(self._buffers)
        self._chunks = chunks
        self._next_chunk = 0
        self._in_order = in_order
        self._next_in_order = 0
        self._ordering = False
        self._ready: dict[int, tuple[memoryview, int]] = {}
        self._progress = progress
        self._failure: BaseException | None = None

    def run(self, make_work: Callable[[], Work]) -> None:
        """Be one lane until nothing is left or some lane failed."""
        try:
            work = make_work()
            while self._turn(work):
                pass
        except BaseException as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()

    def finish(self) -> None:
        """Wipe what the lanes used; raise what the first of them raised."""
        for buffer in self._buffers:
            wipe(buffer)
        if self._failure is not None:
            raise self._failure

    def _turn(self, work: Work) -> bool:
        """Do one piece; False when there will be no more."""
        with self._changed:
            while not (self._is_over() or self._is_order_due() or self._is_chunk_due()):
                self._changed.wait()
            if self._is_over():
                return False
            if self._is_order_due():
                self._ordering = True
                number, (buffer, size) = -1, self._ready.pop(self._next_in_order)
            else:
                number, buffer, size = self._next_chunk, self._free.pop(), 0
                self._next_chunk += 1
        if number < 0:
            self._put_in_order(buffer, size)
        else:
            self._do_chunk(work, number, buffer)
        return True

    def _is_over(self) -> bool:
        done = self._next_in_order if self._in_order else self._next_chunk
        return self._failure is not None or done == self._chunks

    def _is_order_due(self) -> bool:
        return not self._ordering and self._next_in_order in self._ready

    def _is_chunk_due(self) -> bool:
        return self._next_chunk < self._chunks and bool(self._free)

    def _do_chunk(self, work: Work, number: int, buffer: memoryview) -> None:
        size = work(number, buffer)
        with self._changed:
            if self._in_order:
                self._ready[number] = (buffer, size)
                self._changed.notify()
            else:
                self._free.append(buffer)
            if self._progress:
                self._progress(size)

    def _put_in_order(self, buffer: memoryview, size: int) -> None:
        assert self._in_order is not None  # noqa: S101 - `_ready` is filled only with an in-order step
        self._in_order(buffer[:size])
        with self._changed:
            self._ordering = False
            self._next_in_order += 1
            self._free.append(buffer)
            self._changed.notify_all()
