"""convert: from a format that may be code to ONNX, in a sandbox; needs no home unless it is to be signed."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from strongroom.cli.desk import Desk, command
from strongroom.errors import InvalidError, shorten
from strongroom.flows.convert import Conversion
from strongroom.sdk import converting

_SIZE = re.compile(r"([1-9][0-9]{0,15})(B|KiB|MiB|GiB|TiB)?", re.ASCII)
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SECONDS = re.compile(r"([1-9][0-9]{0,6})(s|m|h)?", re.ASCII)
_LENGTHS = {"s": 1, "m": 60, "h": 3600}


def add_to(app: typer.Typer) -> None:
    """Add this file's command."""
    command(app, "convert")(convert)


def convert(
    desk: Desk,
    source: Annotated[
        Path,
        typer.Argument(
            help="Model file: pickle, joblib, skops, XGBoost, LightGBM, PyTorch, Keras or TFLite."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="ONNX file to write; its record goes beside it.")
    ],
    inputs: Annotated[
        str | None,
        typer.Option(help="Reference rows: an .npz or .npy, a schema .json, or a number of features."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Reference rows to make up.")] = converting.ROWS,
    seed: Annotated[int, typer.Option(help="Of the rows that are made up.")] = converting.SEED,
    max_error: Annotated[
        float | None, typer.Option(help="Accept so much difference; stands in the record.")
    ] = None,
    memory: Annotated[str, typer.Option(help="What the sandbox may take.")] = "4GiB",
    timeout: Annotated[str, typer.Option(help="After which the sandbox is killed.")] = "300s",
    module: Annotated[
        str | None,
        typer.Option(help="FILE.py:CLASS of a PyTorch state dictionary; runs in the sandbox only."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--as", metavar="MODEL", help="Sign the record with the home's key for this version."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:
    """Turn a model that may be code into ONNX, in a sandbox, and measure how far it is from the original."""
    options: dict[str, Any] = {
        "name": output.name,
        "inputs": inputs,
        "rows": rows,
        "seed": seed,
        "max_error": max_error,
        "memory_bytes": parse_size(memory),
        "timeout_s": parse_seconds(timeout),
        "module": module,
    }
    if output.suffix != ".onnx":
        raise InvalidError(f"{output}: does not end in .onnx")
    room = desk.open() if model is not None else None
    if room is not None:
        room.unlock()
    with spinner(desk, f"{source.name}") as told:
        if room is None or model is None:
            made = converting.convert_file(source, told=told, **options)
        else:
            made = room.convert(source, model, told=told, **options)
    evidence = converting.write_conversion(made, output, replace=force)
    desk.show({**conversion_to_json(made), "record": str(evidence)}, *lines_of(made, output, evidence))


@contextmanager
def spinner(desk: Desk, what: str) -> Iterator[Callable[[str], None]]:
    """Show that something is going on, and which step; nothing where there is no terminal."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=desk.notes,
        transient=True,
        disable=desk.json_output or not desk.notes.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda step: bar.update(task, description=f"{what}: {step}")


def conversion_to_json(made: Conversion) -> dict[str, Any]:
    """The record, and whether it is signed."""
    return {**made.record.to_dict(), "signed": made.signed}


def lines_of(made: Conversion, output: Path | None = None, evidence: Path | None = None) -> list[str]:
    """What a person is told of a conversion."""
    record, facts = made.record, made.record.facts
    label = facts["label"]
    lines = [
        f"{record.original.name}  converted{f' to {output}' if output else ''}",
        f"original   {record.original.sha256}",
        f"converted  {record.converted.sha256}, {record.converted.size_bytes} bytes",
        f"model      {facts['estimator']}, {facts['features']} features, {facts['task']}",
        f"compared   on {facts['rows']} rows{_how(facts)}: {_measure(facts)}",
    ]
    if label is not None:
        ties = f", {label['ties']} ties left out" if label["ties"] else ""
        lines.append(f"labels     agree in {label['agreed']} of {label['rows']} rows{ties}")
    lines += [
        f"note       {one['differing']} of {one['rows']} rows differ {name.replace('-', ' ')}"
        for name, one in facts["probes"].items()
        if one["differing"]
    ]
    lines += [
        f"note       output {name} is left out: nothing to compare it with" for name in facts["left_out"]
    ]
    lines += [f"note       {note}" for note in facts["notes"]]
    off = sorted(name for name, state in record.sandbox.items() if state != "on")
    missing = f", missing: {', '.join(off)}" if off else ""
    lines.append(f"sandbox    {len(record.sandbox) - len(off)} layers on{missing}")
    if evidence is not None:
        lines.append(f"record     {evidence}{', signed' if made.signed else ', not signed'}")
        lines.append(
            f"next       strongroom publish {output} --conversion {evidence} --as NAME@1.0.0 --owner TEAM"
        )
    return lines


def parse_size(text: str) -> int:
    """Return the bytes that ``4GiB`` or ``512MiB`` spells."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidError(f"memory: {shorten(text)} is not a size", hint="write 512MiB or 4GiB")
    return int(match[1]) * _UNITS[match[2] or "B"]


def parse_seconds(text: str) -> float:
    """Return the seconds that ``90s``, ``5m`` or ``1h`` spells."""
    match = _SECONDS.fullmatch(text)
    if match is None:
        raise InvalidError(f"timeout: {shorten(text)} is not a time", hint="write 90s, 5m or 1h")
    return float(int(match[1]) * _LENGTHS[match[2] or "s"])


def _how(facts: dict[str, Any]) -> str:
    return " that were given" if facts["seed"] is None else f" made up, seed {facts['seed']}"


def _measure(facts: dict[str, Any]) -> str:
    if facts["absolute"] is None:
        return "nothing but labels"
    return (
        f"largest error {facts['absolute']} absolute, {facts['relative']} relative (bound {facts['bound']})"
    )
