"""kill -9 during backup and restore: a backup counts whole or not at all, and a home appears whole or not."""

import shutil
import time
from pathlib import Path

import pytest

from tests.cli.press import Shell
from tests.faults.home import instants, require_whole, run_and_kill
from tests.faults.killing import Killer

pytestmark = pytest.mark.slow

BUDGET_S = 8.0
LEAST = 4
MOST = 60


def _measure(shell: Shell, *arguments: str) -> float:
    started = time.monotonic()
    shell.ok(*arguments)
    return time.monotonic() - started


def test_backup_killed_at_random_instants(shell: Shell) -> None:
    place = shell.root / "backup"
    lasts_s = _measure(shell, "backup", "create", str(place))
    chance = instants(seed=11)
    for round_ in Killer("backup", budget_s=BUDGET_S, least=LEAST, most=MOST).rounds():
        if round_ % 5 == 0:
            version = f"fraud@3.{round_}.0"
            shell.ok("publish", "model.onnx", "--as", version, "--owner", "risk", "--identity", "dora")
        run_and_kill(shell, ("backup", "create", str(place)), chance.uniform(0, lasts_s))
        require_whole(shell.home)
    shell.ok("backup", "create", str(place))
    shell.ok("backup", "verify", str(place), "--full")
    shutil.rmtree(shell.home)
    shell.ok("restore", str(place))
    require_whole(shell.home)


def test_restore_killed_at_random_instants(shell: Shell) -> None:
    place = shell.root / "backup"
    shell.ok("backup", "create", str(place))
    lost = shell.root / "lost"
    shell.home.rename(lost)
    lasts_s = _measure(shell, "restore", str(place))
    chance = instants(seed=12)
    for _ in Killer("restore", budget_s=BUDGET_S, least=LEAST, most=MOST).rounds():
        shutil.rmtree(shell.home, ignore_errors=True)
        for _ in range(2):  # the second goes on where the first was cut off
            run_and_kill(shell, ("restore", str(place)), chance.uniform(0, lasts_s))
        if not shell.home.exists():
            shell.ok("restore", str(place))
        require_whole(shell.home)
        assert not _drafts(shell.root), "nothing is left beside the home"


def _drafts(folder: Path) -> list[Path]:
    return list(folder.glob(".*.rising"))
