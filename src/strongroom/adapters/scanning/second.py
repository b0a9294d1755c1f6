"""Asks other scanners, if they are installed, each in a process of its own without network.

Their answers come back as `Opinion`: nothing of this is near what accepts or refuses an upload.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from strongroom.adapters.scanning import confined
from strongroom.scan.opinions import Opinion, failed, parse_fickling, parse_modelaudit

TIMEOUT_S = 120.0
"""For all that one scanner is asked."""
MAX_OUTPUT_BYTES = 32 * 2**20
MAX_FILES = 32
"""That a scanner of single files is asked about."""
TOOLS = ("fickling", "modelaudit")
_LAUNCH = (sys.executable, "-I", "-m", "strongroom.adapters.scanning.confined")
_REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class _Ran:
    code: int
    output: bytes
    report: bytes


def find_tools() -> dict[str, Path]:
    """Return the scanners that are installed: beside this Python, or on the path."""
    beside = str(Path(sys.executable).parent)
    found = {tool: shutil.which(tool, path=beside) or shutil.which(tool) for tool in TOOLS}
    return {tool: Path(path) for tool, path in found.items() if path is not None}


def ask_others(root: Path, pickles: Sequence[str], tools: dict[str, Path]) -> list[Opinion]:
    """Return what each scanner says: modelaudit of ``root``, fickling of the pickles below it.

    It never raises for what a scanner does: one that hangs, crashes or cannot be confined has no opinion.
    """
    root = root.absolute()
    opinions: list[Opinion] = []
    if "fickling" in tools:
        opinions += _ask_fickling(tools["fickling"], root, pickles)
    if "modelaudit" in tools:
        command = [str(tools["modelaudit"]), "scan", "--format", "json", "--no-cache", str(root)]
        opinions.append(
            _ask(
                "modelaudit",
                str(root),
                command,
                TIMEOUT_S,
                lambda ran: parse_modelaudit(root.name, ran.output),
            )
        )
    return opinions


def _ask_fickling(tool: Path, root: Path, pickles: Sequence[str]) -> list[Opinion]:
    until = time.monotonic() + TIMEOUT_S
    opinions = []
    for path in pickles[:MAX_FILES]:
        file = root / path if root.is_dir() else root
        command = [str(tool), "--check-safety", "--json-output", _REPORT, str(file)]
        left = max(until - time.monotonic(), 0.0)
        opinions.append(_ask("fickling", path, command, left, partial(_read_fickling, path)))
    return opinions


def _read_fickling(path: str, ran: _Ran) -> Opinion:
    return parse_fickling(path, ran.report)


def _ask(
    tool: str, path: str, command: list[str], timeout_s: float, read: Callable[[_Ran], Opinion]
) -> Opinion:
    with tempfile.TemporaryDirectory(prefix="strongroom-second-") as folder:
        try:
            ran = _run(command, Path(folder), timeout_s)
        except subprocess.TimeoutExpired:
            return failed(tool, path, f"gave no answer within {TIMEOUT_S:g} s")
        except OSError as error:
            return failed(tool, path, f"cannot be started: {error.strerror}")
    if ran.code == confined.UNCONFINED:
        return failed(tool, path, "not asked: this machine gives it no place without network")
    if ran.code < 0:
        return failed(tool, path, f"was ended by {signal.Signals(-ran.code).name}")
    return read(ran)


def _run(command: list[str], folder: Path, timeout_s: float) -> _Ran:
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PROMPTFOO_DISABLE_TELEMETRY": "1",
        "NO_ANALYTICS": "1",
    }
    output = folder / "output"
    with output.open("wb") as written:
        process = subprocess.Popen(
            [*_LAUNCH, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_s)
        finally:
            _end(process)
    return _Ran(code, _read(output), _read(folder / _REPORT))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End it and all that it started: they are a session of their own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_OUTPUT_BYTES)
    except OSError:
        return b""
