"""Locks on this machine: one file a name, held with flock(2), freed by the kernel when the holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom.adapters.locks.names import parse_lock_name
from strongroom.errors import OutageError

_POLL_S = 0.005


class LocalLocks:
    """`Locks` under one folder on a local file system. Two threads exclude each other as two processes do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, name: str, timeout_s: float = 10.0) -> Iterator[None]:
        """Hold ``name``. It is not re-entrant: the same thread asking twice waits for itself.

        Raises:
            InvalidError: not a lock's name.
            OutageError: another holds it for all of ``timeout_s``, or the folder is out of reach.
        """
        descriptor = self._open(name)
        try:
            _lock(descriptor, name, time.monotonic() + timeout_s)
            try:
                yield
            finally:
                # Closing is not enough: a child that is just being started may still have a copy.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._folder / parse_lock_name(name), flags, 0o600)
        except OSError as error:
            raise OutageError(f"lock {name}: cannot be opened ({error.strerror})") from None


def _lock(descriptor: int, name: str, deadline: float) -> None:
    """Poll, because flock has no time limit and a signal would be felt by the whole process."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise OutageError(
                    f"lock {name}: another process holds it", hint="wait for it to end and try again"
                ) from None
            time.sleep(min(_POLL_S, left_s))
        except OSError as error:
            raise OutageError(f"lock {name}: cannot be locked ({error.strerror})") from None
        else:
            return
