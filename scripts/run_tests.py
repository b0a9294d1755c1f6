"""Runs the whole test suite and the coverage gate; the last line counts what passed and failed.

Fast tests run two at a time, and so do the slow ones that watch no clock. Fault injection and soak run alone
after them, so that a deadline missed there is a fault of the code and not of the neighbour.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

_ALONE = ("tests/cli", "tests/faults", "tests/serve/torture")
_PASSES = (
    ("fast tests, two at a time", ["-n", "2", "-m", "not slow"]),
    ("slow tests, two at a time", ["-n", "2", "-m", "slow", *(f"--ignore={folder}" for folder in _ALONE)]),
    ("slow tests, one at a time", ["-m", "slow", *_ALONE]),
)
_GATED_ROOMS = ("artifact", "trust", "guard")
"""The core: what it decides must be covered by tests that name the decision."""
_MIN_LINES_PERCENT = 90
_NO_TESTS = 5


def main(arguments: list[str]) -> int:
    started = time.monotonic()
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    Path(".coverage").unlink(missing_ok=True)
    for title, selection in _PASSES:
        print(f"\n--- {title}", flush=True)
        for outcome, number in _run(selection + arguments).items():
            counts[outcome] += number
    print("\n--- coverage of the core", flush=True)
    for room in _GATED_ROOMS:
        counts["passed" if _is_covered(room) else "failed"] += 1
    if counts["passed"] <= len(_GATED_ROOMS):
        counts["failed"] += 1
        print("no test ran")
    shown = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
    print(f"\n{shown} in {time.monotonic() - started:.0f} s (coverage gates counted as tests)")
    return 1 if counts["failed"] else 0


def _run(arguments: list[str]) -> dict[str, int]:
    with tempfile.TemporaryDirectory(prefix="strongroom-tests-") as folder:
        report = Path(folder) / "junit.xml"
        command = [sys.executable, "-m", "pytest", "-rfEs", f"--junit-xml={report}"]
        command += ["--cov", "--cov-append", "--cov-report=", *arguments]
        status = subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode
        counts = _read_counts(report) if report.exists() else {"failed": 1}
    if status not in (0, _NO_TESTS) and not counts.get("failed"):
        counts["failed"] = 1  # pytest itself broke: a collection error, a crash of a worker
    return counts


def _read_counts(report: Path) -> dict[str, int]:
    suites = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest wrote it just now
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return {"passed": max(0, total - failed - skipped), "failed": failed, "skipped": skipped}


def _is_covered(room: str) -> bool:
    command = [sys.executable, "-m", "coverage", "report", f"--include=src/strongroom/{room}/*"]
    command.append(f"--fail-under={_MIN_LINES_PERCENT}")
    status = subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode
    if status:
        print(f"{room}: under {_MIN_LINES_PERCENT} % of lines: FAILED")
    return status == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
