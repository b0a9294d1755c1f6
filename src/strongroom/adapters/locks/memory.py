"""Locks within one process: the twin that flows are tested with."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from strongroom.adapters.locks.names import parse_lock_name
from strongroom.errors import OutageError


class MemoryLocks:
    """`Locks` between threads."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)

    @contextmanager
    def hold(self, name: str, timeout_s: float = 10.0) -> Iterator[None]:
        with self._guard:
            lock = self._locks[parse_lock_name(name)]
        if not lock.acquire(timeout=max(0.0, timeout_s)):
            raise OutageError(f"lock {name}: another holds it")
        try:
            yield
        finally:
            lock.release()
