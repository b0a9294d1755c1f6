"""identity, grant and can: who may do what, until when."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from strongroom.cli.desk import Desk, DryRun, command
from strongroom.errors import DeniedError, InvalidError, shorten
from strongroom.trust.authority import GrantRecord
from strongroom.values import Role

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A person or service.")]
Reason = Annotated[str, typer.Option(help="Why; stands in the log.")]
Days = Annotated[
    int | None, typer.Option(min=1, max=90, help="Days until the certificate ends.  [default: settings]")
]
Resource = Annotated[str, typer.Option("--on", help="'*', a family, or family@version.")]


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    identity = typer.Typer(no_args_is_help=True, help="People and services: key pairs with certificates.")
    command(identity, "add")(add)
    command(identity, "renew")(renew)
    command(identity, "list")(list_identities)
    command(identity, "export")(export)
    app.add_typer(identity, name="identity")
    grants = typer.Typer(no_args_is_help=True, help="Roles with an end.")
    command(grants, "add")(grant)
    command(grants, "list")(list_grants)
    app.add_typer(grants, name="grant")
    command(app, "can")(can)


def add(
    desk: Desk,
    name: Name,
    role: Annotated[list[Role] | None, typer.Option(help="Grant this role too; may be repeated.")] = None,
    resource: Resource = "*",
    days: Days = None,
    dry_run: DryRun = False,
) -> None:
    """Add a person or service, and what they may do."""
    roles = tuple(each.value for each in role or [])
    index = desk.open().add_identity(name, roles=roles, resource=resource, days=days, dry_run=dry_run)
    outcome = "would be added" if dry_run else f"added, log record {index}"
    desk.show(
        {"identity": name, "roles": list(roles), "log_index": None if dry_run else index, "dry_run": dry_run},
        f"{name}  {outcome}" + (f", {', '.join(roles)} on {resource}" if roles else ", no role yet"),
    )


def renew(desk: Desk, name: Name, days: Days = None, dry_run: DryRun = False) -> None:
    """Issue the next certificate for the same key pair."""
    index = desk.open().renew_identity(name, days=days, dry_run=dry_run)
    _done(desk, name, "renewed", index, dry_run)


def list_identities(desk: Desk) -> None:
    """Everyone there is or was, and how long their certificates last."""
    known = desk.open().identities()
    if desk.json_output:
        desk.print_json(
            [
                {
                    "identity": one.name,
                    "revoked": one.revoked,
                    "not_after": one.credentials[-1].not_after.isoformat(),
                    "serial": one.credentials[-1].serial,
                }
                for one in known
            ]
        )
        return
    desk.table(
        ["identity", "state", "certificate until", "serial"],
        [
            [
                one.name,
                "revoked" if one.revoked else "valid",
                f"{one.credentials[-1].not_after:%Y-%m-%d %H:%M}",
                one.credentials[-1].serial,
            ]
            for one in known
        ],
        "no identities",
    )


def export(
    desk: Desk,
    name: Name,
    to: Annotated[Path, typer.Option(help="Folder for NAME.pem, NAME.key, ca.pem and trust.json.")],
) -> None:
    """Write certificate and key as PEM files for stock clients such as curl."""
    paths = [str(path) for path in desk.open().export_identity(name, to)]
    desk.show(
        {"identity": name, "files": paths},
        *paths,
        f"note     {name}.key is not encrypted: whoever has it is {name}",
    )


def grant(
    desk: Desk,
    principal: Name,
    role: Annotated[Role, typer.Argument(help="docs/roles.md says what each may do.")],
    reason: Reason,
    resource: Resource = "*",
    lasting: Annotated[
        str | None, typer.Option("--for", help="How long: 90m, 8h, 30d.  [default: settings]")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Give a role on a resource, with an end."""
    duration = parse_duration(lasting) if lasting is not None else None
    made = desk.open().grant(
        principal, role.value, resource, duration=duration, reason=reason, dry_run=dry_run
    )
    desk.show(
        {**made.to_json(), "dry_run": dry_run},
        f"{principal}  {'would be' if dry_run else 'is'} {role.value} on {resource}"
        f" until {made.end:%Y-%m-%d %H:%M:%S}Z",
        *([] if dry_run else [f"grant    {made.id}"]),
    )


def list_grants(
    desk: Desk, principal: Annotated[str | None, typer.Argument(metavar="NAME", help="Only theirs.")] = None
) -> None:
    """All grants, or one principal's, ended ones included."""
    room = desk.open()
    records = room.grants(principal)
    now = room.now()
    if desk.json_output:
        desk.print_json([_grant_to_json(record) for record in records])
        return
    desk.table(
        ["grant", "principal", "role", "on", "until", "state", "by", "reason"],
        [
            [
                record.grant.id,
                record.grant.principal,
                record.grant.role.value,
                record.grant.resource,
                f"{record.grant.end:%Y-%m-%d %H:%M}",
                "revoked" if record.revoked_at else "active" if record.grant.is_active(now) else "not now",
                record.grant.granted_by,
                record.grant.reason,
            ]
            for record in records
        ],
        "no grants",
    )


def can(
    desk: Desk,
    principal: Name,
    action: Annotated[str, typer.Argument(help="For instance publish, approve, predict, read-log.")],
    resource: Annotated[str, typer.Argument(help="'*', a family, or family@version.")] = "*",
) -> None:
    """Say whether someone may do something now, and which rule decides; exit 3 if not."""
    decision = desk.open().can(principal, action, resource)
    answer = "yes" if decision.allowed else "no"
    desk.show(
        {
            "allowed": decision.allowed,
            "rule": decision.rule,
            "grants": list(decision.grant_ids),
            "principal": principal,
            "action": action,
            "resource": resource,
        },
        f"{answer}  rule {decision.rule}"
        + (f", by {', '.join(decision.grant_ids)}" if decision.grant_ids else ""),
    )
    if not decision.allowed:
        raise typer.Exit(DeniedError.exit_code)


def parse_duration(text: str) -> timedelta:
    """Return the duration that ``90m``, ``8h`` or ``30d`` spells."""
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise InvalidError(f"duration: {shorten(text)} is not one", hint="write 90m, 8h or 30d")
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise InvalidError(f"duration: {shorten(text)} is too long") from None


def _done(desk: Desk, subject: str, what: str, index: int, dry_run: bool) -> None:
    outcome = f"would be {what}" if dry_run else f"{what}, log record {index}"
    value: dict[str, Any] = {"subject": subject, "state": what, "dry_run": dry_run}
    desk.show(value | {"log_index": None if dry_run else index}, f"{subject}  {outcome}")


def _grant_to_json(record: GrantRecord) -> dict[str, Any]:
    revoked = record.revoked_at.isoformat() if record.revoked_at else None
    return {**record.grant.to_json(), "log_index": record.log_index, "revoked_at": revoked}
