"""Homes that suffered something, and what must hold of them afterwards."""

import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom.flows import layout
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.release import verify
from strongroom.trust.authority import Authority
from strongroom.wiring import open_home
from tests.cli.press import _CONTEXT, PASSPHRASE, Shell, _press

CANNOT_MOUNT = 77
_CLONE_NEWNS = 0x00020000
_OPERATIONS = (
    *("write", "pwrite", "ftruncate", "fsync", "fdatasync"),
    *("link", "rename", "replace", "unlink", "mkdir", "rmdir"),
)


def require_whole(home: Path) -> Authority:
    """The home opens, its log and journals verify, and no version is there by halves."""
    vault = open_home(home, PASSPHRASE)
    verify_whole_log(vault)
    authority = sync_catalog(vault)
    for model, known in authority.versions.items():
        statement = verify(vault, "ada", model, full=True)
        expected = layout.expected_names(model, [entry.object for entry in statement.entries])
        assert list(vault.blobs.list(layout.prefix(model))) == expected
        row = vault.records.find_version(str(model))
        assert row is not None
        assert row.state is known.state
    return authority


def run_and_kill(shell: Shell, arguments: tuple[str, ...], after_s: float) -> None:
    """Run a command line and kill its process after so many seconds, unless it ended before."""
    process = _start(shell, _press, arguments)
    process.join(after_s)
    process.kill()
    process.join()


def run_and_die(shell: Shell, arguments: tuple[str, ...], at: int) -> bool:
    """Run a command line that kills itself at its file operation number ``at``; False if it had fewer."""
    process = _start(shell, _press_and_die, arguments, at)
    process.join(60)
    return bool(process.exitcode == -signal.SIGKILL)


def cloud_credentials() -> dict[str, str]:
    """What the tests of object stores put into this process, for a command that reaches one."""
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def _start(shell: Shell, target: Callable[..., None], arguments: tuple[str, ...], *more: Any) -> Any:
    environment = {
        "HOME": str(shell.root),
        "STRONGROOM_HOME": str(shell.home),
        "PATH": os.environ["PATH"],
        "STRONGROOM_PASSPHRASE_FILE": str(shell.passphrase_file),
        **cloud_credentials(),
    }
    process = _CONTEXT.Process(
        target=target, args=(*more, list(arguments), environment, str(shell.root), False)
    )
    process.start()
    return process


def _press_and_die(at: int, *rest: Any) -> None:
    left = [at]

    def doomed(plain: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*given: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*given, **named)

        return operation

    for name in _OPERATIONS:
        setattr(os, name, doomed(getattr(os, name)))
    _press(*rest)


def instants(seed: int) -> random.Random:
    """Where the killer strikes; the same in every run."""
    return random.Random(seed)


def in_private_mounts(act: Callable[..., None], *arguments: Any) -> None:
    """Run ``act`` in a process whose mounts nobody else sees; its failure is ours."""
    report = Path(arguments[0]) / "report"
    process = _CONTEXT.Process(target=_mounted, args=(str(report), act, arguments))
    process.start()
    process.join(300)
    if process.exitcode == CANNOT_MOUNT:
        pytest.skip("this container may not mount")
    assert process.exitcode == 0, report.read_text() if report.exists() else process.exitcode


def _mounted(report: str, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    private = 1 << 18 | 1 << 14  # MS_PRIVATE | MS_REC
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, private, None):
        sys.exit(CANNOT_MOUNT)
    try:
        act(*arguments)
    except BaseException:
        Path(report).write_text(traceback.format_exc())
        sys.exit(1)
