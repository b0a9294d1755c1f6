"""The files of a home in its folder: an exact list of names, plain files only, links never followed."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from strongroom.adapters.durable import sync_folder
from strongroom.errors import InvalidError, OutageError, RejectedError, shorten

_NAMES = (
    re.compile(r"strongroom\.toml|trust\.json|ca\.pem|keystore\.json", re.ASCII),
    re.compile(r"osv/[0-9a-f]{64}\.osv", re.ASCII),
    re.compile(r"journals/(?:closed/)?[0-9a-f]{32}\.journal", re.ASCII),
)
_FOLDERS = ("", "osv", "journals", "journals/closed")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LocalHomeFiles:
    """See `ports.HomeFiles`. The folder belongs to this user alone, as `wiring` sees to."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def names(self) -> list[str]:
        found = []
        for folder in _FOLDERS:
            with _translated(folder or "home"):
                if not (self._home / folder).is_dir():
                    continue
                for path in (self._home / folder).iterdir():
                    name = f"{folder}/{path.name}" if folder else path.name
                    if _is_ours(name) and stat.S_ISREG(path.lstat().st_mode):
                        found.append(name)
        return sorted(found)

    def read(self, name: str, offset: int, limit: int) -> bytes:
        path = self._path(name)
        try:
            with _translated(name):
                descriptor = os.open(path, _READ)
        except FileNotFoundError:
            raise RejectedError(f"{name}: is missing") from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RejectedError(f"{name}: is not a plain file")
            with _translated(name):
                return os.pread(descriptor, limit, offset)
        finally:
            os.close(descriptor)

    def put(self, name: str, content: Iterable[bytes]) -> None:
        path = self._path(name)
        draft = path.with_name(f".{path.name}.{token_hex(8)}.draft")
        try:
            with _translated(name):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with os.fdopen(os.open(draft, _WRITE, 0o600), "wb") as file:
                    for part in content:
                        file.write(part)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
                sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        if not _is_ours(name):
            raise InvalidError(f"{shorten(name)}: is no file of a home")
        return self._home / name


def _is_ours(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in _NAMES)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OutageError(f"{name}: {(error.strerror or 'cannot be reached').lower()}") from None
