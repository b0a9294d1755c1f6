"""Processor time and memory of each scanner on large benign files, each run a process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scanners.scanner import OURS, Outcome, Ran, Scanner, run
from table import middle, print_table, rotated

_BENCH = Path(__file__).resolve().parents[1]
_TIMEOUT_S = 600


def make_model(kind: str, mib: int, folder: Path) -> Path:
    folder.mkdir(parents=True)
    made = subprocess.run(
        [str(OURS / "python"), str(_BENCH / "models" / "make.py"), kind, str(mib), str(folder)],
        env={**os.environ, "PYTHONPATH": str(_BENCH)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Path(made.stdout.strip())


def measure(
    scanners: Sequence[Scanner], tiny: Path, kinds: Sequence[str], mib: int, rounds: int, folder: Path
) -> None:
    """Print what each kind costs; ``tiny`` shows what a scanner costs before it has read anything."""
    models = {"a small file": tiny, **{kind: make_model(kind, mib, folder / kind) for kind in kinds}}
    found: dict[tuple[str, str], list[Ran]] = {}
    by_name = {scanner.name: scanner for scanner in scanners}
    for turn in range(rounds):
        for kind, path in models.items():
            for name in rotated(list(by_name), turn):
                found.setdefault((name, kind), []).append(run(by_name[name], path, _TIMEOUT_S))
                print(f"round {turn + 1}: {kind}, {name}", file=sys.stderr, flush=True)
    seconds = [
        [name, *(_seconds(found[name, kind], found["strongroom", kind]) for kind in models)]
        for name in by_name
    ]
    print_table(
        f"Processor seconds for {mib} MiB, start included (times those of strongroom)",
        ["scanner", *models],
        seconds,
    )
    memory = [[name, *(_memory(found[name, kind]) for kind in models)] for name in by_name]
    print_table(f"Peak memory for {mib} MiB, MiB", ["scanner", *models], memory)
    outcomes = [
        [name, *(_outcome(by_name[name], found[name, kind][0]) for kind in models)] for name in by_name
    ]
    print_table("What it said of them", ["scanner", *models], outcomes)


def _seconds(runs: Sequence[Ran], ours: Sequence[Ran]) -> str:
    ratio = middle([run.processor_s / base.processor_s for run, base in zip(runs, ours, strict=True)])
    return f"{middle([run.processor_s for run in runs]):.2f} ({ratio:.1f})"


def _memory(runs: Sequence[Ran]) -> str:
    return f"{max(run.memory_bytes for run in runs) / 2**20:.0f}"


def _outcome(scanner: Scanner, ran: Ran) -> Outcome:
    """By the most eager of its readings."""
    return next(
        (outcome for outcome in scanner.outcomes(ran).values() if outcome is Outcome.FLAGGED),
        next(iter(scanner.outcomes(ran).values())),
    )
