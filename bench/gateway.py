"""One-row predictions over TLS 1.3 with client certificates: Strongroom beside FastAPI and MLServer.

The server has one core, the load (wrk, 48 connections, kept open) the other. Each server is started anew in
every round, in an order that rotates, checked for right answers and for refusing strangers, warmed up, and
then measured. Processor time is that of all processes of the server; what counts is requests a second and
microseconds of processor a request, side by side within one run.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_BENCH = Path(__file__).resolve().parent
sys.path[:0] = [str(_BENCH.parent), str(_BENCH / "servers")]

import onnxruntime  # noqa: E402
from certificates import Certificates, make_certificates  # noqa: E402
from load import Load, ask, make_load  # noqa: E402
from start import SERVERS, Server, UnavailableError, processor_s, wait_until  # noqa: E402
from table import middle, print_table, rotated, spread  # noqa: E402

from demo.train import train_tumour  # noqa: E402

_BUSY = 0.95


@dataclass(frozen=True)
class _Question:
    """The request that everyone gets, and the probability that everyone must answer."""

    model: Path
    body: Path
    probability: float


@dataclass(frozen=True)
class _Row:
    load: Load
    processor_us: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="measured, for each row (default 10)")
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=48)
    parser.add_argument("--only", nargs="*", choices=sorted(SERVERS))
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("there is no wrk; run scripts/debian-packages bench")
    rows: dict[str, list[_Row]] = defaultdict(list)
    chosen = [name for name in SERVERS if not options.only or name in options.only]
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as place:
        folder = Path(place)
        question = _make_question(folder)
        certificates = make_certificates(folder / "certificates")
        for turn in range(options.rounds):
            for name in rotated(chosen, turn):
                own = folder / f"{name}-{turn}"
                own.mkdir()
                try:
                    row = _measure(name, question, own, certificates, options)
                except UnavailableError as reason:
                    print(f"{SERVERS[name][0]} did not run: {reason}", file=sys.stderr, flush=True)
                    continue
                rows[name].append(row)
                print(
                    f"round {turn + 1}: {name} {row.load.requests_per_s:,.0f}/s", file=sys.stderr, flush=True
                )
    _report(rows, options)
    return 0


def _make_question(folder: Path) -> _Question:
    exported = train_tumour()
    path = exported.write(folder)
    row = exported.test_inputs["x"][:1]
    session = onnxruntime.InferenceSession(exported.onnx, providers=["CPUExecutionProvider"])
    probability = float(session.run(["probabilities"], {"x": row})[0][0, 1])
    tensor = {"name": "x", "shape": [1, 30], "datatype": "FP32", "data": [float(str(v)) for v in row[0]]}
    body = folder / "body.json"
    body.write_text(json.dumps({"inputs": [tensor]}))
    return _Question(path, body, probability)


def _measure(
    name: str, question: _Question, folder: Path, certificates: Certificates, options: argparse.Namespace
) -> _Row:
    server = SERVERS[name][1](question.model, folder, certificates)
    try:
        wait_until(lambda: ask(server.url, server.certificates, question.body.read_bytes()), server, folder)
        _require_honest(name, server, question)
        pinned = (server.url, server.certificates, question.body, options.connections)
        make_load(*pinned, options.warm_up)
        used = processor_s(server)
        load = make_load(*pinned, options.seconds)
        return _Row(load, (processor_s(server) - used) / load.requests * 1e6)
    finally:
        server.stop()


def _require_honest(name: str, server: Server, question: _Question) -> None:
    """A fast wrong answer, or an answer to a stranger, is not worth measuring."""
    body = question.body.read_bytes()
    if name != "fixed":
        outputs = ask(server.url, server.certificates, body)["outputs"]
        (answered,) = [output["data"] for output in outputs if output["name"] == "probabilities"]
        if abs(answered[-1] - question.probability) > 1e-5:
            raise SystemExit(f"{name}: answers {answered}, not {question.probability}")
    try:
        ask(server.url, server.certificates, body, anonymous=True)
    except OSError:
        return
    raise SystemExit(f"{name}: answers callers without a certificate")


def _report(rows: dict[str, list[_Row]], options: argparse.Namespace) -> None:
    lines = []
    for name in (name for name in SERVERS if name in rows):
        loads = [row.load for row in rows[name]]
        speeds = [load.requests_per_s for load in loads]
        busy = middle([load.busy for load in loads])
        lines.append(
            [
                SERVERS[name][0],
                f"{middle(speeds):,.0f}",
                f"{middle([load.p50_ms for load in loads]):.2f}",
                f"{middle([load.p99_ms for load in loads]):.2f}",
                f"{middle([row.processor_us for row in rows[name]]):,.1f}",
                str(sum(load.failed for load in loads)),
                f"{busy:.0%}" + (" (the limit)" if busy > _BUSY else ""),
                f"{spread(speeds):.2f}",
            ]
        )
    heads = ["server", "requests/s", "p50 ms", "p99 ms", "CPU us/request", "failed", "wrk busy", "spread"]
    title = (
        f"One row of 30 numbers as JSON, TLS 1.3, client certificates, {options.connections} connections, "
        f"{options.rounds} rounds of {options.seconds} s"
    )
    print_table(title, heads, lines)
    print(
        "\nMedians over the rounds. 'wrk busy' is the share of its core that the load took: where it is the"
        "\nlimit, the server could have done more, and CPU us/request is the number to compare."
    )


if __name__ == "__main__":
    sys.exit(main())
