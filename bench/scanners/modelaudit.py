"""modelaudit: most formats; read twice, for its warnings are many."""

import json
from pathlib import Path

from scanners.scanner import RIVALS, Outcome, Ran, Scanner

_CRITICAL = frozenset({"critical"})
_WARNING = frozenset({"warning", "error", *_CRITICAL})
_FAILED = 2


def _command(path: Path) -> list[str]:
    return [str(RIVALS / "modelaudit"), "scan", "--format", "json", "--no-cache", str(path)]


def _read(ran: Ran, severities: frozenset[str]) -> Outcome:
    found = json.loads(ran.output[ran.output.index("{") :])
    if any(issue["severity"] in severities for issue in found["issues"]):
        return Outcome.FLAGGED
    if ran.code == _FAILED or found.get("has_errors"):
        return Outcome.FAILED
    return Outcome.PASSED if found.get("files_scanned") else Outcome.NOT_SCANNED


SCANNERS = (
    Scanner(
        "modelaudit",
        _command,
        {
            "modelaudit, warning and above": lambda ran: _read(ran, _WARNING),
            "modelaudit, critical": lambda ran: _read(ran, _CRITICAL),
        },
    ),
)
