"""Recovery drills through the command line: what was lost, and how the operator gets it back."""

import shutil
import time
from pathlib import Path

import pytest

from tests.cli.press import Shell

RECOVERED_WITHIN_S = 60.0
"""What a drill may take on a busy machine, for a home of one model; docs/recovery.md has measured ones."""


@pytest.fixture
def kept(shell: Shell) -> Path:
    place = shell.root / "backup"
    shell.ok("backup", "create", str(place))
    return place


def _drill(shell: Shell, *arguments: str) -> str:
    started = time.monotonic()
    output = shell.ok(*arguments).out
    assert time.monotonic() - started < RECOVERED_WITHIN_S
    return str(output)


def test_the_whole_home_is_lost(shell: Shell, kept: Path) -> None:
    shutil.rmtree(shell.home)
    assert "restored  snapshot 1" in _drill(shell, "restore", str(kept))
    shell.ok("verify", "fraud@1.0.0", "--full")
    shell.ok("log", "verify")
    shell.ok("publish", "model.onnx", "--as", "fraud@1.1.0", "--owner", "risk", "--identity", "dora")
    assert "snapshot 2" in shell.ok("backup", "create", str(kept)).out


def test_the_catalog_is_lost(shell: Shell) -> None:
    listed = shell.ok("list").out
    for path in shell.home.glob("catalog.sqlite*"):
        path.unlink()
    _drill(shell, "recover")
    assert shell.ok("list").out == listed


def test_the_catalog_is_rubbish(shell: Shell) -> None:
    listed = shell.ok("list").out
    for path in shell.home.glob("catalog.sqlite*"):
        path.unlink()
    (shell.home / "catalog.sqlite").write_bytes(b"rubbish" * 1000)
    _drill(shell, "recover")
    assert shell.ok("list").out == listed
    assert len(list(shell.home.glob("catalog.sqlite.damaged-*"))) == 1, "it is kept for who wants to know why"


def test_an_object_is_lost(shell: Shell, kept: Path) -> None:
    (shell.home / "blobs/fraud/1.0.0/0.sealed").unlink()
    named = shell("recover")
    assert named.code == 4
    assert "DAMAGED  fraud@1.0.0: fraud/1.0.0/0.sealed is missing" in named.out
    assert "1 faults, 1 mended" in _drill(shell, "recover", "--backup", str(kept))
    shell.ok("verify", "fraud@1.0.0", "--full")


def test_the_keystore_is_lost(shell: Shell, kept: Path) -> None:
    """Without its keys a home is nothing: it rises whole, at another place, and the old one is set aside."""
    (shell.home / "keystore.json").unlink()
    assert shell("verify", "fraud@1.0.0").code == 2
    checkpoint = shell.root / "checkpoint"
    shutil.copy(shell.home / "log/checkpoint", checkpoint)
    shell.home.rename(shell.root / "lost")
    _drill(shell, "restore", str(kept), "--checkpoint", str(checkpoint))
    shell.ok("verify", "fraud@1.0.0", "--full")


def test_an_old_backup_is_put_back_over_a_newer_home(shell: Shell, kept: Path) -> None:
    """By hand, catalog and all: the backup itself knows better, and so does a checkpoint."""
    old = shell.root / "old"
    shutil.copytree(shell.home, old)
    shell.ok("revoke", "fraud@1.0.0", "--reason", "stolen")
    shell.ok("backup", "create", str(kept))
    checkpoint = shell.root / "checkpoint"
    checkpoint.write_text(shell.ok("log", "checkpoint").out)
    shutil.rmtree(shell.home)
    old.rename(shell.home)
    told = shell("backup", "create", str(kept))
    assert told.code == 4
    assert "rolled back" in told.error
    assert shell("log", "verify", "--against", str(checkpoint)).code == 4


def test_the_wrong_passphrase_restores_nothing(shell: Shell, kept: Path) -> None:
    shutil.rmtree(shell.home)
    shell.passphrase_file.write_text("another passphrase altogether\n")
    refused = shell("restore", str(kept))
    assert refused.code == 3
    assert not shell.home.exists()


def test_restoring_over_a_home_is_refused(shell: Shell, kept: Path) -> None:
    refused = shell("restore", str(kept))
    assert refused.code == 2
    assert "move it aside" in refused.err


def test_a_place_that_is_not_there(bare: Shell) -> None:
    told = bare("restore", str(bare.root / "nowhere"))
    assert told.code == 2
    assert "no such folder" in told.error


def test_a_place_without_a_backup(shell: Shell, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)
    for verb in (("backup", "list"), ("backup", "verify"), ("recover", "--backup")):
        told = shell(*verb, str(empty))
        assert told.code == 2, told
        assert "there is none in that place" in told.error


def test_pruning_and_checking(shell: Shell, kept: Path) -> None:
    shell.ok("backup", "create", str(kept))
    assert (
        "would remove  1 snapshots" in shell.ok("backup", "prune", str(kept), "--keep", "1", "--dry-run").out
    )
    assert "removed  1 snapshots" in shell.ok("backup", "prune", str(kept), "--keep", "1").out
    assert "backup  sound" in shell.ok("backup", "verify", str(kept), "--full").out
    piece = next(path for path in sorted((kept / "pieces").rglob("*")) if path.is_file())
    piece.write_bytes(piece.read_bytes()[:-1] + b"\0")
    assert shell("backup", "verify", str(kept), "--full").code == 4
