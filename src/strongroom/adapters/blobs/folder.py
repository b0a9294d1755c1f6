"""Walk a folder by descriptors only: no path is resolved twice and no symbolic link is ever followed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from stat import S_ISDIR

from strongroom.adapters.blobs.names import missing, taken
from strongroom.errors import OutageError, RejectedError, StrongroomError

MAX_DEPTH = 16
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_PLAIN = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO})


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise what the system's refusal means: evidence if something is not what it must be, else an outage."""
    try:
        yield
    except FileExistsError:
        raise taken(name) from None
    except FileNotFoundError:
        raise missing(name) from None
    except OSError as error:
        raise _translate(name, error) from None


@contextmanager
def open_folder(root: int, segments: list[str], *, create: bool = False) -> Iterator[int]:
    """Yield a descriptor of the folder below ``root``; with ``create``, made durable step by step."""
    current = os.dup(root)
    try:
        for segment in segments:
            if create:
                _make_folder(current, segment)
            deeper = os.open(segment, _FOLDER, dir_fd=current)
            os.close(current)
            current = deeper
        yield current
    finally:
        os.close(current)


def find_files(folder: int, prefix: str, depth: int = 0, skip: str = "") -> Iterator[str]:
    """Yield the name of all that is not a folder, and of folders too deep to be ours, in no order."""
    for name in os.listdir(folder):
        if name == skip:
            continue
        shown = prefix + name
        with suppress(FileNotFoundError):  # removed since it was listed
            is_folder = S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            if not is_folder or depth == MAX_DEPTH:
                yield shown
                continue
            with open_folder(folder, [name]) as below:
                yield from find_files(below, f"{shown}/", depth + 1)


def _make_folder(parent: int, name: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        os.fsync(parent)


def _translate(name: str, error: OSError) -> StrongroomError:
    if error.errno in _NOT_PLAIN:
        return RejectedError(
            f"blob {name}: not a plain file in plain folders",
            hint="someone put a link, folder or device into the store; look at it before removing it",
        )
    return OutageError(f"blob {name}: {error.strerror}")
