"""Look for inputs that break a parser, guided by coverage (atheris, libFuzzer): `make fuzz`.

    .venv-fuzz/bin/python -m bench.fuzz [--minutes N] [--keep] [TARGET ...]

Each target runs in a process of its own, for its share of the time, from `tests/fuzz/corpus/TARGET` and from
files below `tests/vectors`. What breaks it is written to `tests/fuzz/corpus/TARGET/crash-...`, once for each
place where it breaks, and the run goes on. What it learnt lies in `.fuzz/`; `--keep` replaces the corpus by a
small part of it that covers as much.
"""

import argparse
import importlib
import pkgutil
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "tests/fuzz/corpus"
VECTORS = ROOT / "tests/vectors"
WORK = ROOT / ".fuzz"
MAX_INPUT_BYTES = 24 * 1024
MAX_KEPT_FILES = 60
MAX_KEPT_BYTES = 100 * 1024
"""Of a target: the repository carries them."""
RSS_LIMIT_MIB = 3000
HANG_S = 300
"""Of wall clock, for what hangs outside of Python, where the targets' own limit does not reach."""
_CRASH = "crash-"
_SCAN = re.compile("/strongroom/(scan|artifact)/")
_CHILD = "--child"


def main() -> int:
    if sys.argv[1:2] == [_CHILD]:
        _fuzz(sys.argv[2], sys.argv[3:])
        return 0
    arguments = _parse_arguments()
    from tests.fuzz.targets import TARGETS

    names = arguments.targets or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        sys.exit(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    total = sum(TARGETS[name].weight for name in names)
    crashes = 0
    print(
        f"{'target':18} {'minutes':>7} {'executions':>11} {'coverage':>8} {'corpus':>6} {'crashes':>7}",
        flush=True,
    )
    for name in names:
        seconds = round(arguments.minutes * 60 * TARGETS[name].weight / total)
        crashes += _run(name, seconds) if seconds else 0
        if arguments.keep:
            _keep(name)
    return 1 if crashes else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--minutes", type=float, default=30.0, help="of all targets together (default: 30)")
    parser.add_argument(
        "--keep", action="store_true", help="replace the corpus by a small part of what was learnt"
    )
    return parser.parse_args()


# In the process of one target


def _fuzz(name: str, options: list[str]) -> None:
    import atheris

    import strongroom.artifact
    import strongroom.scan

    with atheris.instrument_imports(include=["strongroom.scan", "strongroom.artifact"]):
        # All of them: what is loaded by the first input that needs it would have no instruments.
        for room in (strongroom.artifact, strongroom.scan):
            for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
                importlib.import_module(module.name)
        from tests.fuzz.targets import TARGETS, bounded_time
    run = TARGETS[name].run
    known: set[str] = set()

    def one_input(data: bytes) -> None:
        try:
            with bounded_time():
                run(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            place = _place_of(error)
            if place not in known:
                known.add(place)
                _report(name, data, place, error)

    atheris.Setup([sys.argv[0], *options], one_input)
    atheris.Fuzz()


def _place_of(error: BaseException) -> str:
    """The kind of an exception and our line that it comes from: what tells two crashes apart."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "strongroom" in frame.filename] or frames
    return f"{type(error).__name__} in {Path(ours[-1].filename).name}:{ours[-1].lineno}"


def _report(name: str, data: bytes, place: str, error: BaseException) -> None:
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_CRASH}{sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"CRASH {place}: {error!s:.200} -> {path.relative_to(ROOT)}", flush=True)
    traceback.print_exception(error, limit=-6)


# In the process that starts them


def _run(name: str, seconds: int) -> int:
    """Fuzz one target; returns how many crashes it found."""
    learnt, corpus = WORK / name, CORPUS / name
    learnt.mkdir(parents=True, exist_ok=True)
    corpus.mkdir(parents=True, exist_ok=True)
    log = WORK / f"{name}.log"
    _write_seeds(name, learnt)
    with log.open("w") as out:
        _start(
            name,
            [
                str(learnt),
                str(corpus),
                f"-max_total_time={max(seconds, 1)}",
                f"-max_len={MAX_INPUT_BYTES}",
                f"-timeout={HANG_S}",
                f"-rss_limit_mb={RSS_LIMIT_MIB}",
                f"-artifact_prefix={corpus}/{_CRASH}",
                "-print_final_stats=1",
                "-use_value_profile=0",
                "-len_control=20",
            ],
            out.fileno(),
        )
    text = log.read_text(errors="replace")
    crashes = text.count("\nCRASH ") + text.count("ERROR: libFuzzer")
    done = _last(r"number_of_executed_units: (\d+)", text) or _last(r"#(\d+)\t", text)
    found = [_last(pattern, text) for pattern in (r"cov: (\d+)", r"corp: (\d+)")]
    took = _last(r"Done \d+ runs in (\d+) second", text) or str(seconds)
    print(f"{name:18} {int(took) / 60:7.1f} {done:>11} {found[0]:>8} {found[1]:>6} {crashes:7}", flush=True)
    return crashes


def _start(name: str, options: list[str], out: int) -> None:
    command = ["nice", "-n", "15", sys.executable, "-m", "bench.fuzz", _CHILD, name, *options]
    subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, check=False)


def _last(pattern: str, text: str) -> str:
    found = re.findall(pattern, text)
    return found[-1] if found else ""


def _write_seeds(name: str, folder: Path) -> None:
    for data in _seeds(name):
        (folder / _file_name(data)).write_bytes(data)


def _seeds(name: str) -> set[bytes]:
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    files = [path for pattern in target.seeds for path in VECTORS.glob(pattern) if path.is_file()]
    found = {data for path in files for data in target.extract(path.read_bytes())}
    return {data for data in found if len(data) <= MAX_INPUT_BYTES}


def _file_name(data: bytes) -> str:
    return sha256(data).hexdigest()[:16]


def _keep(name: str) -> None:
    """Make the corpus of the few files that reach what all of them and the seeds reach; crashes stay."""
    from tests.fuzz.targets import TARGETS

    run, corpus = TARGETS[name].run, CORPUS / name
    old = [path for path in corpus.iterdir() if not path.name.startswith(_CRASH)]
    inputs = {path.read_bytes() for path in [*old, *(WORK / name).iterdir()]}
    reached: set[Line] = set().union(*(_lines_of(run, data) for data in sorted(_seeds(name))))
    lines = {data: _lines_of(run, data) for data in inputs if len(data) <= MAX_INPUT_BYTES}
    kept: list[bytes] = []
    while len(kept) < MAX_KEPT_FILES and lines:
        best = max(lines, key=lambda data: (len(lines[data] - reached), -len(data), data))
        if not lines[best] - reached:
            break
        reached |= lines.pop(best)
        if sum(map(len, kept)) + len(best) <= MAX_KEPT_BYTES:
            kept.append(best)
    for path in old:
        path.unlink()
    for data in kept:
        (corpus / _file_name(data)).write_bytes(data)


Line = tuple[int, int, int]
"""Of a run: the code, the line, and the line before it."""


def _lines_of(run: Callable[[bytes], None], data: bytes) -> set[Line]:
    """Which steps from line to line of the scan an input takes."""
    found: set[Line] = set()

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        if not _SCAN.search(code.co_filename):
            return None
        before = code.co_firstlineno

        def step(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal before
            if event == "line":
                found.add((hash(code), frame.f_lineno, before))
                before = frame.f_lineno
            return step

        return step

    sys.settrace(trace)
    try:
        run(data)
    except Exception as error:
        print(f"still breaks: {_place_of(error)}", flush=True)
    finally:
        sys.settrace(None)
    return found


if __name__ == "__main__":
    sys.exit(main())
