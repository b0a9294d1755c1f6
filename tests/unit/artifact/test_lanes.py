import threading

import pytest

from strongroom.artifact.lanes import Work, run_lanes
from strongroom.errors import OutageError

CHUNKS = 200


def fill(index: int, buffer: memoryview) -> int:
    buffer[0:4] = index.to_bytes(4, "big")
    return 4


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_the_in_order_step_sees_every_chunk_once_and_in_order(threads: int) -> None:
    seen: list[int] = []
    run_lanes(threads, CHUNKS, 16, lambda: fill, lambda view: seen.append(int.from_bytes(view, "big")))
    assert seen == list(range(CHUNKS))


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_every_chunk_is_worked_on_once(threads: int) -> None:
    done: list[int] = []

    def work(index: int, buffer: memoryview) -> int:
        done.append(index)
        return 1

    counted: list[int] = []
    run_lanes(threads, CHUNKS, 16, lambda: work, None, counted.append)
    assert sorted(done) == list(range(CHUNKS))
    assert sum(counted) == CHUNKS


def test_work_far_ahead_of_the_in_order_step_waits_for_buffers() -> None:
    """The bound on memory: while the hash is stuck, only as many chunks are read as there are buffers."""
    started, release = list[int](), threading.Event()

    def work(index: int, buffer: memoryview) -> int:
        started.append(index)
        if len(started) == 6:  # 2 lanes and 4 spare buffers, one of them held by the stuck step
            release.set()
        return 0

    def stuck(view: memoryview) -> None:
        assert release.wait(30)
        assert seen or len(started) == 6
        seen.append(1)

    seen: list[int] = []
    run_lanes(2, 50, 16, lambda: work, stuck)
    assert len(seen) == 50


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("where", ["work", "in order", "make work", "progress"])
def test_a_failure_anywhere_ends_all_lanes(threads: int, where: str) -> None:
    before, done = threading.active_count(), list[int]()

    def fail(*_: object) -> int:
        raise OutageError(where)

    def work(index: int, buffer: memoryview) -> int:
        done.append(index)
        return fail() if where == "work" and index == 3 else 1

    def make_work() -> Work:
        if where == "make work":
            fail()
        return work

    with pytest.raises(OutageError, match=where):
        run_lanes(
            threads,
            10_000,
            16,
            make_work,
            fail if where == "in order" else lambda view: None,
            fail if where == "progress" else None,
        )
    assert threading.active_count() == before
    assert len(done) < 5000


def test_buffers_are_wiped_even_when_a_lane_fails() -> None:
    used: list[memoryview] = []

    def work(index: int, buffer: memoryview) -> int:
        used.append(buffer)
        buffer[:5] = b"plain"
        if index == 5:
            raise OutageError("disk")
        return 5

    with pytest.raises(OutageError):
        run_lanes(2, 20, 16, lambda: work)
    assert not any(any(buffer) for buffer in used)


def test_a_system_without_threads_is_an_outage_and_stops_what_began(monkeypatch: pytest.MonkeyPatch) -> None:
    before, plain, started = threading.active_count(), threading.Thread.start, list[str]()

    def start(self: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(self.name)
        plain(self)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OutageError, match="threads"):
        run_lanes(8, 10_000, 16, lambda: fill)
    assert threading.active_count() == before


def test_an_interrupt_while_waiting_ends_all_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    before, plain, interrupted = threading.active_count(), threading.Thread.join, list[int]()

    def join(self: threading.Thread, timeout: float | None = None) -> None:
        if not interrupted:
            interrupted.append(1)
            raise KeyboardInterrupt
        plain(self, timeout)

    slow, main = threading.Event(), threading.current_thread()

    def work(index: int, buffer: memoryview) -> int:
        if threading.current_thread() is not main:
            slow.wait(0.2)
        return 1

    monkeypatch.setattr(threading.Thread, "join", join)
    with pytest.raises(KeyboardInterrupt):
        run_lanes(2, 4, 16, lambda: work)
    assert interrupted
    assert threading.active_count() == before


def test_there_are_no_more_threads_than_chunks() -> None:
    made: list[int] = []

    def make_work() -> Work:
        made.append(1)
        return fill

    run_lanes(8, 1, 16, make_work)
    assert len(made) == 1
