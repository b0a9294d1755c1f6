"""Group commit when the disk, or our own code, fails at the worst moment: nobody is left waiting."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from strongroom.errors import InvalidError, OutageError
from strongroom.serve.gateway.book import Book
from strongroom.serve.gateway.commits import Commits


class Disk:
    """Stands in for a book: does what the test says on `encode` and `commit`."""

    def __init__(self) -> None:
        self.durable = True
        self.on_encode: Callable[[], None] = lambda: None
        self.on_commit: Callable[[], None] = lambda: None
        self.written: list[Any] = []
        self.threads: list[str] = []

    def encode(self, records: Any) -> Any:
        self.on_encode()
        return tuple(records)

    def commit(self, batch: Any) -> None:
        self.threads.append(threading.current_thread().name)
        self.on_commit()

    def accept(self, batch: Any) -> None:
        self.written.append(batch)


class Scene:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.disk = Disk()
        self.failures: list[str] = []
        self.commits = Commits(self.loop, cast(Book, self.disk), self.failures.append)

    def commit(self, *records: str) -> Any:
        """Return what the caller of `begin` was told; fails if it was never told."""
        told: list[Any] = []
        self.commits.begin(cast(Any, records), told.append)

        async def wait() -> None:
            while not told:
                await asyncio.sleep(0.005)

        self.loop.run_until_complete(asyncio.wait_for(wait(), 5))
        return told[0]


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.commits.close()
    scene.loop.close()


def fail_with(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


FAULTS = [
    OutageError("disk full"),
    InvalidError("a batch too large"),
    MemoryError(),
    ValueError("closed file"),
]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("fast", [False, True], ids=["in the thread", "on the spot"])
def test_whatever_fails_is_told_and_the_next_batch_goes_on(
    scene: Scene, error: Exception, fast: bool
) -> None:
    for _ in range(60 if fast else 0):  # so often fast that it is waited for on the spot
        scene.commit("warm")
    assert ("MainThread" in scene.disk.threads) == fast
    scene.disk.on_commit = fail_with(error)
    assert scene.commit("lost") is None
    assert len(scene.failures) == 1
    assert not scene.commits.is_busy
    scene.disk.on_commit = lambda: None
    assert scene.commit("kept") == ("kept",)
    assert ("lost",) not in scene.disk.written


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_what_cannot_be_encoded_is_told(scene: Scene, error: Exception) -> None:
    scene.disk.on_encode = fail_with(error)
    assert scene.commit("lost") is None
    assert len(scene.failures) == 1
    scene.disk.on_encode = lambda: None
    assert scene.commit("kept") == ("kept",)


def test_a_fault_does_not_tell_what_it_said(scene: Scene) -> None:
    scene.disk.on_commit = fail_with(ValueError("what a caller sent"))
    assert scene.commit("lost") is None
    assert scene.failures == ["journal: fault: ValueError"]


def test_a_disk_that_hangs_is_seen_and_does_not_hold_up_the_loop(scene: Scene) -> None:
    released = threading.Event()
    scene.disk.on_commit = lambda: cast(None, released.wait(10))
    told: list[Any] = []
    scene.commits.begin(cast(Any, ("slow",)), told.append)

    async def look() -> None:
        await asyncio.sleep(0.2)
        assert scene.commits.is_busy
        assert scene.commits.waited_s >= 0.15
        assert not told
        released.set()
        while not told:
            await asyncio.sleep(0.005)

    scene.loop.run_until_complete(asyncio.wait_for(look(), 5))
    assert told == [("slow",)]
    assert scene.commits.waited_s == 0


def test_closing_waits_for_the_batch_on_its_way(scene: Scene) -> None:
    started, released = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        released.wait(10)

    scene.disk.on_commit = hang
    scene.commits.begin(cast(Any, ("last",)), lambda batch: None)
    assert started.wait(5)
    threading.Timer(0.2, released.set).start()
    scene.commits.close()
    assert released.is_set()
