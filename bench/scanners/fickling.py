"""fickling: raw pickles only; what it cannot parse it says not to trust, which is no finding.

Some of what is no pickle it does parse as one, and flags for what it then meets: that counts as it says.
"""

from pathlib import Path

from scanners.scanner import RIVALS, Outcome, Ran, Scanner

_OUTCOMES = {0: Outcome.PASSED, 1: Outcome.FLAGGED}
_NOT_PARSED = 2


def _command(path: Path) -> list[str]:
    # Its report goes to a file in the working folder, which is the run's own.
    return [str(RIVALS / "fickling"), "--check-safety", "--json-output", "report.json", str(path)]


def _read(ran: Ran) -> Outcome:
    if ran.code == _NOT_PARSED or "IsADirectoryError" in ran.errors:
        return Outcome.NOT_SCANNED
    if "Traceback (most recent call last)" in ran.errors:
        return Outcome.FAILED
    return _OUTCOMES.get(ran.code, Outcome.FAILED)


SCANNERS = (Scanner("fickling", _command, {"fickling": _read}),)
