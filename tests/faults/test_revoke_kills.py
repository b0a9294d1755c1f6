"""kill -9 while revoking and shredding: as before or as after, and the same command ends well afterwards."""

import time

import pytest

from strongroom.flows.catalog import sync_catalog
from strongroom.flows.revocations import read_list, require_log_of
from strongroom.flows.vault import read_authority
from strongroom.values import ModelId, State
from strongroom.wiring import open_home
from tests.cli.press import PASSPHRASE, Shell
from tests.faults.home import instants, run_and_kill
from tests.faults.killing import Killer

pytestmark = pytest.mark.slow

BUDGET_S = 12.0
LEAST, MOST = 4, 60
KEPT = ModelId.parse("fraud@1.0.0")
"""Stays, whatever happens to the others."""


@pytest.fixture
def home(shell: Shell) -> Shell:
    shell.ok("identity", "add", "ben", "--role", "admin")
    return shell


def _publish(shell: Shell, round_: int) -> ModelId:
    model = ModelId.parse(f"fraud@2.{round_}.0")
    shell.ok("publish", "model.onnx", "--as", str(model), "--owner", "risk", "--identity", "dora")
    return model


def _state(shell: Shell, model: ModelId) -> State:
    """The log verifies, what stays opens, and the list is one of this log, if there is one."""
    shell.ok("log", "verify")
    shell.ok("verify", str(KEPT), "--full")
    vault = open_home(shell.home, PASSPHRASE)
    sync_catalog(vault)
    listed = read_list(vault)
    if listed is not None:
        require_log_of(vault, listed)
    return read_authority(vault).versions[model].state


def test_revoke_killed_at_random_instants(home: Shell) -> None:
    chance, lasts_s = instants(seed=31), 0.0
    for round_ in Killer("revoke", budget_s=BUDGET_S, least=LEAST, most=MOST).rounds():
        if not lasts_s:
            other = _publish(home, 0)
            started = time.monotonic()
            home.ok("revoke", str(other), "--reason", "leaked")
            lasts_s = time.monotonic() - started
        model = _publish(home, round_)
        arguments = ("revoke", str(model), "--reason", "leaked")
        run_and_kill(home, arguments, chance.uniform(0.2, 1.05) * lasts_s)
        before = _state(home, model)
        again = home(*arguments)
        assert again.code == (2 if before is State.REVOKED else 0), again
        assert _state(home, model) is State.REVOKED


def test_shred_killed_at_random_instants(home: Shell) -> None:
    chance, lasts_s = instants(seed=32), 0.0
    for round_ in Killer("shred", budget_s=BUDGET_S, least=LEAST, most=MOST).rounds():
        if not lasts_s:
            other = _publish(home, 0)
            home.ok("shred", str(other), "--reason", "asked for")
            started = time.monotonic()
            home.ok("shred", str(other), "--confirm", "--identity", "ben")
            lasts_s = time.monotonic() - started
        model = _publish(home, round_)
        home.ok("shred", str(model), "--reason", "asked for")
        confirm = ("shred", str(model), "--confirm", "--identity", "ben")
        run_and_kill(home, confirm, chance.uniform(0.2, 1.05) * lasts_s)
        home(*confirm)  # goes on, or there is nothing left to do
        assert _state(home, model) is State.REVOKED
        assert home("verify", str(model)).code != 0
        assert not list((home.home / "blobs" / "fraud" / str(model.version)).glob("*.sealed"))
