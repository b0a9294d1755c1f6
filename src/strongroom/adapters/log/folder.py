"""Files made durable together, and bounded reads, below one folder.

Nothing is ever changed in place that a reader of the current checkpoint could be reading: callers write
new names, make them durable, and only then replace the one file that refers to them.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG

from strongroom.adapters.durable import sync_folder
from strongroom.errors import OutageError, RejectedError

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_LOCK_POLL_S = 0.01


class DurableWrites:
    """New files below ``root``; `settle` makes them and their folders durable, `undo` removes them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._written: list[Path] = []
        self._folders: set[Path] = set()

    def put(self, name: str, data: bytes) -> None:
        path = self._root / name
        self._make_folder(path.parent)
        # Every folder up to the root, made now or not: whoever made it may have died before syncing it.
        self._folders.update(each for each in path.parents if each.is_relative_to(self._root))
        self._written.append(path)
        write_file(path, data)

    def _make_folder(self, folder: Path) -> None:
        # Path.mkdir(parents=True) would give the folders in between the default mode.
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)

    def settle(self) -> None:
        # Deepest first, so that a folder's own entry is durable only once its content is.
        for folder in sorted(self._folders, key=lambda each: len(each.parts), reverse=True):
            sync_folder(folder)
        self._folders.clear()

    def undo(self) -> None:
        for path in self._written:
            with suppress(OSError):
                path.unlink()


def write_file(path: Path, data: bytes) -> None:
    """Create or overwrite ``path`` whole; its content is durable on return, its name not yet."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, _FILE_MODE)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def find_file(path: Path, limit: int) -> bytes | None:
    """Return the content of a plain file, or None if there is none.

    Raises:
        RejectedError: not a plain file, or larger than ``limit`` bytes.
    """
    try:
        # O_NONBLOCK: a pipe put in the file's place must not stop us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RejectedError(f"log: {path.name} cannot be opened ({error.strerror})") from None
    try:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode) or status.st_size > limit:
            raise RejectedError(f"log: {path.name} is not a plain file of at most {limit} bytes")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError as error:
        raise OutageError(f"log: {path.name} cannot be read ({error.strerror})") from None
    finally:
        os.close(descriptor)


@contextmanager
def hold_lock(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold an exclusive lock between processes and threads; the system drops it when the holder dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)
    try:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise OutageError(f"log: another writer held it for {timeout_s:g} s") from None
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)
