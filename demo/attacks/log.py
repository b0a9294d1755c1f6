"""Attacks on the log itself, each on a copy of the whole home: `log verify` names the first bad record."""

import shutil
from collections.abc import Callable
from pathlib import Path

from demo.deployment import PUBLISHER, Deployment
from demo.stage import Outcome, Stage
from strongroom import Strongroom
from strongroom.errors import RejectedError
from strongroom.trust.tiles import encode_entries, parse_entries

RECORD = 12


def play(stage: Stage, deployment: Deployment, folder: Path) -> None:
    stage.act(
        "the log", "someone may write to every file of the home, and wants something not to have happened"
    )
    intact = deployment.as_(PUBLISHER).verify_log()
    with stage.step("log verify on the home as it is") as note:
        note(f"{intact.size} records and {intact.predictions} predictions hold")

    def tampered(name: str, change: Callable[[Path], None]) -> None:
        stage.attack(name, lambda: _verify_copy(deployment, folder, change))

    tampered("edit a record", _edit)
    tampered("delete a record", lambda home: _rewrite(home, lambda records: records.pop(RECORD)))
    tampered("reorder two records", _reorder)
    tampered(
        "cut off the newest records",
        lambda home: _rewrite(home, lambda records: records.__delitem__(slice(-3, None))),
    )
    tampered("put the whole log back to yesterday's", lambda home: _roll_back(home, folder))
    tampered("edit the gateway's journal of predictions", _edit_journal)
    tampered(
        "delete the gateway's journal", lambda home: [path.unlink() for path in _journals(home)] and None
    )


def keep_old_log(deployment: Deployment, folder: Path) -> None:
    """What the attacker keeps for later: the log as it is now, genuine and signed."""
    shutil.copytree(deployment.home / "log", folder / "old-log")


def _verify_copy(deployment: Deployment, folder: Path, change: Callable[[Path], None]) -> Outcome:
    copy = folder / "tampered-home"
    shutil.copytree(deployment.home, copy)
    try:
        change(copy)
        try:
            Strongroom(copy, acting=PUBLISHER).verify_log()
        except RejectedError as error:
            return Outcome(True, error.message)
        return Outcome(False, "the log verifies all the same")
    finally:
        shutil.rmtree(copy)


def _bundle(home: Path) -> Path:
    (bundle,) = [path for path in (home / "log" / "tile" / "entries").rglob("*") if path.is_file()]
    return bundle


def _rewrite(home: Path, change: Callable[[list[bytes]], object]) -> None:
    bundle = _bundle(home)
    records = list(parse_entries(bundle.read_bytes()))
    change(records)
    bundle.write_bytes(encode_entries(records))


def _edit(home: Path) -> None:
    def rename(records: list[bytes]) -> None:
        records[RECORD] = records[RECORD].replace(b"alice", b"erica")

    _rewrite(home, rename)


def _reorder(home: Path) -> None:
    def swap(records: list[bytes]) -> None:
        records[RECORD], records[RECORD + 1] = records[RECORD + 1], records[RECORD]

    _rewrite(home, swap)


def _roll_back(home: Path, folder: Path) -> None:
    shutil.rmtree(home / "log")
    shutil.copytree(folder / "old-log", home / "log")


def _journals(home: Path) -> list[Path]:
    return list((home / "journals").rglob("*.journal"))


def _edit_journal(home: Path) -> None:
    path = max(_journals(home), key=lambda each: each.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
