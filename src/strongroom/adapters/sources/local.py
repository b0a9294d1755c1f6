"""A model on this machine's disk: one file or a folder.

Every file is opened once without following links and read through that descriptor only, so that renaming or
replacing it afterwards changes nothing; writing into it is noticed by `require_unchanged`.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from strongroom.errors import InvalidError, OutageError, RejectedError, shorten
from strongroom.ports import SourceFile

MAX_FILES = 4096
MAX_DEPTH = 16


class LocalFile:
    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._opened_as = _fingerprint(descriptor)
        self.size = os.fstat(descriptor).st_size

    def read_into(self, offset: int, buffer: memoryview) -> int:
        done = 0
        while done < len(buffer):
            try:
                count = os.preadv(self._descriptor, [buffer[done:]], offset + done)
            except OSError as error:
                raise OutageError(f"{shorten(self.path)}: {error.strerror}") from None
            if count == 0:
                break
            done += count
        return done

    def require_unchanged(self) -> None:
        if _fingerprint(self._descriptor) != self._opened_as:
            raise RejectedError(f"{shorten(self.path)}: changed while it was read", hint="publish it again")

    def close(self) -> None:
        os.close(self._descriptor)


class LocalSource:
    """Opens ``root`` (a plain file or a folder) and everything in it, hidden files included."""

    def __init__(self, root: Path) -> None:
        self._files: list[LocalFile] = []
        try:
            for path, descriptor in _open_all(root):
                self._files.append(LocalFile(path, descriptor))
        except BaseException:
            self.close()
            raise
        self._files.sort(key=lambda file: file.path.encode())

    @property
    def files(self) -> list[SourceFile]:
        return list(self._files)

    def close(self) -> None:
        while self._files:
            self._files.pop().close()


def _open_all(root: Path) -> Iterator[tuple[str, int]]:
    try:
        top = os.open(root, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _refusal(str(root), error) from None
    if stat.S_ISREG(os.fstat(top).st_mode):
        yield root.name, top
        return
    try:
        if not stat.S_ISDIR(os.fstat(top).st_mode):
            raise RejectedError(f"{shorten(root)}: is neither a file nor a folder")
        found = 0
        for item in _walk(top, "", 0):
            found += 1
            yield item
            if found > MAX_FILES:
                raise RejectedError(f"{shorten(root)}: more than {MAX_FILES} files")
        if not found:
            raise InvalidError(f"{shorten(root)}: holds no file")
    finally:
        os.close(top)


def _walk(folder: int, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
    if depth > MAX_DEPTH:
        raise RejectedError(f"{shorten(prefix)}: nested deeper than {MAX_DEPTH} folders")
    names = sorted(os.listdir(folder))
    if len(names) > MAX_FILES:
        raise RejectedError(f"{shorten(prefix or '.')}: more than {MAX_FILES} files")
    for name in names:
        path = prefix + name
        try:
            path.encode()
        except UnicodeEncodeError:
            raise RejectedError(f"{shorten(path)}: name is not UTF-8") from None
        try:
            descriptor = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
            )
        except OSError as error:
            raise _refusal(path, error) from None
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            yield path, descriptor
            continue
        try:
            if not stat.S_ISDIR(mode):
                raise RejectedError(f"{shorten(path)}: is neither a file nor a folder")
            yield from _walk(descriptor, path + "/", depth + 1)
        finally:
            os.close(descriptor)


def _refusal(path: str, error: OSError) -> InvalidError | RejectedError | OutageError:
    shown = shorten(path)
    match type(error).__name__:
        case "FileNotFoundError":
            return InvalidError(f"{shown}: no such file")
        case "PermissionError":
            return InvalidError(f"{shown}: may not be read by this user")
    if error.errno in (errno.ELOOP, errno.ENXIO):
        return RejectedError(f"{shown}: is a symbolic link or a device", hint="hand over plain files only")
    return OutageError(f"{shown}: {error.strerror}")


def _fingerprint(descriptor: int) -> tuple[int, int, int, int, int]:
    status = os.fstat(descriptor)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
