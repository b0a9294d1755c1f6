"""Journals in a local folder: ``<id>.journal`` while open, in ``closed/`` afterwards."""

import os
import re
from pathlib import Path

from strongroom.errors import OutageError, RejectedError, shorten

SUFFIX = ".journal"
CLOSED = "closed"
_NAME = re.compile(r"[0-9a-f]{32}", re.ASCII)


class LocalJournals:
    """See `ports.JournalFiles`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open_names(self) -> list[str]:
        return _names(self._folder)

    def names(self) -> list[str]:
        return [*_names(self._folder / CLOSED), *_names(self._folder)]

    def read(self, name: str, offset: int, limit: int) -> bytes:
        if _NAME.fullmatch(name) is None:
            raise RejectedError(f"journal: {shorten(name)} is not a journal's name")
        for folder in (self._folder, self._folder / CLOSED):
            try:
                descriptor = os.open(folder / f"{name}{SUFFIX}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise OutageError(f"journal {name}: {error.strerror}") from None
            try:
                return os.pread(descriptor, limit, offset)
            except OSError as error:
                raise OutageError(f"journal {name}: {error.strerror}") from None
            finally:
                os.close(descriptor)
        raise RejectedError(f"journal {name}: is missing")

    def close(self, name: str) -> None:
        closed = self._folder / CLOSED
        try:
            closed.mkdir(mode=0o700, exist_ok=True)
            (self._folder / f"{name}{SUFFIX}").rename(closed / f"{name}{SUFFIX}")
        except OSError as error:
            raise OutageError(f"journal {name}: {error.strerror}") from None


def _names(folder: Path) -> list[str]:
    found = [
        (path.stat().st_mtime_ns, path.stem)
        for path in folder.glob(f"*{SUFFIX}")
        if _NAME.fullmatch(path.stem)
    ]
    return [name for _, name in sorted(found)]
