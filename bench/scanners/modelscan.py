"""modelscan: unsafe operators of pickles, Keras and SavedModel (the last needs TensorFlow, left out here)."""

import json
from pathlib import Path
from typing import Any

from scanners.scanner import RIVALS, Outcome, Ran, Scanner


def _command(path: Path) -> list[str]:
    return [str(RIVALS / "modelscan"), "--reporting-format", "json", "--path", str(path)]


def _read(ran: Ran) -> Outcome:
    found = _summary(ran.output)
    if found["summary"]["total_issues"]:
        return Outcome.FLAGGED
    if found["errors"]:
        return Outcome.FAILED
    return Outcome.PASSED if found["summary"]["scanned"]["total_scanned"] else Outcome.NOT_SCANNED


def _summary(output: str) -> dict[str, Any]:
    # It is printed behind lines for people, and broken at 80 columns, within strings too.
    start = output.index('{"summary"')
    found: dict[str, Any] = json.loads(output[start:].replace("\n", ""))
    return found


SCANNERS = (Scanner("modelscan", _command, {"modelscan": _read}),)
