"""Which supervisors of a home run on this machine: one small file each, believed only while locked."""

import fcntl
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from strongroom.errors import OutageError

FOLDER = "run"
MAX_FILE_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Running:
    """One supervisor. ``name`` is a host name that its certificate carries."""

    pid: int
    name: str
    port: int
    models: list[str]
    sandbox: dict[str, str]
    tls: str


class Announcement:
    """A place in the list while the block runs; a file that a dead holder left behind counts for nothing."""

    def __init__(self, home: Path) -> None:
        # In two containers that share a home, two processes may have the same number.
        self._path = home / FOLDER / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Raises OutageError if the home cannot be written."""
        draft = self._path.with_suffix(".draft")
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            # Locked before it has its name, or `find_running` could sweep it in between.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            draft.rename(self._path)
        except OSError as error:
            raise OutageError(f"{self._path.parent}: {error.strerror}") from None
        return self

    def say(self, running: Running) -> None:
        """Make known what runs."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, orjson.dumps(asdict(running)), 0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def find_running(home: Path) -> list[Running]:
    """Return the supervisors that are alive, the longest running first; sweeps what the dead left."""
    found = []
    for path in sorted((home / FOLDER).glob("*.json")):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(OSError):  # a pipe, which nobody announces in
                content = os.pread(descriptor, MAX_FILE_BYTES, 0)
                found.append((os.fstat(descriptor).st_mtime_ns, content))
        else:
            with suppress(OSError):  # not ours to sweep
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    return [running for _, content in sorted(found) if (running := _parse(content)) is not None]


def _parse(content: bytes) -> Running | None:
    """Return what a supervisor said; None while it has said nothing, or if this is nothing that one says."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    match value:
        case {
            "pid": int(pid),
            "name": str(name),
            "port": int(port),
            "models": list(models),
            "sandbox": dict(sandbox),
            "tls": str(tls),
        } if len(value) == len(fields(Running)):
            if 0 < port < 2**16 and all(isinstance(text, str) for text in (*models, *sandbox.values())):
                return Running(pid, name, port, models, sandbox, tls)
    return None
