"""init, status and doctor: the home as a whole."""

import getpass
import re
from typing import Annotated

import typer

from strongroom.cli.desk import Desk, command
from strongroom.errors import RejectedError
from strongroom.flows.doctor import Check, Verdict
from strongroom.sdk.home import Strongroom
from strongroom.serve.supervisor.probe import examine_host
from strongroom.settings import find_home

_MARKS = {Verdict.OK: "ok", Verdict.WARN: "WARN", Verdict.FAIL: "FAIL"}
_FALLBACK_FOUNDER = "admin"


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "init")(init)
    command(app, "status")(status)
    command(app, "doctor")(doctor)


def init(
    desk: Desk,
    insecure_solo: Annotated[
        bool,
        typer.Option("--insecure-solo", help="One person alone: you may approve your own models. Recorded."),
    ] = False,
) -> None:
    """Make a home: keystore, certificate authority, signing key, log, first identity.

    The first identity is named by --identity, else after you.
    """
    founder = desk.identity or _login_name()
    made = Strongroom.init(
        find_home(desk.home), passphrase=desk.new_passphrase(), founder=founder, insecure_solo=insecure_solo
    )
    next_step = (
        "strongroom publish MODEL.onnx --as NAME@1.0.0 --owner TEAM"
        if insecure_solo
        else "strongroom identity add NAME --role reviewer"
    )
    desk.show(
        {"home": str(made.home), "identity": founder, "solo": insecure_solo},
        f"home      {made.home}",
        f"identity  {founder}",
        f"next      {next_step}",
    )


def status(desk: Desk) -> None:
    """What there is, what runs, and every insecure choice in force."""
    now = desk.open().status()
    versions = ", ".join(f"{count} {state}" for state, count in sorted(now["versions"].items())) or "none"
    if now["unmanaged"]:
        versions += f", {now['unmanaged']} unmanaged"
    lines = [
        f"home        {now['home']}",
        f"identity    {now['identity']}",
        f"versions    {versions}",
        f"identities  {now['identities']}",
        f"log         {now['log_records']} records",
    ]
    for one in now["serving"]:
        url = f"https://{one['name']}:{one['port']}"
        lines.append(f"serving     {', '.join(one['models'])} at {url} (pid {one['pid']})")
        lines += [f"sandbox     {layer}: {state}" for layer, state in one["sandbox"].items() if state != "on"]
    if not now["serving"]:
        lines.append("serving     nothing")
    lines += [f"ORPHANED    {family}: its owner {why}" for family, why in now["orphaned"].items()]
    lines += [f"OVERDUE     {name}: rotation was due {due}" for name, due in now["rotation_overdue"].items()]
    lines += [f"INSECURE    {choice}" for choice in now["insecure_choices"]]
    desk.show(now, *lines)


def doctor(desk: Desk) -> None:
    """Examine the home and this machine; exit 4 if anything fails."""
    room = desk.open()
    checks = [*room.doctor(), *examine_host(list(room.settings.sandbox.require))]
    if desk.json_output:
        desk.print_json([_check_to_json(check) for check in checks])
    else:
        desk.table(
            ["check", "verdict", "evidence", "fix"],
            [[check.name, _MARKS[check.verdict], check.evidence, check.fix] for check in checks],
            "nothing was checked",
        )
    failed = [check.name for check in checks if check.verdict is Verdict.FAIL]
    if failed:
        if desk.json_output:
            raise typer.Exit(RejectedError.exit_code)
        raise RejectedError(f"doctor: {len(failed)} checks failed: {', '.join(failed)}")


def _check_to_json(check: Check) -> dict[str, str]:
    return {
        "name": check.name,
        "verdict": check.verdict.value,
        "evidence": check.evidence,
        "fix": check.fix,
    }


def _login_name() -> str:
    try:
        name = re.sub(r"[^a-z0-9-]", "-", getpass.getuser().lower())[:63]
    except (KeyError, OSError):
        return _FALLBACK_FOUNDER
    return name if re.match(r"[a-z]", name) and name != "root" else _FALLBACK_FOUNDER
