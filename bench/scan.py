"""Scanning beside other scanners, in one run: verdicts on labelled samples, cost on large files, and what it
adds to publishing. Each scanner is run by its own command, in a process of its own.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from scanners import fickling, modelaudit, modelscan, picklescan, strongroom
from scanners.costs import measure
from scanners.intake import measure_bombs, measure_share
from scanners.samples import read_samples
from scanners.verdicts import judge, report

_SAMPLES = Path(__file__).resolve().parents[1] / "tests" / "vectors" / "artifacts"
_TINY = _SAMPLES / "plain.safetensors"
_PARTS = ("verdicts", "cost", "share", "bombs")
_COST_KINDS = ("safetensors", "onnx", "gguf", "forest", "checkpoint")
_SHARE_KINDS = ("safetensors", "onnx", "onnx-external", "gguf")
_SCANNERS = {
    scanner.name: scanner
    for adapter in (strongroom, picklescan, modelscan, fickling, modelaudit)
    for scanner in adapter.SCANNERS
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "samples", nargs="?", type=Path, default=_SAMPLES, help="folder with samples and labels.csv"
    )
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--scanners", nargs="+", choices=sorted(_SCANNERS), help="besides strongroom")
    parser.add_argument("--mib", type=int, default=256, help="size of a large file (default 256)")
    parser.add_argument(
        "--publish-mib", type=int, default=1024, help="size of a published model (default 1024)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="scanners at a time, for verdicts only")
    options = parser.parse_args()
    chosen = [
        scanner
        for name, scanner in _SCANNERS.items()
        if name == "strongroom" or not options.scanners or name in options.scanners
    ]
    if "verdicts" in options.parts:
        samples = read_samples(options.samples.resolve())
        report(judge(chosen, samples, options.jobs), samples)
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as place:
        folder = Path(place)
        if "bombs" in options.parts:
            measure_bombs(_TINY, folder / "bombs")
        if "share" in options.parts:
            measure_share(_SHARE_KINDS, options.publish_mib, options.rounds, folder / "share")
        if "cost" in options.parts:
            measure(chosen, _TINY, _COST_KINDS, options.mib, options.rounds, folder / "cost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
