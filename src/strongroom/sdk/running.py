"""Which supervisors of a home run on this machine: one small file each, believed only while locked."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

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


@contextmanager
def announced(home: Path, running: Running) -> Iterator[None]:
    """Stand in the list while the block runs; a file that a dead holder left behind counts for nothing."""
    folder = home / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{running.pid}.json"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, orjson.dumps(asdict(running)))
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


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
            content = os.pread(descriptor, MAX_FILE_BYTES, 0)
            found.append((os.fstat(descriptor).st_mtime_ns, content))
        else:
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    running = []
    for _, content in sorted(found):
        try:
            running.append(Running(**orjson.loads(content)))
        except (orjson.JSONDecodeError, TypeError):
            continue  # being written this very moment
    return running
