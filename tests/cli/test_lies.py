"""Files of the home that say what is not so: nobody is misled, and `doctor` names what it can see."""

import fcntl
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.press import Shell

OBJECTS = "blobs/fraud/1.0.0"
FAKE: dict[str, Any] = {
    "pid": 1,
    "name": "evil.example",
    "port": 8443,
    "models": ["fraud@1.0.0"],
    "sandbox": {},
    "tls": "x",
}


def test_an_edited_catalog_does_not_change_what_is_listed(shell: Shell) -> None:
    before = shell.ok("list", "--json").json
    with sqlite3.connect(shell.home / "catalog.sqlite") as catalog:
        catalog.execute(
            "UPDATE versions SET owner = 'mallory', publisher = 'mallory', state = 'revoked', digest = ?",
            (f"sha256:{'0' * 64}",),
        )
    assert shell.ok("list", "--json").json == before
    assert "mallory" not in shell.ok("list").out


def _add(folder: Path) -> None:
    (folder / "plugin.onnx").write_bytes(b"unsigned")


def _remove(folder: Path) -> None:
    (folder / "keys.json").unlink()


def _exchange(folder: Path) -> None:
    (folder / "statement.json").write_bytes(b"{}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_add, "unsigned file 'fraud/1.0.0/plugin.onnx'"),
        (_remove, "'fraud/1.0.0/keys.json' is missing"),
        (_exchange, "statement is not the one that was published"),
    ],
)
def test_doctor_names_what_lies_otherwise_in_the_store(
    shell: Shell, change: Callable[[Path], None], said: str
) -> None:
    change(shell.home / OBJECTS)
    outcome = shell("doctor")
    assert outcome.code == 4
    assert said in outcome.out


@pytest.mark.parametrize(
    "said",
    [
        FAKE | {"port": "x"},
        FAKE | {"port": 0},
        FAKE | {"port": 2**16},
        FAKE | {"models": 5},
        FAKE | {"models": [5]},
        FAKE | {"sandbox": []},
        FAKE | {"sandbox": {"seccomp": 1}},
        FAKE | {"more": 1},
        {},
        [],
        "x",
    ],
    ids=str,
)
def test_a_malformed_announcement_is_no_server(shell: Shell, said: object) -> None:
    with _announced(shell, said):
        assert "nothing" in shell.ok("status").out
        assert shell.ok("list", "--json").json[0]["serving"] == []


def test_a_false_announcement_is_shown_until_its_holder_is_gone(shell: Shell) -> None:
    """`predict` would ask there, and believe only a certificate of this home for that name."""
    with _announced(shell, FAKE):
        assert "https://evil.example:8443" in shell.ok("status").out
    assert "nothing" in shell.ok("status").out


class _announced:  # noqa: N801 - reads as a verb
    def __init__(self, shell: Shell, said: object) -> None:
        folder = shell.home / "run"
        folder.mkdir(exist_ok=True)
        self._file = (folder / "1-00000000.json").open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.write(json.dumps(said))
        self._file.flush()

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._file.close()
