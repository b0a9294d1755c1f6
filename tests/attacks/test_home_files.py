"""Each file of the home replaced by something that it is not: a pipe, a device, an endless or a cut one."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.press import Shell


def _pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)
    path.chmod(0o600)


def _folder(path: Path) -> None:
    path.mkdir()


def _random(path: Path) -> None:
    path.write_bytes(os.urandom(3000))
    path.chmod(0o600)


def _empty(path: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0o600)


@pytest.mark.parametrize("put", [_pipe, _endless, _huge, _folder, _random, _empty])
@pytest.mark.parametrize("name", ["strongroom.toml", "trust.json", "keystore.json", "log/checkpoint"])
def test_is_refused_without_blocking_or_filling_memory(
    shell: Shell, name: str, put: Callable[[Path], None]
) -> None:
    (shell.home / name).unlink()
    put(shell.home / name)
    outcome = shell("verify", "fraud@1.0.0")
    assert outcome.code in (2, 4, 5), outcome
    assert outcome.error


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_head SET size = 'abc'",
        "UPDATE log_head SET size = -5",
        "UPDATE log_head SET root = printf('%032d', 1)",
        "UPDATE log_head SET root = x'00'",
        "INSERT INTO log_head VALUES (2, 1, zeroblob(32))",
        "UPDATE versions SET size_bytes = 'abc'",
        "UPDATE versions SET owner = x'ff00'",
        "UPDATE versions SET dependencies = '[[['",
        "UPDATE identities SET certificate_pem = x'ff'",
        "CREATE TRIGGER forget AFTER UPDATE ON log_head BEGIN DELETE FROM log_head; END",
        "CREATE VIEW shadow AS SELECT 1",
    ],
)
def test_catalog_of_other_types_and_with_programs(shell: Shell, statement: str) -> None:
    with sqlite3.connect(shell.home / "catalog.sqlite") as catalog:
        catalog.execute("PRAGMA ignore_check_constraints = ON")
        catalog.execute(statement)
    outcome = shell("list")
    assert outcome.code == 4, outcome
    assert outcome.error.startswith("catalog: ")


def test_garbage_in_the_log_is_rejected_and_not_a_wrong_input(shell: Shell) -> None:
    (bundle,) = [path for path in (shell.home / "log/tile/entries").rglob("*") if path.is_file()]
    data = bytearray(bundle.read_bytes())
    data[2:20] = bytes(18)
    bundle.write_bytes(data)
    assert shell("list").code == 4


def test_a_pipe_as_announcement(shell: Shell) -> None:
    import fcntl

    (shell.home / "run").mkdir(exist_ok=True)
    path = shell.home / "run" / "1-00000000.json"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        assert "nothing" in shell.ok("status").out
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("[serve]\nsnapshot_max_age_s = 86400.0", "serve.snapshot_max_age_s"),
        ("[log]\nfold_interval_s = 86400.0", "log.fold_interval_s"),
        ("[log]\ndurability = 'insecure-relaxed'", "log.durability"),
        ("[sandbox]\nrequire = []", "sandbox.require"),
    ],
)
def test_a_weakening_setting_that_a_writer_slipped_in_shows(shell: Shell, setting: str, named: str) -> None:
    path = shell.home / "strongroom.toml"
    path.write_text(f"{path.read_text()}\n{setting}\n")
    assert named in "".join(shell.ok("status", "--json").json["insecure_choices"])
    assert named in shell("doctor").out
