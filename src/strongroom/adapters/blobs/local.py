"""Sealed objects in a local folder.

Objects are written under ``.staging`` and appear under their name by a hard link, which the system makes
at once or not at all and never over an existing name. Folders are 0700, files 0600. Whatever else stands
in the folder (links, devices, pipes) is listed but never opened.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from stat import S_IMODE, S_ISREG

from strongroom.adapters.blobs.folder import find_files, open_folder, translated
from strongroom.adapters.blobs.names import (
    missing,
    require_name,
    require_prefix,
    require_small,
    too_large,
)
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import BlobReader, BlobStat, BlobWriter

_STAGING = ".staging"
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class LocalBlobStore:
    """A `BlobStore` below one folder, which must belong to this user and to nobody else.

    Safe for several threads and processes at once.
    """

    def __init__(self, root: Path) -> None:
        """Open the folder, or make it.

        Raises:
            InvalidError: other users may enter the folder, or it is not a folder.
        """
        self._root = _open_root(root)
        with translated("staging"), open_folder(self._root, [_STAGING], create=True):
            pass

    def close(self) -> None:
        """Give the folder's descriptor back; writers and readers that are open go on."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def create(self, name: str, size_hint: int = 0) -> BlobWriter:
        require_name(name)
        with translated(name):
            room = os.fstatvfs(self._root)
            if size_hint > room.f_bavail * room.f_frsize:
                raise OutageError(f"blob {name}: no room for {size_hint} bytes")
            return _Writer(self._root, name)

    def put_new(self, name: str, data: bytes) -> None:
        writer = self.create(name, len(require_small(name, data)))
        try:
            writer.write_at(0, data)
            writer.commit()
        finally:
            writer.discard()

    def replace(self, name: str, data: bytes) -> None:
        require_small(name, data)
        with translated(require_name(name)):
            writer = _Writer(self._root, name)
        try:
            writer.write_at(0, data)
            writer.commit_over()
        finally:
            writer.discard()

    def open(self, name: str) -> BlobReader:
        *folders, file = require_name(name).split("/")
        with translated(name), open_folder(self._root, folders) as folder:
            # Looked at before it is opened: opening a device may already do something.
            if not S_ISREG(os.stat(file, dir_fd=folder, follow_symlinks=False).st_mode):
                raise RejectedError(f"blob {name}: not a plain file")
            return _Reader(name, os.open(file, _OPEN_FILE, dir_fd=folder))

    def read(self, name: str, limit: int) -> bytes:
        reader = self.open(name)
        try:
            if reader.size > limit:
                raise too_large(name, limit)
            data = bytearray(reader.size)
            size = reader.read_into(0, memoryview(data))
        finally:
            reader.close()
        return bytes(data[:size])

    def list(self, prefix: str) -> Iterator[str]:
        prefix = require_prefix(prefix)
        segments = prefix.split("/") if prefix else []
        found: list[str] = []
        with translated(prefix), suppress(FileNotFoundError), open_folder(self._root, segments) as folder:
            start, ours = (f"{prefix}/", "") if prefix else ("", _STAGING)
            found.extend(find_files(folder, start, len(segments), ours))
        return iter(sorted(found))

    def delete(self, name: str) -> None:
        *folders, file = require_name(name).split("/")
        with translated(name), suppress(FileNotFoundError), open_folder(self._root, folders) as folder:
            os.unlink(file, dir_fd=folder)
            os.fsync(folder)

    def stat(self, name: str) -> BlobStat:
        status = self._find_status(require_name(name))
        if status is None:
            raise missing(name)
        if not S_ISREG(status.st_mode):
            raise RejectedError(f"blob {name}: not a plain file")
        return _to_stat(status)

    def survey(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:
        for name in self.list(prefix):
            status = self._find_status(name)
            if status is not None:  # else removed since it was listed
                yield name, _to_stat(status)

    def concerns(self) -> Sequence[str]:
        """Opening it has seen to what it must be."""
        return ()

    def sweep(self) -> int:
        """Remove what writers that died have left in staging; return how many. Live writers are spared."""
        swept = 0
        with translated("staging"), open_folder(self._root, [_STAGING]) as staging:
            for name in os.listdir(staging):  # noqa: PTH208 - by descriptor
                swept += _sweep_file(staging, name)
        return swept

    def _find_status(self, name: str) -> os.stat_result | None:
        """Of whatever stands under a name; names that are not ours come from the folder itself."""
        *folders, file = name.split("/")
        with translated(name), suppress(FileNotFoundError), open_folder(self._root, folders) as folder:
            return os.stat(file, dir_fd=folder, follow_symlinks=False)
        return None


class _Writer:
    """A staged file, locked for as long as its writer lives so that `sweep` can tell."""

    def __init__(self, root: int, name: str) -> None:
        self._name = name
        self._root = os.dup(root)
        self._file = -1
        self._staged = ""
        try:
            while not self._staged:
                self._stage()
        except BaseException:
            self.discard()
            raise

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        if offset < 0:
            raise InvalidError(f"blob {self._name}: a negative offset")
        view = memoryview(data)
        with translated(self._name):
            descriptor = self._require_open()
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written

    def commit(self) -> None:
        *folders, file = self._name.split("/")
        try:
            with translated(self._name):
                os.fdatasync(self._require_open())
                with (
                    open_folder(self._root, [_STAGING]) as staging,
                    open_folder(self._root, folders, create=True) as folder,
                ):
                    os.link(self._staged, file, src_dir_fd=staging, dst_dir_fd=folder, follow_symlinks=False)
                    os.fsync(folder)
        finally:
            self.discard()

    def commit_over(self) -> None:
        """As `commit`, but takes the place of an object of that name, at once."""
        *folders, file = self._name.split("/")
        try:
            with translated(self._name):
                os.fdatasync(self._require_open())
                with (
                    open_folder(self._root, [_STAGING]) as staging,
                    open_folder(self._root, folders, create=True) as folder,
                ):
                    os.rename(self._staged, file, src_dir_fd=staging, dst_dir_fd=folder)
                    self._staged = ""
                    os.fsync(folder)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the staged file. Not while another thread is in `write_at`."""
        if self._staged:
            with suppress(OSError), open_folder(self._root, [_STAGING]) as staging:
                os.unlink(self._staged, dir_fd=staging)
            self._staged = ""
        for descriptor in (self._file, self._root):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._root = -1

    def _stage(self) -> None:
        """Make and lock a staged file; left unset if `sweep` was faster than the lock."""
        with open_folder(self._root, [_STAGING]) as staging:
            staged = token_hex(16)
            self._file = os.open(staged, _NEW_FILE, 0o600, dir_fd=staging)
            self._staged = staged
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if not os.fstat(self._file).st_nlink:
                os.close(self._file)
                self._file, self._staged = -1, ""

    def _require_open(self) -> int:
        if self._file < 0:
            raise InvalidError(f"blob {self._name}: the writer is committed or discarded")
        return self._file


class _Reader:
    def __init__(self, name: str, descriptor: int) -> None:
        self._name = name
        self._file = descriptor
        status = os.fstat(descriptor)
        self._size = status.st_size
        if not S_ISREG(status.st_mode):
            self.close()
            raise RejectedError(f"blob {name}: not a plain file")

    @property
    def size(self) -> int:
        return self._size

    def read_into(self, offset: int, buffer: memoryview) -> int:
        if offset < 0 or self._file < 0:
            raise InvalidError(f"blob {self._name}: a negative offset or a closed reader")
        filled = 0
        with translated(self._name):
            while filled < len(buffer):
                read = os.preadv(self._file, [buffer[filled:]], offset + filled)
                if not read:
                    break
                filled += read
        return filled

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _open_root(root: Path) -> int:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileExistsError, NotADirectoryError):
        raise InvalidError("blobs: the root is not a folder") from None
    except OSError as error:
        raise OutageError(f"blobs: the root folder: {error.strerror}") from None
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or S_IMODE(status.st_mode) & 0o077:
        os.close(descriptor)
        raise InvalidError("blobs: other users may enter the root folder", hint="chmod 700 and chown it")
    return descriptor


def _to_stat(status: os.stat_result) -> BlobStat:
    """The change time is in the tag because whoever may write a file may set its modification time back."""
    times = f"{status.st_mtime_ns:x}-{status.st_ctime_ns:x}"
    return BlobStat(status.st_size, f"{status.st_ino:x}-{times}")


def _sweep_file(staging: int, name: str) -> bool:
    try:
        descriptor = os.open(name, _OPEN_FILE, dir_fd=staging)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=staging)
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(descriptor)
    return True
