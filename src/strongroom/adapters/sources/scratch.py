"""A folder that goes with its holder: removed when closed, swept by the next one if we were killed."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from strongroom.errors import InvalidError, OutageError

MEMORY = Path("/dev/shm")  # noqa: S108 - in memory, and each folder in it is for its owner only
_PREFIX = "strongroom-source-"
_DRAFT_PREFIX = ".strongroom-source-"
_LOCK = "held"
_IN_MEMORY = ("tmpfs", "ramfs")
_MOUNTS = Path("/proc/self/mounts")


class Scratch:
    """``memory``: one whose files are in memory, since no plaintext of a model touches a disk (I1)."""

    def __init__(self, *, memory: bool) -> None:
        """Raises InvalidError: there is no such memory here. OutageError: no room, or no right to it."""
        if memory and not _is_memory(MEMORY):
            raise InvalidError(
                f"{MEMORY}: is not in memory here", hint="clone it and publish git:FOLDER@COMMIT"
            )
        parent = MEMORY if memory else Path(tempfile.gettempdir())
        _sweep(parent)
        try:
            # Held before it has the name that others sweep by.
            draft = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX, dir=parent))
            self._lock = os.open(draft / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self.path = draft.rename(parent / f"{_PREFIX}{draft.name.removeprefix(_DRAFT_PREFIX)}")
        except OSError as error:
            raise OutageError(f"{parent}: {(error.strerror or 'cannot be written').lower()}") from None

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _sweep(parent: Path) -> None:
    """Remove what others of this user left that were killed; a lock that can be had is nobody's."""
    for path in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if path.lstat().st_uid != os.geteuid() or path.is_symlink():
                continue
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _is_memory(folder: Path) -> bool:
    """Whether the file system that ``folder`` is on keeps its files in memory."""
    try:
        lines = [line.split(" ") for line in _MOUNTS.read_text().splitlines()]
        place = folder.resolve(strict=True)
    except OSError:
        return False
    mounts = [(Path(line[1]), line[2]) for line in lines if len(line) > 3]
    on = [(mount, kind) for mount, kind in mounts if place == mount or mount in place.parents]
    return bool(on) and max(on, key=lambda one: len(one[0].parts))[1] in _IN_MEMORY
