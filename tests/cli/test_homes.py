"""Homes in odd places and odd states; dry runs; what a command must not touch."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.press import PASSPHRASE, Shell


def _state(home: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its mode and bytes, but for locks; SQLite's ``-shm`` is one too."""
    return {
        str(path.relative_to(home)): (path.lstat().st_mode, path.read_bytes())
        for path in sorted(home.rglob("*"))
        if path.is_file()
        and "lock" not in path.name
        and path.parent.name != "locks"
        and not path.name.endswith("-shm")
    }


DRY = {
    "publish": ("publish", "model.onnx", "--as", "fraud@1.1.0", "--owner", "risk"),
    "publish-new-family": ("publish", "model.onnx", "--as", "churn@1.0.0", "--owner", "risk"),
    "retire": ("retire", "fraud@1.0.0", "--reason", "old"),
    "revoke": ("revoke", "fraud@1.0.0", "--reason", "leaked"),
    "identity add": ("identity", "add", "nora", "--role", "auditor"),
    "identity renew": ("identity", "renew", "rita"),
    "revoke identity": ("revoke", "identity", "rita", "--reason", "left"),
    "revoke model": ("revoke", "model", "fraud", "--reason", "leaked"),
    "revoke key": ("revoke", "key", "signing", "--reason", "lost"),
    "grant add": ("grant", "add", "dora", "auditor", "--reason", "audit"),
}


@pytest.mark.parametrize("name", DRY)
def test_dry_run_changes_nothing(shell: Shell, name: str) -> None:
    before = _state(shell.home)
    said = shell.ok(*DRY[name], "--dry-run")
    assert "would be" in said.out
    assert _state(shell.home) == before
    assert "would be" not in shell.ok(*DRY[name]).out
    assert _state(shell.home) != before


def test_reading_changes_nothing(shell: Shell) -> None:
    before = _state(shell.home)
    for arguments in (("list",), ("status",), ("show", "fraud@1.0.0"), ("log", "verify"), ("grant", "list")):
        shell.ok(*arguments)
    assert _state(shell.home) == before


def test_home_that_exists(shell: Shell) -> None:
    before = _state(shell.home)
    outcome = shell("init", "--identity", "eve")
    assert outcome.code == 2
    assert "exists already" in outcome.error
    assert _state(shell.home) == before


def test_home_that_is_a_file(bare: Shell) -> None:
    bare.home.write_text("something else")
    outcome = bare("init", "--identity", "ada")
    assert outcome.code == 2
    assert bare.home.read_text() == "something else"


def test_home_that_is_an_empty_folder(bare: Shell) -> None:
    bare.home.mkdir()
    bare.ok("init", "--identity", "ada")
    assert bare.home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["with spaces and 'quotes'", "ünïcode", "-dash", "new\nline"])
def test_home_with_an_odd_name(bare: Shell, name: str) -> None:
    bare.home = bare.root / name
    bare.ok("init", "--identity", "ada")
    bare.ok("publish", "model.onnx", "--as", "fraud@1.0.0", "--owner", "risk")
    assert bare.ok("list", "--json").json[0]["model"] == "fraud@1.0.0"


def test_home_in_folders_that_are_not_there_yet(bare: Shell) -> None:
    bare.home = bare.root / "a" / "b" / "home"
    bare.ok("init", "--identity", "ada")
    bare.ok("status")


def test_two_inits_with_the_same_process_id(bare: Shell) -> None:
    """In a container every first command has the same one; what a killed init left must not be in the way."""
    for number in range(1, 200):
        (bare.root / f".home.{number}.draft").mkdir()
    bare.ok("init", "--identity", "ada")


@pytest.mark.parametrize("arguments", [("status",), ("list",), ("doctor",)])
def test_nothing_is_made_where_there_is_no_home(bare: Shell, arguments: tuple[str, ...]) -> None:
    outcome = bare(*arguments)
    assert outcome.code == 2
    assert not bare.home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_unwritable_place(bare: Shell, tmp_path: Path) -> None:
    """As a user who may not write there: refused in words, nothing left behind."""
    place = tmp_path / "theirs"
    place.mkdir(mode=0o755)
    script = (
        "import os, sys\n"
        "from strongroom.cli import main\n"
        "from strongroom.cli import home\n"  # imported when called: nobody may not read it here
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "main(sys.argv[1:])\n"
    )
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode() + b"\n")
    os.close(writing)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            "init",
            "--identity",
            "ada",
            "--home",
            str(place / "home"),
            "--passphrase-fd",
            str(reading),
        ],
        pass_fds=[reading],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/"},
    )
    os.close(reading)
    assert done.returncode == 2, done.stderr
    assert "may not be read or written" in done.stderr
    assert list(place.iterdir()) == []


def test_settings_that_are_wrong_stop_every_command(shell: Shell) -> None:
    with (shell.home / "strongroom.toml").open("a") as file:
        file.write("[serve]\nprot = 1\n")
    for arguments in (("status",), ("list",), ("identity", "add", "nora")):
        outcome = shell(*arguments)
        assert outcome.code == 2
        assert "serve.prot" in outcome.error


def test_insecure_choices_show(bare: Shell) -> None:
    bare.ok("init", "--identity", "ada", "--insecure-solo")
    with (bare.home / "strongroom.toml").open("a") as file:
        file.write('[log]\ndurability = "insecure-relaxed"\n')
    shown = bare.ok("status").out
    assert "INSECURE    log.durability = insecure-relaxed" in shown
    assert "INSECURE    one person publishes and approves (init --insecure-solo)" in shown
    assert "insecure" in bare("doctor").out


def test_catalog_that_was_deleted_is_rebuilt(shell: Shell) -> None:
    before = shell.ok("list").out
    for path in shell.home.glob("catalog.sqlite*"):
        path.unlink()
    assert shell.ok("list").out == before


def test_catalog_that_was_edited_changes_nothing_that_is_told(shell: Shell) -> None:
    before = shell.ok("list", "--json").json
    with sqlite3.connect(shell.home / "catalog.sqlite") as catalog:
        digest = "sha256:" + "0" * 64
        changed = catalog.execute(
            "update versions set digest = ?, owner = 'eve', publisher = 'eve', state = 'retired'", (digest,)
        )
        assert changed.rowcount == 1
    catalog.close()
    assert shell.ok("list", "--json").json == before
