"""rotate: new keys for old, while everything goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer

from strongroom.cli.desk import Desk, DryRun, command
from strongroom.cli.people import Days, parse_duration
from strongroom.sdk import rotation
from strongroom.trust.rotation import KeyAge
from strongroom.trust.standing import SIGNING

_NOTE_EVERY = 1000

Target = Annotated[
    str | None, typer.Option("--to", metavar="URI", help="Move to this key.  [default: where it is kept now]")
]


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(no_args_is_help=True, help="New keys for old, while everything goes on.")
    command(group, "key")(key)
    command(group, "signing")(signing)
    command(group, "identity")(identity)
    command(group, "status")(status)
    app.add_typer(group, name="rotate")


def key(
    desk: Desk,
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="Family of models.")],
    to: Target = None,
    reencrypt: Annotated[
        bool, typer.Option("--reencrypt", help="Encrypt its versions anew too, each under a new data key.")
    ] = False,
    reopen: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="VERSION", help="Let an old version open until this is settled: after a restore."
        ),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Put a new version of a family's key in force; the old one opens nothing any more.

    No byte of a model is touched without --reencrypt. What was cut off goes on.
    """
    room = desk.open()
    room.unlock()
    with _counted(desk) as count, desk.progress(f"encrypting {family}", None) as progress:
        done = rotation.rotate_key(
            room,
            family,
            to=to,
            reopen=reopen,
            reencrypt=reencrypt,
            dry_run=dry_run,
            count=count,
            progress=progress,
        )
    told: dict[str, Any] = {**asdict(done.key), "reencrypted": None}
    outcome = "would be rotated" if dry_run else "settled" if done.key.log_index < 0 else "rotated, settled"
    at = "" if done.key.log_index < 0 else f", log record {done.key.log_index}"
    lines = [
        f"{family}  {outcome}{at}",
        f"key       {done.key.key} version {done.key.version}",
        f"keys      {done.key.keys} data keys, {done.key.rewrapped} rewrapped",
    ]
    if done.key.damaged:
        lines.append(f"damaged   {done.key.damaged} of revoked versions or in quarantine, left as they are")
    if done.reencrypted is not None:
        told["reencrypted"] = asdict(done.reencrypted)
        lines.append(f"anew      {done.reencrypted.versions} versions, {done.reencrypted.size_bytes} bytes")
    desk.show(told, *lines)


def signing(desk: Desk, to: Target = None, dry_run: DryRun = False) -> None:
    """Put a new signing key in force; what the old one signed stays good, and it signs nothing new."""
    done = rotation.rotate_signing(desk.open(), to=to, dry_run=dry_run)
    outcome = "would be put in force" if dry_run else f"in force, log record {done.log_index}"
    desk.show(asdict(done), f"{done.key}  {outcome}", f"before    {done.before}")


def identity(
    desk: Desk,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A person or service.")],
    days: Days = None,
    overlap: Annotated[
        str, typer.Option(help="How long the old certificates go on: 30m, 12h, at most 7d; 0s ends them now.")
    ] = "0s",
    dry_run: DryRun = False,
) -> None:
    """Give a person or service a new key pair and certificate; the old ones end."""
    lasting = timedelta(0) if overlap == "0s" else parse_duration(overlap)
    done = rotation.rotate_identity(desk.open(), name, days=days, overlap=lasting, dry_run=dry_run)
    outcome = "would get a new key pair" if dry_run else f"has a new key pair, log record {done.log_index}"
    desk.show(
        {**asdict(done), "until": done.until.isoformat()},
        f"{name}  {outcome}",
        f"key       {done.key}",
        f"before    ends {done.until:%Y-%m-%d %H:%M:%S} UTC",
    )


def status(desk: Desk) -> None:
    """How old each key is, when it is due, and what a rotation has left to do.

    What is overdue is recorded once a period, if a passphrase is at hand.
    """
    ages = rotation.rotation_status(desk.open())
    if desk.json_output:
        desk.print_json([_age_to_json(age) for age in ages])
        return
    desk.table(
        ["key of", "uri", "version", "since", "due", "state"],
        [
            [age.name, age.key, str(age.version), f"{age.since:%Y-%m-%d}", f"{age.due:%Y-%m-%d}", _state(age)]
            for age in ages
        ],
        "no keys",
    )


def _state(age: KeyAge) -> str:
    found = ["OVERDUE"] if age.overdue else []
    if not age.settled:
        found.append("not settled")
    if age.to_reencrypt:
        found.append(f"{age.to_reencrypt} to encrypt anew")
    return ", ".join(found) or "ok"


def _age_to_json(age: KeyAge) -> dict[str, Any]:
    return {
        "family": None if age.name == SIGNING else age.name,
        "key": age.key,
        "version": age.version,
        "since": age.since.isoformat(),
        "due": age.due.isoformat(),
        "overdue": age.overdue,
        "settled": age.settled,
        "to_reencrypt": age.to_reencrypt,
    }


@contextmanager
def _counted(desk: Desk) -> Iterator[Any]:
    """Say now and then how many data keys were rewrapped."""
    seen = 0

    def count(more: int) -> None:
        nonlocal seen
        seen += more
        if seen % _NOTE_EVERY == 0 and not desk.json_output:
            desk.note(f"{seen} data keys")

    yield count
