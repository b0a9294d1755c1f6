"""Keys in a file under a passphrase, shared by the processes of a home (docs/formats/keystore.md)."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Self

from strongroom.adapters.keys.keystore import MAX_KEYSTORE_BYTES, Contents, Lock
from strongroom.adapters.keys.software import Change, Keys, SoftwareKeyProvider, utc_now
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError

LOCK_TIMEOUT_S = 10.0
_LOCK_POLL_S = 0.02


class FileKeyProvider(SoftwareKeyProvider):
    """Keys in one file of mode 0600, replaced whole on every change. Safe between threads and processes.

    Changes are made under an exclusive lock to what the file holds at that moment, so two processes that add
    keys at once both keep theirs. Every call reads the file, so it sees what another process changed.
    """

    def __init__(self, path: Path, lock: Lock, now: Callable[[], datetime] = utc_now) -> None:
        """Use `create_file` or `open_file`."""
        super().__init__(now)
        self._path = path
        self._lock = lock
        self._contents = Contents(generation=0)
        self._text = b""
        self._guard = RLock()

    def __repr__(self) -> str:
        return f"FileKeyProvider({str(self._path)!r})"

    @classmethod
    def create_file(cls, path: Path, passphrase: str, *, now: Callable[[], datetime] = utc_now) -> Self:
        """Make an empty keystore, durable on return.

        Raises:
            InvalidError: the file exists, or the passphrase is too weak.
        """
        provider = cls(path, Lock.fresh(passphrase), now)
        with _exclusive(path):
            if path.is_symlink() or path.exists():
                raise InvalidError(f"{path.name}: exists already")
            _replace(path, provider._lock.write(Contents()))
        return provider

    @classmethod
    def open_file(cls, path: Path, passphrase: str, *, now: Callable[[], datetime] = utc_now) -> Self:
        """Open a keystore and check every key in it.

        Raises:
            InvalidError: there is no such file.
            DeniedError: the passphrase is wrong, or the file is not ours to read.
            RejectedError: the file was changed, or others may read or write it.
        """
        provider = cls(path, Lock.open(_read(path), passphrase), now)
        provider._keys()
        return provider

    def change_passphrase(self, passphrase: str) -> None:
        """Wrap every key anew under another passphrase; other processes must open the file again."""
        fresh = Lock.fresh(passphrase)
        with self._guard, _exclusive(self._path):
            after = Contents(self._keys(), self._contents.generation + 1)
            _replace(self._path, fresh.write(after))
            self._lock = fresh

    def _keys(self) -> Keys:
        with self._guard:
            text = _read(self._path)
            if text != self._text:
                if not self._lock.opens(text):
                    raise DeniedError("keystore: the passphrase was changed", hint="open the keystore again")
                contents = self._lock.read(text)
                if contents.generation <= self._contents.generation:
                    raise RejectedError("keystore: an older copy was put in its place")
                self._contents, self._text = contents, text
            return self._contents.keys

    def _change(self, change: Change) -> None:
        with self._guard, _exclusive(self._path):
            after = Contents(change(self._keys()), self._contents.generation + 1)
            _replace(self._path, self._lock.write(after))


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold the lock beside ``path``: the file itself is replaced on every change and cannot carry it."""
    beside = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _translated(error, beside) from None
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise OutageError(f"{path.name}: another process is changing it")
            time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> bytes:
    """Return the text; the checks and the bytes are of one descriptor."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _translated(error, path) from None
    try:
        _require_private(os.fstat(descriptor), path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_KEYSTORE_BYTES + 1)
    except OSError as error:
        raise _translated(error, path) from None
    finally:
        os.close(descriptor)


def _require_private(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RejectedError(f"{path.name}: is not a plain file")
    if status.st_uid != os.geteuid():
        raise RejectedError(f"{path.name}: belongs to another user")
    if status.st_mode & 0o077:
        raise RejectedError(f"{path.name}: others may read or write it", hint=f"chmod 600 {path.name}")


def _replace(path: Path, text: bytes) -> None:
    """Put ``text`` in place of the file: as before or as after, whatever is cut off (I12). Needs the lock."""
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        descriptor = os.open(
            fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise _translated(error, path) from None


def _translated(error: OSError, path: Path) -> DeniedError | InvalidError | OutageError | RejectedError:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return InvalidError(f"{path.name}: there is no such file", hint="strongroom init makes one")
        case errno.ELOOP:
            return RejectedError(f"{path.name}: is a link, not a plain file")
        case errno.EACCES | errno.EPERM:
            return DeniedError(f"{path.name}: may not be opened by this user")
        case _:
            return OutageError(f"{path.name}: {error.strerror}")
