"""watch: look at everything that is stored, again and again."""

import sys
from dataclasses import asdict
from typing import Annotated

import orjson
import typer

from strongroom.cli.desk import Desk, command, printable
from strongroom.errors import RejectedError
from strongroom.flows.watch import Finding, Pace
from strongroom.sdk.watching import watch_store


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "watch")(watch)


def watch(
    desk: Desk,
    once: Annotated[bool, typer.Option("--once", help="Look at everything once and end.")] = False,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Content read in a second, MiB.  [default: settings]")
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=1.0, help="Seconds between two surveys.  [default: settings]")
    ] = None,
) -> None:
    """Compare the store with what was signed, until interrupted; what was altered is named and quarantined.

    `serve` does the same beside its work. --json: one object a line. --once: exit 4 if anything was found.
    """
    room = desk.open()
    settings = room.settings.watch
    pace = Pace.of(rate or settings.rate_mib_s, every or settings.survey_s, settings.reread_hours)
    findings: list[Finding] = []

    def told(finding: Finding) -> None:
        findings.append(finding)
        if desk.json_output:
            sys.stdout.write(orjson.dumps(asdict(finding)).decode() + "\n")
        else:
            mark = "QUARANTINED" if finding.held else "FOUND"
            sys.stdout.write(printable(f"{mark}  {finding.of}: {finding.object} {finding.what}") + "\n")
        sys.stdout.flush()

    try:
        watcher = watch_store(room, told, pace, once=once)
    except KeyboardInterrupt:
        return
    desk.note(f"{watcher.objects} objects, {watcher.read_bytes} bytes read, {len(findings)} findings")
    if findings and desk.json_output:
        raise typer.Exit(RejectedError.exit_code)
    if findings:
        raise RejectedError(
            f"{len(findings)} findings", hint="strongroom recover --backup PLACE puts right what it can"
        )
