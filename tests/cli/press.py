"""Runs one command line in a process of its own, forked from one that has the imports done already."""

import multiprocessing
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from strongroom.cli.contents import CONTENTS

_CONTEXT = multiprocessing.get_context("forkserver")
# A user's process imports the room of its command; here all are there before the first fork.
_CONTEXT.set_forkserver_preload(["tests.cli.press", *(f"strongroom.cli.{room}" for room in CONTENTS)])
TIMEOUT_S = 60

PASSPHRASE = "maple-otter-violet-17-kettle"


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it wrote."""

    code: int | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        return orjson.loads(self.out)

    @property
    def error(self) -> str:
        """The one ``error:`` line."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return line.removeprefix("error: ")

    @property
    def hint(self) -> str:
        (line,) = [line for line in self.err.splitlines() if line.startswith("hint: ")]
        return line.removeprefix("hint: ")


@dataclass
class Shell:
    """A user with a HOME and a home, and a passphrase file unless a test takes it away."""

    root: Path
    home: Path
    passphrase_file: Path | None = None
    transcript: list[str] = field(default_factory=list)
    """All that commands printed, to be searched for secrets."""

    def __call__(self, *arguments: str, stdin: bytes | None = None, **environment: str) -> Outcome:
        given = {"HOME": str(self.root), "STRONGROOM_HOME": str(self.home), "PATH": os.environ["PATH"]}
        if self.passphrase_file is not None:
            given["STRONGROOM_PASSPHRASE_FILE"] = str(self.passphrase_file)
        if stdin is not None:
            (self.root / "stdin").write_bytes(stdin)
        process = _CONTEXT.Process(
            target=_press, args=(list(arguments), {**given, **environment}, str(self.root), stdin is not None)
        )
        process.start()
        process.join(TIMEOUT_S)
        if process.is_alive():
            process.kill()
            raise AssertionError(f"{' '.join(arguments)}: still running after {TIMEOUT_S} s")
        outcome = Outcome(
            process.exitcode, (self.root / "stdout").read_text(), (self.root / "stderr").read_text()
        )
        self.transcript += [outcome.out, outcome.err]
        return outcome

    def ok(self, *arguments: str, **environment: str) -> Outcome:
        """Run what must succeed."""
        outcome = self(*arguments, **environment)
        assert outcome.code == 0, (arguments, outcome)
        return outcome


def _press(arguments: list[str], environment: dict[str, str], root: str, has_stdin: bool) -> None:
    """In the new process: become a shell's child, then run."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(root)
    source = os.open(f"{root}/stdin" if has_stdin else os.devnull, os.O_RDONLY)
    os.dup2(source, 0)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        target = os.open(f"{root}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(target, descriptor)
        os.close(target)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    from strongroom.cli import main

    try:
        main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
