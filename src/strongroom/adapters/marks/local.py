"""Marks as files of mode 0600 in one folder of this machine, each replaced whole."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from strongroom.adapters.durable import sync_folder
from strongroom.adapters.marks.names import MAX_MARK_BYTES, require_mark
from strongroom.errors import OutageError, RejectedError

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class LocalMarks:
    """`Marks` below one folder, made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        try:
            with _translated(name):
                descriptor = os.open(self._folder / require_mark(name), _OPEN)
        except FileNotFoundError:
            return None
        with _translated(name), os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RejectedError(f"mark {name}: is not a plain file")
            data = file.read(MAX_MARK_BYTES + 1)
        if len(data) > MAX_MARK_BYTES:
            raise RejectedError(f"mark {name}: larger than {MAX_MARK_BYTES} bytes")
        return data

    def write(self, name: str, data: bytes) -> None:
        path = self._folder / require_mark(name, data)
        with _translated(name):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            draft = self._folder / f".{token_hex(8)}.draft"
            try:
                with os.fdopen(os.open(draft, _NEW, 0o600), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
                sync_folder(self._folder)
            finally:
                draft.unlink(missing_ok=True)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OutageError(f"mark {name}: {(error.strerror or 'cannot be reached').lower()}") from None
