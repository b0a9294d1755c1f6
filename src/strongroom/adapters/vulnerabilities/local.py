"""Imported vulnerability databases in a local folder: one file each, named after its SHA-256."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from strongroom.adapters.durable import sync_folder
from strongroom.errors import OutageError, RejectedError
from strongroom.values import Digest

_NAME = re.compile(r"[0-9a-f]{64}\.osv", re.ASCII)
_DRAFT = re.compile(r"\.[0-9a-f]{16}\.draft", re.ASCII)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class LocalVulnerabilities:
    """`Vulnerabilities` below one folder, made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, digest: Digest, data: bytes) -> None:
        if Digest.of(data) != digest:
            raise RejectedError("osv: the database is not what its digest says")
        with _translated():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            draft = self._folder / f".{token_hex(8)}.draft"
            try:
                descriptor = os.open(draft, _NEW, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self._path(digest))
                sync_folder(self._folder)
            finally:
                draft.unlink(missing_ok=True)

    def read(self, digest: Digest, limit: int) -> bytes:
        try:
            with _translated():
                data = _read(self._path(digest), limit)
        except FileNotFoundError:
            raise RejectedError("osv: the database is missing", hint="import it again") from None
        if Digest.of(data) != digest:
            raise RejectedError("osv: the database was changed since it was imported", hint="import it again")
        return data

    def keep_only(self, digest: Digest) -> None:
        with suppress(OSError):
            for path in list(self._folder.iterdir()):
                ours = _NAME.fullmatch(path.name) or _DRAFT.fullmatch(path.name)
                if ours and path != self._path(digest):
                    path.unlink()

    def _path(self, digest: Digest) -> Path:
        return self._folder / f"{digest.hex}.osv"


def _read(path: Path, limit: int) -> bytes:
    descriptor = os.open(path, _OPEN)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise RejectedError(f"osv: the database is no file of at most {limit} bytes")
        return file.read(limit + 1)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OutageError(f"osv: {(error.strerror or 'the database cannot be reached').lower()}") from None
