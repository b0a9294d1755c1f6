"""Whole homes, logs and clocks exchanged: what another process, or this one, makes of them."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.adapters.log.memory import MemoryLog
from strongroom.errors import DeniedError, OutageError, RejectedError
from strongroom.flows.approve import approve
from strongroom.flows.audit import read_log
from strongroom.flows.release import release
from strongroom.flows.revoke import revoke_version
from strongroom.flows.vault import identity_key, moment, read_authority
from strongroom.ports import Signer
from strongroom.values import KeyUri, State
from tests.cli.conftest import new_shell
from tests.cli.press import Shell
from tests.flows.scene import (
    ADMIN,
    AUDITOR,
    ONE,
    OPERATOR,
    OWNER,
    REVIEWER,
    TWO,
    Scene,
    furnished,
)

PARTS = ("trust.json", "ca.pem", "log", "catalog.sqlite", "blobs", "journals")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an attacker who knows its passphrase, with people and a model of the same names."""
    shell = new_shell(tmp_path_factory.mktemp("foreign"))
    shell.passphrase_file.write_text("another-good-passphrase-23\n")  # type: ignore[union-attr]
    shell.ok("init", "--identity", "ada", "--insecure-solo")
    shell.ok("publish", "model.onnx", "--as", "fraud@1.0.0", "--owner", "risk")
    shell.ok("approve", "fraud@1.0.0")
    return shell.home


def _exchange(home: Path, foreign: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        # With the write-ahead log of a catalog.
        for old in home.glob(f"{part}*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        for new in foreign.glob(f"{part}*"):
            shutil.copytree(new, home / new.name) if new.is_dir() else shutil.copy(new, home / new.name)


@pytest.mark.parametrize("arguments", [("verify", "fraud@1.0.0"), ("log", "verify"), ("doctor",)])
def test_everything_but_the_keystore(shell: Shell, foreign: Path, arguments: tuple[str, ...]) -> None:
    _exchange(shell.home, foreign, PARTS)
    outcome = shell(*arguments)
    assert outcome.code == 4, outcome
    assert "trust.json: names other keys than the keystore holds" in outcome.error


def test_the_keystore_too(shell: Shell, foreign: Path) -> None:
    """A deployment that keeps its passphrase elsewhere does not open it."""
    _exchange(shell.home, foreign, (*PARTS, "keystore.json"))
    for arguments in (("serve", "fraud"), ("verify", "fraud@1.0.0"), ("log", "verify")):
        outcome = shell(*arguments)
        assert outcome.code == 3, outcome
        assert "passphrase" in outcome.error


@pytest.mark.parametrize("part", ["trust.json", "log", "catalog.sqlite", "blobs", "keystore.json"])
def test_one_part_alone(shell: Shell, foreign: Path, part: str) -> None:
    _exchange(shell.home, foreign, (part,))
    assert shell("verify", "fraud@1.0.0").code in (3, 4)


# The clock


def test_a_clock_far_ahead_once_locks_nobody_out() -> None:
    """One record of the year 2046 would end every grant and certificate for good."""
    scene = furnished()
    right = scene.clock.at
    scene.clock.at = right + timedelta(days=20 * 365)
    before = len(scene.events)
    for act in (
        lambda: release(scene.vault, OPERATOR, ONE),
        lambda: revoke_version(scene.vault, OWNER, ONE, "x"),
        lambda: list(read_log(scene.vault, AUDITOR)),
    ):
        with pytest.raises(OutageError, match="clock"):
            act()
    assert len(scene.events) == before
    scene.clock.at = right
    release(scene.vault, OPERATOR, ONE).close()
    assert moment(scene.vault, read_authority(scene.vault)) - right < timedelta(minutes=1)


def test_a_home_unused_for_most_of_a_year_works_on() -> None:
    scene = furnished()
    scene.clock.advance(timedelta(days=364))
    with pytest.raises(Exception, match="certificate-expired"):
        revoke_version(scene.vault, ADMIN, ONE, "x")


# Races


def test_revoked_between_the_check_and_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log must never show a release after the revocation."""
    scene = furnished()
    reading = scene.blobs.read

    def read(name: str, limit: int) -> bytes:
        if name.endswith("model.sig"):
            monkeypatch.setattr(scene.blobs, "read", reading)
            revoke_version(scene.reopened(), OWNER, ONE, "found a flaw")
        return reading(name, limit)

    monkeypatch.setattr(scene.blobs, "read", read)
    with pytest.raises(RejectedError, match="is revoked"):
        release(scene.vault, OPERATOR, ONE)
    assert all(memory.is_closed for memory in scene.memory.allocated.values())  # type: ignore[attr-defined]
    assert scene.events[-1].decision == "reject"


def test_files_exchanged_between_verification_and_display(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = furnished()
    records = read_log(scene.vault, AUDITOR)
    forged = _without_revocations(scene)
    monkeypatch.setattr(scene.log, "leaves", forged)
    with pytest.raises(RejectedError, match="changed while it was read"):
        list(records)


def _without_revocations(scene: Scene):  # type: ignore[no-untyped-def]
    """The log as somebody would like it read: one record is another's copy."""
    genuine = MemoryLog.leaves

    def leaves(start: int, end: int):  # type: ignore[no-untyped-def]
        for index, leaf in enumerate(genuine(scene.log, start, end)):
            yield scene.log._leaves[0] if index == 5 else leaf

    return leaves


# The remembered head


def test_a_catalog_deleted_to_forget_the_head_is_recorded(shell: Shell) -> None:
    """With it a log that was cut would pass: not unseen."""
    for path in shell.home.glob("catalog.sqlite*"):
        path.unlink()
    assert "remembers no head" in shell("doctor").out
    shell.ok("list")
    assert "remembers no head" in shell("doctor").out  # a reader without the keys does not cover it up
    assert "catalog-lost" not in shell.ok("log", "show").out
    shell.ok("verify", "fraud@1.0.0")
    shown = shell.ok("log", "show", "--last", "2").out
    assert [line.split("\t")[3] for line in shown.splitlines()[1:]] == ["catalog-lost", "verify"]
    assert "remembers no head" not in shell("doctor").out


def test_a_lock_file_removed_between_two_approvals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both judged by the same records: the second must not be written, for no replay would accept it."""
    scene = furnished()
    scene.publish(TWO)
    signing = scene.keys.signer
    other = scene.reopened()

    def signer(key: KeyUri) -> Signer:
        if key == identity_key(REVIEWER):
            monkeypatch.setattr(scene.keys, "signer", signing)
            approve(other, REVIEWER, TWO)
        return signing(key)

    monkeypatch.setattr(scene.keys, "signer", signer)
    with pytest.raises(RejectedError, match="has the approval of rita already"):
        approve(scene.vault, REVIEWER, TWO)
    monkeypatch.undo()
    assert read_authority(scene.reopened(afresh=True)).versions[TWO].state is State.APPROVED


def test_denials_written_meanwhile_stop_no_approval(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = furnished()
    scene.publish(TWO)
    signing = scene.keys.signer
    other = scene.reopened()

    def signer(key: KeyUri) -> Signer:
        if key == identity_key(REVIEWER):
            with pytest.raises(DeniedError):
                revoke_version(other, REVIEWER, TWO, "may not")
        return signing(key)

    monkeypatch.setattr(scene.keys, "signer", signer)
    approve(scene.vault, REVIEWER, TWO)
    assert read_authority(scene.reopened(afresh=True)).versions[TWO].state is State.APPROVED
