"""Times one case in a process of its own: seconds, processor seconds, and memory over what it began with.

A case is a script with two functions, `seal(source, folder)` and `load(folder)`; it ends with
`meter.main(seal, load)`. The standard library is all it needs, so that it runs in either environment.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

CHUNK_BYTES = 2**20


Finish = Callable[[], None]
"""What a seal still has to do for its result to survive a power cut; without one, files are synced."""


class Loaded(Protocol):
    """A model in memory, kept there until it was checked."""

    def read(self, offset: int, size: int) -> bytes: ...

    @property
    def hidden_bytes(self) -> int:
        """Memory that counts although it is in no process's RSS: a memfd that is not mapped."""


def main(seal: Callable[[Path, Path], Finish | None], load: Callable[[Path], Loaded] | None) -> None:
    """``argv``: verb (seal, load), warmth (warm, cold), source file, folder of this case. Prints JSON."""
    verb, warmth, source, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    if verb == "seal":
        finishers: list[Finish | None] = []
        result = _measure([source], warmth, lambda: finishers.append(seal(source, folder)))
        started = time.perf_counter()
        (finishers[0] or (lambda: _sync(folder)))()
        result["durable_s"] = result["elapsed_s"] + time.perf_counter() - started
    elif load is not None:
        inputs = [path for path in folder.rglob("*") if path.is_file()]
        kept: list[Loaded] = []
        result = _measure(inputs, warmth, lambda: kept.append(load(folder)))
        result["memory_bytes"] += kept[0].hidden_bytes
        _check(source, kept[0])
    else:
        raise SystemExit("this case loads nothing")
    print(json.dumps(result))


def _measure(inputs: list[Path], warmth: str, work: Callable[[], Any]) -> dict[str, Any]:
    _warm(inputs) if warmth == "warm" else _cool(inputs)
    _reset_peak()
    base, used = _status("VmRSS"), _processor_s()
    started = time.perf_counter()
    work()
    elapsed = time.perf_counter() - started
    return {
        "elapsed_s": elapsed,
        "processor_s": _processor_s() - used,
        "memory_bytes": _status("VmHWM") - base,
    }


def _warm(inputs: list[Path]) -> None:
    buffer = bytearray(CHUNK_BYTES)
    for path in inputs:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _cool(inputs: list[Path]) -> None:
    """Drop the inputs from the page cache: everything as root, else just these files."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        for path in inputs:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fdatasync(file.fileno())


def _check(source: Path, loaded: Loaded) -> None:
    """What was loaded is what was sealed; looked at in one place of every MiB."""
    size = source.stat().st_size
    with source.open("rb") as file:
        for offset in range(0, size, CHUNK_BYTES):
            file.seek(offset)
            if loaded.read(offset, 64) != file.read(64):
                raise SystemExit(f"loaded bytes differ at {offset}")


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5\n")  # proc(5): resets VmHWM


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status: no {field}")


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
