"""PostgreSQL is stopped at once and started again under load: nothing is lost, nothing unlogged."""

import random
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.errors import OutageError
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.grant import Wish, grant
from strongroom.flows.identity import add_identity
from strongroom.flows.vault import Replayed, Vault
from strongroom.trust.events import Event
from strongroom.values import Role
from strongroom.wiring import create_home, open_home
from tests.contract.test_ledgers import FOUNDER, PASSPHRASE, prepare
from tests.database import Database

pytestmark = pytest.mark.slow

ROUNDS = 6
WORKERS = 3
MAX_RECOVERY_S = 10.0
"""From when the server answers until every worker has succeeded again."""


class Worker:
    """Grants as fast as it can, and knows what it was told."""

    def __init__(self, vault: Vault, name: str) -> None:
        self._vault = replace(vault, replayed=Replayed())
        self._name = name
        self.told: list[str] = []
        self.refused: list[str] = []
        self.failures: list[BaseException] = []
        self.stop = threading.Event()
        self.succeeded = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            reason = f"{self._name} {number}"
            try:
                grant(self._vault, "ada", Wish("rita", Role.AUDITOR, "*", timedelta(days=1), reason))
            except OutageError as error:
                self.refused.append(f"{reason}: {error.message}")
                time.sleep(0.02)
            except BaseException as error:
                self.failures.append(error)
                self.succeeded.set()
                return
            else:
                self.told.append(reason)
                self.succeeded.set()


def test_stopped_and_started_under_load(tmp_path: Path, database: Database) -> None:
    home = tmp_path / "home"
    prepare(home, database)
    vault = create_home(home, PASSPHRASE, FOUNDER)
    add_identity(vault, "ada", "rita", 7)
    chance = random.Random(7)
    workers = [Worker(vault, name) for name in ("anna", "bert", "carl")[:WORKERS]]
    slowest_s = 0.0
    try:
        for _ in range(ROUNDS):
            time.sleep(chance.uniform(0.3, 1.2))
            database.stop()
            time.sleep(chance.uniform(0, 0.5))
            database.start()
            answers = time.monotonic()
            for worker in workers:
                if not worker.failures:
                    worker.succeeded.clear()
            for worker in workers:
                assert worker.succeeded.wait(30)
            assert [error for worker in workers for error in worker.failures] == []
            slowest_s = max(slowest_s, time.monotonic() - answers)
    finally:
        for worker in workers:
            worker.stop.set()
        for worker in workers:
            worker.thread.join(60)
    assert [error for worker in workers for error in worker.failures] == []
    assert slowest_s < MAX_RECOVERY_S
    assert any(worker.refused for worker in workers)  # it was felt

    again = open_home(home, PASSPHRASE)
    verify_whole_log(again)
    sync_catalog(again)
    size = again.records.head()
    assert size is not None
    events = [Event.parse(leaf) for leaf in again.log.leaves(0, size[0])]
    granted = [event.detail["grant"]["reason"] for event in events if event.action == "grant"]
    told = [reason for worker in workers for reason in worker.told]
    assert set(told) <= set(granted)  # nothing lost, nothing unlogged
    assert len(granted) == len(set(granted)) + len([each for each in granted if each == "first identity"]) - 1
    maybe = {reason.partition(":")[0] for worker in workers for reason in worker.refused}
    assert set(granted) - set(told) - maybe == {"first identity"}
    print(f"{len(told)} grants, {len(maybe)} refused, slowest recovery {slowest_s:.2f} s")
