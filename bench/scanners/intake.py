"""What judging adds to publishing 1 GiB, and what hostile headers cost. Ours alone: others seal nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.bombs import BOMBS
from scanners.costs import make_model
from scanners.scanner import OURS
from table import middle, print_table

_CASES = Path(__file__).resolve().parents[1] / "cases"
_SHARE_AIM = 0.10
_BOMB_AIM_S, _BOMB_AIM_BYTES = 0.05, 64 * 2**20


def measure_share(kinds: Sequence[str], mib: int, rounds: int, folder: Path) -> None:
    rows = []
    for kind in kinds:
        model = make_model(kind, mib, folder / kind)
        runs = []
        for turn in range(rounds):
            sealed = folder / f"sealed-{kind}-{turn}"
            sealed.mkdir()
            runs.append(_run("inspection.py", [model, sealed]))
            subprocess.run(["rm", "-rf", str(sealed)], check=True)
            print(f"round {turn + 1}: publishing {kind}", file=sys.stderr, flush=True)
        subprocess.run(["rm", "-rf", str(folder / kind)], check=True)
        first, again = ([run[what] / run["seal_s"] for run in runs] for what in ("first_s", "again_s"))
        rows.append(
            [
                kind,
                f"{middle([run['seal_s'] for run in runs]):.2f}",
                f"{middle([run['first_s'] for run in runs]):.2f}",
                f"{100 * middle(first):.1f} %",
                f"{100 * middle(again):.1f} %",
                f"{runs[0]['read_bytes'] / 2**20:.0f}",
                "yes" if middle(first) <= _SHARE_AIM else "NO",
            ]
        )
    heads = [
        "model",
        "seal CPU s",
        "scan + inspect CPU s",
        "share",
        "parsers loaded",
        "MiB unsealed",
        "≤ 10 %",
    ]
    print_table(f"Scan and inspection beside the seal pass, {mib} MiB", heads, rows)


def measure_bombs(benign: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    rows = []
    for name, (file, make) in BOMBS.items():
        path = folder / file
        path.write_bytes(make())
        found = _run("bomb.py", [benign, path])
        kept = found["processor_s"] < _BOMB_AIM_S and found["memory_bytes"] < _BOMB_AIM_BYTES
        rows.append(
            [
                name,
                f"{path.stat().st_size:,}",
                f"{1000 * found['processor_s']:.1f}",
                f"{found['memory_bytes'] / 2**20:.1f}",
                found["verdict"],
                "yes" if kept else "NO",
            ]
        )
    heads = ["file", "bytes", "CPU ms", "MiB", "verdict", "< 50 ms, < 64 MiB"]
    print_table("Hostile headers and bombs", heads, rows)


def _run(case: str, arguments: Sequence[Path]) -> dict[str, Any]:
    done = subprocess.run(
        [str(OURS / "python"), str(_CASES / case), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(_CASES.parent)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
