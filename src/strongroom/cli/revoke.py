"""revoke, revocation, shred: what is taken away for good, the list that says so, and keys destroyed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from strongroom.cli.desk import Desk, DryRun, command
from strongroom.errors import InvalidError, shorten
from strongroom.sdk import revocation
from strongroom.values import ModelId, parse_family

Reason = Annotated[str, typer.Option(help="Why; stands in the log.")]
_DAY = "%Y-%m-%d"
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"


class _RevokeGroup(TyperGroup):
    """``revoke NAME@VERSION`` is ``revoke version NAME@VERSION``: nothing else has an ``@``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and "@" in args[0]:
            args = ["version", *args]
        return super().parse_args(ctx, args)


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    revoking = typer.Typer(
        cls=_RevokeGroup,
        no_args_is_help=True,
        help="Take away for good; gateways follow within seconds. `revoke NAME@1.0.0` is `revoke version`.",
    )
    command(revoking, "version")(version)
    command(revoking, "model")(model)
    command(revoking, "key")(key)
    command(revoking, "identity")(identity)
    command(revoking, "grant")(grant)
    app.add_typer(revoking, name="revoke")
    listing = typer.Typer(no_args_is_help=True, help="The signed list of what is revoked.")
    command(listing, "show")(show)
    command(listing, "refresh")(refresh)
    command(listing, "export")(export)
    app.add_typer(listing, name="revocation")
    command(app, "shred")(shred)


def version(
    desk: Desk,
    name: Annotated[str, typer.Argument(metavar="MODEL", help="family@version, for instance fraud@1.0.0")],
    reason: Reason,
    dry_run: DryRun = False,
) -> None:
    """End one version for good; gateways stop serving it within seconds."""
    ModelId.parse(name)
    _done(desk, "version", name, desk.open().revoke(name, reason, dry_run=dry_run), dry_run)


def model(
    desk: Desk,
    name: Annotated[str, typer.Argument(metavar="FAMILY", help="All its versions, and the name.")],
    reason: Reason,
    dry_run: DryRun = False,
) -> None:
    """End every version of a model for good; nothing is published under its name again."""
    parse_family(name)
    _done(desk, "model", name, desk.open().revoke(name, reason, dry_run=dry_run), dry_run)


