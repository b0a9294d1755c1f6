"""picklescan: dangerous imports of pickles; strict flags every import that is not on its list."""

import re
from pathlib import Path

from scanners.scanner import RIVALS, Outcome, Ran, Scanner

_COUNT = re.compile(r"^(Scanned|Infected) files: (\d+)$", re.MULTILINE)


def _command(*options: str) -> list[str]:
    return [str(RIVALS / "picklescan"), *options]


def _default(path: Path) -> list[str]:
    return _command("--path", str(path))


def _strict(path: Path) -> list[str]:
    return _command("--strict", "--path", str(path))


def _read(ran: Ran) -> Outcome:
    counts = {what: int(number) for what, number in _COUNT.findall(ran.output)}
    if counts.get("Infected"):
        return Outcome.FLAGGED
    if ran.code or "Scanned" not in counts:
        return Outcome.FAILED
    # A file that is no pickle counts as scanned and draws a warning.
    unread = ran.output.count("could not parse") + ran.errors.count("could not parse")
    return Outcome.NOT_SCANNED if counts["Scanned"] <= unread else Outcome.PASSED


SCANNERS = (
    Scanner("picklescan", _default, {"picklescan": _read}),
    Scanner("picklescan strict", _strict, {"picklescan --strict": _read}),
)
