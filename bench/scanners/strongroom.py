"""Strongroom itself. What it cannot read or does not know is refused, so nothing counts as not scanned."""

import json
from pathlib import Path

from scanners.scanner import OURS, Outcome, Ran, Scanner


def _command(path: Path) -> list[str]:
    return [str(OURS / "strongroom"), "scan", "--json", str(path)]


def _verdict(ran: Ran) -> str:
    if ran.code not in (0, 4):
        raise ValueError(f"exit code {ran.code}")
    return str(json.loads(ran.output)["verdict"])


def _refused(ran: Ran) -> Outcome:
    return Outcome.FLAGGED if _verdict(ran) == "refused" else Outcome.PASSED


def _not_accepted(ran: Ran) -> Outcome:
    return Outcome.PASSED if _verdict(ran) == "accepted" else Outcome.FLAGGED


SCANNERS = (
    Scanner(
        "strongroom",
        _command,
        {"strongroom, refused": _refused, "strongroom, refused or doubtful": _not_accepted},
    ),
)
