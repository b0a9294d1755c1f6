"""Sealing and loading 1 GiB, beside a plain copy and other tools, in one run.

Each case runs in a fresh process, after the same conditioner (so that each finds memory that the machine has
already backed), in an order that rotates from round to round. What counts is the ratio to the plain copy of
the same round: absolute speed is the machine's, and a shared one's changes by the minute.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from table import middle, print_table, rotated, spread

_BENCH = Path(__file__).resolve().parent
_OURS = Path(sys.executable)
_OTHERS = _BENCH.parent / ".venv-bench" / "bin" / "python"
_TIMEOUT_S = 300

_CASES: dict[str, tuple[str, Path, str, list[str]]] = {
    "plain": ("plain copy", _OURS, "plain_copy", []),
    "digest": ("SHA-256 alone, 1 thread", _OURS, "digest", []),
    "ours-1": ("strongroom, 1 thread", _OURS, "ours", ["1"]),
    "ours-2": ("strongroom, 2 threads", _OURS, "ours", ["2"]),
    "tink": ("Tink streaming AEAD", _OTHERS, "tink_streaming", []),
    "tensorizer": ("tensorizer, encrypted", _OTHERS, "tensorizer_encrypted", []),
    "cryptotensors": ("cryptotensors, signed", _OTHERS, "cryptotensors_signed", []),
}
_BASE = "plain"
_NO_LOAD = {"digest"}

Results = dict[tuple[str, str], dict[str, list[dict[str, Any]]]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the model (default 1024)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=sorted(_CASES), help="cases besides the plain copy")
    options = parser.parse_args()
    chosen = [name for name in _CASES if not options.only or name in options.only or name == _BASE]
    results: Results = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as place:
        folder = Path(place)
        source = _make_source(folder, options.mib)
        for turn in range(options.rounds):
            for verb, warmth in (("seal", "warm"), ("load", "warm"), ("seal", "cold"), ("load", "cold")):
                for name in rotated(chosen, turn):
                    if verb == "load" and name in _NO_LOAD:
                        continue
                    found = _run(name, verb, warmth, source, folder / name, options.mib)
                    if found is not None:
                        results[verb, warmth][name].append(found)
                    print(f"round {turn + 1}: {verb} {warmth} {name}", file=sys.stderr, flush=True)
    for (verb, warmth), cases in results.items():
        _report(f"{verb} {options.mib} MiB, {warmth}", cases, options.mib * 2**20)
    print(
        "\nTimes are medians; a ratio is the median of the ratios to the plain copy of the same round. Memory"
        "\nis the peak over what the process began with, a memfd included, in sizes of the model. 'durable'"
        "\nends when a power cut would lose nothing. 'spread' is the slowest round over the fastest."
    )
    return 0


def _make_source(folder: Path, mib: int) -> Path:
    source = folder / "model.bin"
    with source.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(2**20))
        os.fsync(file.fileno())
    return source


def _run(name: str, verb: str, warmth: str, source: Path, folder: Path, mib: int) -> dict[str, Any] | None:
    """Run one case once; None, with the reason on stderr, if it does not run here."""
    _, python, script, arguments = _CASES[name]
    if verb == "seal":
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        folder.mkdir(parents=True)
    os.sync()  # what the case before wrote is not this one's to write
    _condition(2 * mib + 1024)
    command = [str(python), str(_BENCH / "cases" / f"{script}.py"), verb, warmth, str(source), str(folder)]
    done = subprocess.run(
        command + arguments,
        env={**os.environ, "PYTHONPATH": str(_BENCH)},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        print(f"{name}: {verb} did not run: {reason}", file=sys.stderr)
        return None
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _condition(mib: int) -> None:
    """Touch memory in a process of its own and give it back: what is free afterwards is alike for all."""
    script = f"import mmap; mmap.mmap(-1, {mib} << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)"
    subprocess.run([sys.executable, "-c", script], check=True)  # 0x8000: MAP_POPULATE, mmap(2)


def _report(title: str, cases: dict[str, list[dict[str, Any]]], size_bytes: int) -> None:
    base = cases[_BASE]
    rows = []
    for name, runs in cases.items():
        elapsed = [run["elapsed_s"] for run in runs]
        pairs = zip(runs, base, strict=False)
        ratios = [run["elapsed_s"] / plain["elapsed_s"] for run, plain in pairs]
        durable = [run["durable_s"] for run in runs if "durable_s" in run]
        rows.append(
            (
                middle(elapsed),
                [
                    _CASES[name][0],
                    f"{size_bytes / middle(elapsed) / 1e9:.2f}",
                    f"{middle(ratios):.2f}",
                    f"{size_bytes / middle(durable) / 1e9:.2f}" if durable else "",
                    f"{middle([run['processor_s'] for run in runs]):.2f}",
                    f"{middle([run['memory_bytes'] for run in runs]) / size_bytes:.2f}",
                    f"{spread(elapsed):.2f}",
                ],
            )
        )
    heads = ["case", "GB/s", "x plain", "durable GB/s", "CPU s", "memory", "spread"]
    print_table(title, heads, [row for _, row in sorted(rows, key=lambda pair: pair[0])])


if __name__ == "__main__":
    sys.exit(main())
