"""What runs, as /proc shows it: descendants, descriptors, resident memory, command lines."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Value = TypeVar("_Value")
PROC = Path("/proc")


def descendants(pid: int) -> list[int]:
    """Return all processes below ``pid``, parents first."""
    found = []
    for task in _entries(PROC / str(pid) / "task"):
        for child in _text(task / "children").split():
            found += [int(child), *descendants(int(child))]
    return found


def command_line(pid: int) -> str:
    return _text(PROC / str(pid) / "cmdline").replace("\0", " ")


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    status = _text(PROC / str(pid) / "stat")
    return bool(status) and status.rpartition(")")[2].split()[0] not in "ZX"


def descriptors(pid: int) -> list[str]:
    """What each open descriptor stands for."""
    found = []
    for entry in _entries(PROC / str(pid) / "fd"):
        try:
            found.append(os.readlink(entry))
        except OSError:
            continue
    return found


def resident_bytes(pid: int) -> int:
    return int(_text(PROC / str(pid) / "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_until(check: Callable[[], _Value], timeout_s: float = 30.0, what: str = "") -> _Value:
    """Return the first true value of ``check``; an assertion error when there is none in time."""
    end = time.monotonic() + timeout_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s:g} s: {what or check}")
        time.sleep(0.02)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
