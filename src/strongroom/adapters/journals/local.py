"""Journals in a local folder: ``<id>.journal`` while open, in ``closed/`` afterwards.

A gateway holds a flock(2) on its journal for as long as it lives, and from before the file has its name.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG

from strongroom.adapters.durable import sync_folder
from strongroom.adapters.journals.names import is_name, missing, require_name, require_range
from strongroom.errors import OutageError, RejectedError

SUFFIX = ".journal"
CLOSED = "closed"


class LocalJournals:
    """See `ports.JournalFiles`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open_names(self) -> list[str]:
        return _names(self._folder)

    def names(self) -> list[str]:
        # The open ones are listed first, so that none escapes that is closed in between.
        still_open = _names(self._folder)
        closed = _names(self._folder / CLOSED)
        return [*closed, *(name for name in still_open if name not in closed)]

    def read(self, name: str, offset: int, limit: int) -> bytes:
        require_name(name)
        require_range(name, offset, limit)
        for path in (self._open_path(name), self._closed_path(name)):
            with _translated(name):
                try:
                    return _read_plain(name, path, offset, limit)
                except FileNotFoundError:
                    continue
        raise missing(name)

    def is_held(self, name: str) -> bool:
        # Its gateway still has it if somebody moved it among the closed ones by hand.
        paths = (self._open_path(require_name(name)), self._closed_path(name))
        with _translated(name):
            return any(_is_locked(path) for path in paths)

    def close(self, name: str) -> None:
        source, target = self._open_path(require_name(name)), self._closed_path(name)
        with _translated(name):
            if not os.path.lexists(source):
                if not os.path.lexists(target):
                    raise missing(name)
                return
            target.parent.mkdir(mode=0o700, exist_ok=True)
            # A link, and not a rename, never takes the place of what is closed already.
            if not os.path.lexists(target):
                os.link(source, target, follow_symlinks=False)
            elif not os.path.samestat(source.lstat(), target.lstat()):
                raise RejectedError(f"journal {name}: another one is closed under its name")
            source.unlink()
            for folder in (target.parent, self._folder):
                sync_folder(folder)

    def _open_path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"

    def _closed_path(self, name: str) -> Path:
        return self._folder / CLOSED / f"{name}{SUFFIX}"


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _names(folder: Path) -> list[str]:
    found = []
    with _translated("folder"):
        for path in folder.glob(f"*{SUFFIX}"):
            if is_name(path.stem):
                try:
                    found.append((path.lstat().st_mtime_ns, path.stem))
                except FileNotFoundError:
                    continue  # closed since it was listed
    return [name for _, name in sorted(found)]


def _read_plain(name: str, path: Path, offset: int, limit: int) -> bytes:
    if not S_ISREG(path.lstat().st_mode):
        raise RejectedError(f"journal {name}: is not a plain file")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, limit, offset)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise missing(name) from None
    except OSError as error:
        raise OutageError(f"journal {name}: {error.strerror}") from None
