"""Who writes the home hides what a gateway decided: journals removed, cut, or put away as if done."""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.adapters.journals.local import LocalJournals
from strongroom.errors import RejectedError
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.journal import Folding, certify_journal
from strongroom.flows.requests import read_requests
from strongroom.flows.vault import Vault, read_authority
from strongroom.trust.batch import Batch
from strongroom.trust.journal import JournalSigner
from tests.flows.scene import AUDITOR, OPERATOR, Scene, furnished
from tests.unit.trust import chronicle

JOURNAL = bytes(range(16))
NAME = JOURNAL.hex()
SIGNER = JournalSigner(bytes(32))


@dataclass
class Serving:
    """A supervisor that folds, and its gateway's journal, locked as the gateway has it."""

    scene: Scene
    folder: Path
    folding: Folding
    batches: list[Batch]
    lock: int = -1

    @property
    def vault(self) -> Vault:
        return self.scene.vault

    @property
    def path(self) -> Path:
        return self.folder / f"{NAME}.journal"

    @property
    def closed(self) -> Path:
        return self.folder / "closed" / f"{NAME}.journal"

    def write(self, batches: int) -> None:
        data = chronicle.journal_file(self.batches[:batches], JOURNAL)
        if self.lock < 0:
            self.path.write_bytes(b"")
            self.lock = os.open(self.path, os.O_RDWR)
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        os.pwrite(self.lock, data, 0)

    def stop(self) -> None:
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    @property
    def folded(self) -> int | None:
        return read_authority(self.vault).journals[NAME].folded

    def put_away(self) -> None:
        self.closed.parent.mkdir(exist_ok=True)
        self.path.rename(self.closed)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    scene = furnished()
    scene.vault.journals = LocalJournals(tmp_path)
    folding = Folding(scene.vault, OPERATOR)
    folding.fold()
    certify_journal(scene.vault, OPERATOR, NAME, SIGNER.public_pem.decode())
    made = Serving(scene, tmp_path, folding, chronicle.batches(2, 3, 1, 2, journal=JOURNAL, signer=SIGNER))
    yield made
    made.stop()


def test_a_journal_removed_before_its_first_fold_is_recorded(serving: Serving) -> None:
    serving.write(2)
    serving.path.unlink()
    serving.scene.clock.advance(timedelta(seconds=30))
    with pytest.raises(RejectedError, match="is missing"):
        serving.folding.fold()
    last = serving.scene.events[-1]
    assert (last.action, last.subject, last.decision) == ("fold", NAME, "reject")
    assert serving.folding.fold() == 0  # said once


def test_a_gateway_that_is_just_starting_is_not_suspected(serving: Serving) -> None:
    before = len(serving.scene.events)
    assert serving.folding.fold() == 0
    assert len(serving.scene.events) == before
    serving.write(1)
    assert serving.folding.fold() == 1


def test_a_journal_put_among_the_closed_ones_is_folded_on(serving: Serving) -> None:
    """Its gateway goes on writing there, and nobody would have looked again."""
    serving.write(1)
    serving.put_away()
    assert serving.folding.fold() == 1
    serving.write(3)
    assert serving.folding.fold() == 2
    serving.stop()
    assert serving.folding.fold() == 0
    assert serving.folded == 2
    assert verify_whole_log(serving.vault).predictions == 6


def test_a_journal_put_away_while_nobody_folds_is_found(serving: Serving) -> None:
    serving.write(2)
    serving.folding.fold()
    serving.write(3)
    serving.put_away()
    serving.stop()
    with pytest.raises(RejectedError, match="put among the closed ones before it was folded"):
        verify_whole_log(serving.vault)


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_requests_cut_behind_a_fold_are_missed_when_they_are_read(serving: Serving, batches: int) -> None:
    serving.write(3)
    serving.folding.fold()
    serving.path.write_bytes(chronicle.journal_file(serving.batches[:batches], JOURNAL))
    with pytest.raises(RejectedError, match=f"ends after {batches} batches, 3 are in the log"):
        list(read_requests(serving.vault, AUDITOR))


def test_requests_of_a_removed_journal_are_missed_when_they_are_read(serving: Serving) -> None:
    serving.write(3)
    serving.folding.fold()
    serving.path.unlink()
    with pytest.raises(RejectedError, match="is missing, 3 batches are in the log"):
        list(read_requests(serving.vault, AUDITOR))
