"""Reads the transcripts in a page of documentation and plays them again, on a terminal, in a fresh home.

A block marked ``console`` is a transcript: ``$ command``, then what a person sees. A block marked ``python``
is a program; each of its comments ``# prints: x`` is a line that it prints. ``…`` stands for anything within
a line; a line of its own, for any lines. What ends in ``Ctrl-C`` goes on running until the page ends.
"""

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PASSPHRASE = "five random words would do"
PAGE_PORT = "8443"
TIMEOUT_S = 120.0
_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PRINTS = re.compile(r"# prints: (.*)")
_LEFT_TO_RUN = "Ctrl-C"
_SERVES_AT = re.compile(r"https://localhost:(\d+)")


@dataclass(frozen=True)
class Step:
    """One command or program of a page, and the lines it is said to print."""

    text: str
    expected: list[str]
    language: str


def read_steps(page: Path) -> list[Step]:
    steps = []
    for language, block in _BLOCK.findall(page.read_text()):
        if language == "python":
            steps.append(Step(block, _PRINTS.findall(block), language))
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            while command.endswith("\\"):
                more, _, printed = printed.partition("\n")
                command = f"{command[:-1]}{more.lstrip('> ')}"
            steps.append(Step(command, printed.splitlines(), language))
    return steps


def require_printed(step: Step, printed: list[str]) -> None:
    """Raises AssertionError with both sides if the page says something else than what was printed.

    Blank lines and the width of columns do not count.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
        for line in _squeezed(step.expected)
    )
    seen = "".join(f"{line}\n" for line in _squeezed(printed))
    if re.fullmatch(pattern, seen) is None:
        wanted = "\n".join(step.expected)
        raise AssertionError(f"\n$ {step.text}\n--- the page says\n{wanted}\n--- it printed\n{seen}")


@dataclass
class Reader:
    """Someone who types what a page says, in an empty folder that is also their HOME."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: str = PAGE_PORT
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        secret = self.folder / "passphrase"
        secret.write_text(f"{PASSPHRASE}\n")
        self.environment = {
            "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "HOME": str(self.folder),
            "STRONGROOM_PASSPHRASE_FILE": str(secret),
            "TERM": "dumb",
            "COLUMNS": "200",
            "LINES": "50",
            "LC_ALL": "C.UTF-8",
        }

    def follow(self, page: Path) -> None:
        """Do every step of the page and compare. Raises AssertionError at the first difference."""
        try:
            for step in read_steps(page):
                require_printed(step, self._do(step))
        finally:
            self._stop()

    def _do(self, step: Step) -> list[str]:
        if step.language == "python":
            ran = subprocess.run(
                [sys.executable, "-c", self._here(step.text)],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            return [*ran.stdout.splitlines(), *ran.stderr.splitlines()]
        if step.text.startswith("export "):
            for word in shlex.split(step.text)[1:]:
                name, _, value = word.partition("=")
                self.environment[name] = value.replace("$PWD", str(self.folder))
            return []
        stays = bool(step.expected) and step.expected[-1].endswith(_LEFT_TO_RUN)
        lines = self._type(self._here(step.text), until=_LEFT_TO_RUN if stays else None)
        if step.text.startswith("strongroom init"):
            self._take_a_free_port()
        if stays:
            served = _SERVES_AT.search("\n".join(lines))
            assert served is not None, lines
            self.port = served[1]
        return [line.replace(f":{self.port}", f":{PAGE_PORT}") for line in lines]

    def _here(self, text: str) -> str:
        return text.replace(f":{PAGE_PORT}", f":{self.port}")

    def _take_a_free_port(self) -> None:
        """Two pages may be read at the same time on one machine."""
        home = Path(self.environment.get("STRONGROOM_HOME", self.folder / ".strongroom"))
        with (home / "strongroom.toml").open("a") as settings:
            settings.write("[serve]\nport = 0\n")

    def _type(self, command: str, until: str | None) -> list[str]:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        shown = ""
        for part in _read(ours):
            shown += part
            if until is not None and any(line.endswith(until) for line in shown.splitlines()):
                self.running.append(process)
                return shown.splitlines()
        os.close(ours)
        process.wait(TIMEOUT_S)
        return shown.splitlines()

    def _stop(self) -> None:
        for process in self.running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _squeezed(lines: list[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines if line.strip()]


def _read(terminal: int) -> Iterator[str]:
    deadline = time.monotonic() + TIMEOUT_S
    while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end is closed: EIO
            return
        if not part:
            return
        yield part.decode(errors="replace").replace("\r\n", "\n")
    raise AssertionError(f"nothing more was printed for {TIMEOUT_S} s")
