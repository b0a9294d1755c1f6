"""log show, verify, prove, checkpoint: the record of every decision."""

import sys
from collections import deque
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from strongroom.cli.desk import Desk, command
from strongroom.errors import InvalidError
from strongroom.flows.audit import MAX_SHOWN, LogRecord, proof_to_json
from strongroom.flows.requests import RequestRecord
from strongroom.sdk.home import read_file

MAX_CHECKPOINT_BYTES = 64 * 2**10


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    log = typer.Typer(no_args_is_help=True, help="The record of every decision, under a Merkle tree.")
    command(log, "show")(show)
    command(log, "requests")(requests)
    command(log, "verify")(verify)
    command(log, "prove")(prove)
    command(log, "checkpoint")(checkpoint)
    app.add_typer(log, name="log")


def show(
    desk: Desk,
    last: Annotated[int | None, typer.Option(min=1, help="Only so many of the newest.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this identity did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this.")] = None,
    decision: Annotated[str | None, typer.Option(help="Only allow, deny, reject or outage.")] = None,
) -> None:
    """Print records, oldest first; they are verified before they are shown. --json: one object a line."""
    given = {"actor": actor, "action": action, "subject": subject, "decision": decision}
    records = desk.open().log(only={name: value for name, value in given.items() if value is not None})
    shown = deque(records, min(last, MAX_SHOWN)) if last is not None else records
    if desk.json_output:
        for record in shown:
            sys.stdout.write(orjson.dumps(_to_json(record)).decode() + "\n")
        return
    desk.table(
        ["record", "time", "actor", "action", "subject", "decision", "rule", "reason"],
        [
            [
                str(record.index),
                f"{record.event.time:%Y-%m-%d %H:%M:%S}",
                record.event.actor,
                record.event.action,
                record.event.subject,
                str(record.event.decision),
                record.event.rule,
                record.event.reason,
            ]
            for record in shown
        ],
        "no such records",
    )


def requests(
    desk: Desk,
    who: Annotated[str | None, typer.Option(help="Only this caller.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model, family@version.")] = None,
    status: Annotated[
        int | None, typer.Option(help="Only this HTTP status; 0 is a refused handshake.")
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only so many of the newest.")] = None,
) -> None:
    """Print what the gateways decided, request by request. --json: one object a line."""
    given = {"who": who, "model": model, "status": None if status is None else str(status)}
    records = desk.open().requests({name: value for name, value in given.items() if value is not None})
    shown = deque(records, min(last, MAX_SHOWN)) if last is not None else records
    if desk.json_output:
        for record in shown:
            sys.stdout.write(orjson.dumps(_request_to_json(record)).decode() + "\n")
        return
    desk.table(
        ["record", "time", "who", "action", "model", "status", "rows", "decision", "rule"],
        [
            [
                record.id,
                f"{record.time:%Y-%m-%d %H:%M:%S}",
                *(str(record.context.get(name, "")) for name in ("who", "action", "model")),
                str(record.status),
                str(record.rows),
                *(str(record.context.get(name, "")) for name in ("decision", "rule")),
            ]
            for record in shown
        ],
        "no such requests",
    )


def verify(
    desk: Desk,
    against: Annotated[
        Path | None, typer.Option(help="A checkpoint kept elsewhere that the log must extend.")
    ] = None,
) -> None:
    """Check every record, journal and right against the signed checkpoint; names the first bad record."""
    kept = None
    if against is not None:
        kept = read_file(against, MAX_CHECKPOINT_BYTES)
    verified = desk.open().verify_log(kept)
    desk.show(
        {"records": verified.size, "predictions": verified.predictions, "root": verified.root.hex()},
        f"log  verified: {verified.size} records, {verified.predictions} predictions",
        f"root {verified.root.hex()}",
    )


def prove(
    desk: Desk,
    record: Annotated[
        int, typer.Argument(min=0, metavar="N", help="Number of a record, as `log show` shows it.")
    ],
) -> None:
    """Print the proof that record N stands in the log (RFC 6962), as JSON."""
    desk.print_json(proof_to_json(desk.open().prove(record)))


def checkpoint(desk: Desk) -> None:
    """Print the newest signed checkpoint; keep it elsewhere, and check with `log verify --against`."""
    note = desk.open().vault.log.checkpoint()
    if note is None:
        raise InvalidError("log: is empty")
    desk.show({"checkpoint": note.decode()}, *note.decode().rstrip("\n").split("\n"))


def _to_json(record: LogRecord) -> dict[str, Any]:
    event = record.event
    return {
        "record": record.index,
        "time": event.time.isoformat(),
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "decision": str(event.decision),
        "rule": event.rule,
        "reason": event.reason,
        "detail": event.detail,
    }


def _request_to_json(record: RequestRecord) -> dict[str, Any]:
    return {
        "record": record.id,
        "time": record.time.isoformat(),
        "status": record.status,
        "rows": record.rows,
        **record.context,
        "request": record.request.hex(),
        "answer": record.answer.hex(),
    }
