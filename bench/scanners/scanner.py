"""What a scanner made of a file, and how it was asked: always by its own command, in a process of its own."""

import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
OURS = _ROOT / ".venv" / "bin"
RIVALS = _ROOT / ".venv-bench-scan" / "bin"
_MAX_OUTPUT_BYTES = 64 * 2**20


class Outcome(StrEnum):
    """Only `FLAGGED` is a finding. A scanner that fails on a file has not said that it is dangerous."""

    FLAGGED = "flagged"
    PASSED = "passed"
    NOT_SCANNED = "not scanned"
    FAILED = "failed"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a scanner over one file or folder."""

    code: int
    output: str
    errors: str
    processor_s: float
    """Of the process and all its children."""
    memory_bytes: int
    """Resident peak of its largest process."""
    timed_out: bool


Reading = Callable[[Ran], Outcome]


@dataclass(frozen=True, slots=True)
class Scanner:
    """A command, and the ways in which one may read its answer: by severity, say."""

    name: str
    command: Callable[[Path], list[str]]
    readings: Mapping[str, Reading]

    def outcomes(self, ran: Ran) -> dict[str, Outcome]:
        """What each reading makes of it; an answer that cannot be read is a failure."""
        found = {}
        for name, read in self.readings.items():
            if ran.timed_out:
                found[name] = Outcome.TIMED_OUT
                continue
            try:
                found[name] = read(ran)
            except (ValueError, KeyError, TypeError):
                found[name] = Outcome.FAILED
        return found


def run(scanner: Scanner, path: Path, timeout_s: float) -> Ran:
    """Run it, with an empty home and nothing of this environment: no settings, no cache, no telemetry."""
    with (
        tempfile.TemporaryDirectory(prefix="strongroom-bench-") as home,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        process = subprocess.Popen(
            scanner.command(path),
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": home,
                "NO_COLOR": "1",
                "NO_ANALYTICS": "1",
                "LANG": "C.UTF-8",
            },
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        code, usage, timed_out = _wait(process, timeout_s)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read(_MAX_OUTPUT_BYTES).decode(errors="replace"))
    processor_s = usage.ru_utime + usage.ru_stime
    return Ran(code, texts[0], texts[1], processor_s, usage.ru_maxrss * 1024, timed_out)


def _wait(process: "subprocess.Popen[bytes]", timeout_s: float) -> tuple[int, resource.struct_rusage, bool]:
    end = time.monotonic() + timeout_s
    timed_out = False
    while True:
        # wait4(2) says what this process and its children took, and of no other.
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage, timed_out
        if not timed_out and time.monotonic() > end:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.01)