def key(
    desk: Desk,
    name: Annotated[
        str, typer.Argument(metavar="KEY", help="Id of a signing key, or `signing`: that in force.")
    ],
    reason: Reason,
    compromised: Annotated[
        bool, typer.Option("--compromised", help="What it signed is not believed any more either.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="With --compromised: only what was recorded from this day or time on, UTC."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """End a signing key: it signs nothing any more. With --compromised what it signed stops loading."""
    room = desk.open()
    start = _parse_moment(since) if since is not None else None
    index = room.revoke_key(name, reason, compromised=compromised, since=start, dry_run=dry_run)
    ended = [] if dry_run else [str(one) for one in revocation.versions_signed_by(room, name)]
    _done(desk, "key", name, index, dry_run, *([f"ended    {one}" for one in ended]), versions=ended)


def identity(
    desk: Desk,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A person or service.")],
    reason: Reason,
    dry_run: DryRun = False,
) -> None:
    """End a person or service for good: every certificate of theirs is refused within seconds."""
    _done(desk, "identity", name, desk.open().revoke_identity(name, reason, dry_run=dry_run), dry_run)


def grant(
    desk: Desk,
    name: Annotated[str, typer.Argument(metavar="GRANT-ID", help="As `grant list` shows it.")],
    reason: Reason,
    dry_run: DryRun = False,
) -> None:
    """End a grant now."""
    _done(desk, "grant", name, desk.open().revoke_grant(name, reason, dry_run=dry_run), dry_run)


def show(desk: Desk) -> None:
    """What is revoked, as the stored list says it, and how long that list counts."""
    found = revocation.find_list(desk.open())
    if found is None:
        desk.show(None, "no list yet: nothing was revoked, and nothing was ever served")
        return
    listed = found.listed
    ends = f"{found.ends_at:%Y-%m-%d %H:%M:%S}Z"
    lines = [f"model     {one}" for one in sorted(listed.models)]
    lines += [f"identity  {one.name}" for one in listed.identities]
    lines += [f"key       {one.key_id}, from {one.since:%Y-%m-%d %H:%M:%S}Z on" for one in listed.keys]
    lines += [f"grant     {one}" for one in sorted(listed.grants)]
    desk.show(
        {
            "number": listed.issue.number,
            "log_size": listed.log_size,
            "issued_at": listed.issue.issued_at.isoformat(),
            "ends_at": found.ends_at.isoformat(),
            "fresh": found.fresh,
            "current": found.current,
            "models": sorted(listed.models),
            "identities": [one.name for one in listed.identities],
            "keys": [{"key_id": one.key_id, "since": one.since.isoformat()} for one in listed.keys],
            "grants": sorted(listed.grants),
        },
        f"list {listed.issue.number}, {'counts until' if found.fresh else 'ended at'} {ends}"
        + ("" if found.current else "; the log knows of a newer one: strongroom revocation refresh"),
        *(lines or ["nothing is revoked"]),
    )


def refresh(desk: Desk) -> None:
    """Issue the list anew; while something serves, that happens by itself."""
    listed = revocation.refresh_list(desk.open())
    value = {"number": listed.issue.number, "max_age_s": listed.issue.max_age_s}
    desk.show(value, f"list {listed.issue.number} issued, counts for {listed.issue.max_age_s} s")


def export(
    desk: Desk, to: Annotated[Path, typer.Option(help="Folder for revocations.json and revocations.crl.")]
) -> None:
    """Write the list, and an X.509 CRL of it for TLS stacks such as OpenSSL, nginx and Envoy."""
    paths = [str(path) for path in revocation.export_list(desk.open(), to)]
    desk.show({"files": paths}, *paths)


def shred(
    desk: Desk,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="family@version, or a whole family.")],
    reason: Annotated[str, typer.Option(help="Why; stands in the log. Asking needs it.")] = "",
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Carry out what somebody else asked for, or go on with it.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Destroy the keys of a version or family, so that no copy of it opens again. Takes two people."""
    room = desk.open()
    if not confirm:
        index = revocation.request_shred(room, target, reason, dry_run=dry_run)
        desk.show(
            {
                "target": target,
                "state": "requested",
                "log_index": None if dry_run else index,
                "dry_run": dry_run,
            },
            f"{target}  {'would be asked for' if dry_run else f'asked for, log record {index}'}",
            *([] if dry_run else [f"next     an admin who is not you: strongroom shred {target} --confirm"]),
        )
        return
    done = revocation.shred(room, target, dry_run=dry_run)
    value = {"target": target, "state": "shredded", "keys": done.keys, "objects": done.objects}
    desk.show(
        {**value, "log_index": None if dry_run else done.log_index, "dry_run": dry_run},
        f"{target}  would be shredded, {done.keys} wrapped keys"
        if dry_run
        else f"{target}  shredded, log record {done.log_index}",
        *([] if dry_run else [f"proof    {done.keys} wrapped keys were tried, and none opens"]),
        *([] if dry_run else [f"removed  {done.objects} objects"]),
    )


def _parse_moment(text: str) -> datetime:
    for form in (_DAY, _MOMENT):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise InvalidError(
        f"since: {shorten(text)} is no day or time", hint="write 2026-11-22 or 2026-11-22T08:00:00Z"
    )


def _done(desk: Desk, kind: str, name: str, index: int, dry_run: bool, *lines: str, **more: Any) -> None:
    outcome = "would be revoked" if dry_run else f"revoked, log record {index}"
    value = {"kind": kind, "name": name, "state": "revoked", "log_index": None if dry_run else index}
    desk.show({**value, "dry_run": dry_run, **more}, f"{name}  {outcome}", *lines)
