"""bom show, diff, verify; osv import, status, check: what models are made of, what is known against it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from strongroom.cli.desk import Desk, DryRun, command
from strongroom.cli.models import Model
from strongroom.errors import InvalidError, RejectedError
from strongroom.scan.bill import Bill
from strongroom.scan.dependencies import Dependency
from strongroom.scan.differences import Difference
from strongroom.scan.scan import Match
from strongroom.sdk.home import verify_bom

_CYCLONEDX, _TABLE = "cyclonedx", "table"
_LOCKFILE_HELP = (
    "requirements.txt, uv.lock, poetry.lock, pylock.toml, Pipfile.lock, environment.yml, CycloneDX."
)


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    bom = typer.Typer(no_args_is_help=True, help="Bills of materials: what a model is made of and needs.")
    command(bom, "show")(show)
    command(bom, "diff")(diff)
    command(bom, "verify")(verify)
    app.add_typer(bom, name="bom")
    osv = typer.Typer(no_args_is_help=True, help="Known vulnerabilities in packages, from a local database.")
    command(osv, "import")(import_database)
    command(osv, "status")(status)
    command(osv, "check")(check)
    app.add_typer(osv, name="osv")


def show(
    desk: Desk,
    model: Model,
    format_name: Annotated[
        str, typer.Option("--format", help="'cyclonedx', or 'table' for people.")
    ] = _CYCLONEDX,
    signed: Annotated[
        bool, typer.Option("--signed", help="In an in-toto envelope that this home signs.")
    ] = False,
    vulnerabilities: Annotated[
        bool, typer.Option("--vulnerabilities", help="With what the vulnerability database knows today.")
    ] = False,
) -> None:
    """Print the CycloneDX bill of materials of a version, derived from its signed statement."""
    if format_name not in (_CYCLONEDX, _TABLE):
        raise InvalidError(f"--format: is {_CYCLONEDX} or {_TABLE}")
    room = desk.open()
    if format_name == _TABLE and not desk.json_output:
        if signed or vulnerabilities:
            raise InvalidError("--format table: is neither signed nor compared", hint="use: osv check MODEL")
        _show_table(desk, room.bill(model))
        return
    document = room.bom(model, signed=signed, vulnerabilities=vulnerabilities)
    sys.stdout.write(document.decode())
    if not document.endswith(b"\n"):
        sys.stdout.write("\n")


def diff(
    desk: Desk,
    model: Model,
    lockfile: Annotated[
        Path | None, typer.Option(help="Lockfile of the serving host.  [default: what is installed here]")
    ] = None,
) -> None:
    """Compare what a version was declared to need with what a host has; exit 4 if that differs."""
    found = desk.open().bom_diff(model, lockfile)
    if desk.json_output:
        desk.print_json({"model": model, "differences": [_difference_to_json(one) for one in found]})
    elif found:
        desk.table(
            ["kind", "what", "declared", "found", "meaning"],
            [[one.kind.value, one.name, one.declared, one.found, one.message] for one in found],
            "",
        )
    else:
        desk.show({}, f"{model}  this host is as declared")
    _end(desk, f"{model}: {len(found)} differences from what was declared" if found else "")


def verify(
    desk: Desk,
    file: Annotated[Path, typer.Argument(help="CycloneDX JSON, signed or bare.")],
    trust_root: Annotated[
        Path | None, typer.Option(help="trust.json of the home that signed it; then no home is needed.")
    ] = None,
) -> None:
    """Check a bill of materials: schema, signature, and that it says what was published; exit 4 if not."""
    found = verify_bom(file, trust_root) if trust_root is not None else desk.open().verify_bom(file)
    shown = {
        "valid": True,
        "spec_version": found.document.get("specVersion"),
        "model": found.model,
        "signed_by": list(found.signed_by),
        "equals_published": found.is_own,
    }
    signed = (
        f"signed by {', '.join(key[:16] for key in found.signed_by)}" if found.signed_by else "not signed"
    )
    same = ", says what was published here" if found.is_own else ""
    desk.show(shown, f"{file.name}  holds: CycloneDX {shown['spec_version']}, {signed}{same}")


def import_database(
    desk: Desk,
    source: Annotated[
        str, typer.Argument(help="OSV archive, folder, JSON or JSON lines file; or an https address.")
    ],
    digest: Annotated[str | None, typer.Option(help="Digest that the file must have: sha256:….")] = None,
    allow_older: Annotated[
        bool, typer.Option("--allow-older", help="Permit a database older than the one in use.")
    ] = False,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Permit http to this machine itself.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Replace the vulnerability database, whole or not at all. Only an admin may."""
    room = desk.open()
    made = room.osv_import(
        source, digest=digest, allow_older=allow_older, insecure_http=insecure_http, dry_run=dry_run
    )
    outcome = "would be imported" if dry_run else f"imported, log record {made.log_index}"
    info = made.info
    desk.show(
        {
            **info.to_json(),
            "digest": str(made.digest),
            "log_index": None if dry_run else made.log_index,
            "dry_run": dry_run,
        },
        f"{info.advisories} advisories about {info.packages} packages  {outcome}",
        f"newest   {info.as_of:%Y-%m-%d %H:%M}",
        f"source   {info.source}, sha256:{info.source_sha256}",
        *([f"left out {info.withdrawn} that were withdrawn"] if info.withdrawn else []),
    )


def status(desk: Desk) -> None:
    """Show how old the vulnerability database is; exit 4 if it is missing or older than 14 days."""
    found = desk.open().osv_status()
    if found is None:
        desk.show({"database": None}, "no vulnerability database; import one: strongroom osv import FILE|URL")
        _end(desk, "osv: there is no vulnerability database")
        return
    info = found.info
    desk.show(
        {
            "database": {
                **info.to_json(),
                "digest": str(found.digest),
                "age_days": found.age_days,
                "stale": found.stale,
            }
        },
        f"newest record  {info.as_of:%Y-%m-%d %H:%M}, {found.age_days} days ago",
        f"imported       {info.imported_at:%Y-%m-%d %H:%M} from {info.source}",
        f"holds          {info.advisories} advisories about {info.packages} packages",
        f"digest         {found.digest}",
    )
    _end(desk, "osv: the vulnerability database is too old" if found.stale else "")


def check(
    desk: Desk,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="family@version, for instance fraud@1.0.0")
    ] = None,
    lockfile: Annotated[Path | None, typer.Option(help=_LOCKFILE_HELP)] = None,
    own: Annotated[
        bool, typer.Option("--self", help="What Strongroom itself runs on, in this environment.")
    ] = False,
) -> None:
    """Look up the packages of a model, a lockfile or Strongroom itself; exit 4 if anything is found."""
    if (model is not None) + (lockfile is not None) + own != 1:
        raise InvalidError("osv check: give one of MODEL, --lockfile and --self")
    found = desk.open().check_dependencies(model, lockfile=lockfile)
    _show_matches(desk, found)
    _end(desk, f"osv: {len(found)} findings" if found else "")


def _show_matches(desk: Desk, found: Sequence[Match]) -> None:
    findings = [one.to_finding() for one in found]
    if desk.json_output:
        desk.print_json(
            [
                {
                    "rule": one.rule,
                    "severity": one.severity.value,
                    "where": one.where,
                    "message": one.message,
                    "fix": one.fix,
                }
                for one in findings
            ]
        )
    elif findings:
        desk.table(
            ["severity", "rule", "where", "what", "fix"],
            [[one.severity.value, one.rule, one.where, one.message, one.fix] for one in findings],
            "",
        )
    else:
        desk.show({}, "nothing is known against these packages")


def _show_table(desk: Desk, bill: Bill) -> None:
    engine = bill.engine
    lines = [
        f"{'model':12} {bill.model}, {bill.format}, of {bill.owner}, published by {bill.publisher}",
        f"{'digest':12} {bill.manifest}",
        *[f"{'file':12} {one.path}  {one.size_bytes} bytes  {one.sha256}" for one in bill.files],
        *[f"{'opset':12} {domain} {version}" for domain, version in sorted(bill.opsets.items())],
        *[f"{'operator':12} {operator}" for operator in bill.operators],
        *([f"{'engine':12} {engine.name} {engine.version}"] if engine else []),
        *[f"{'package':12} {one}{_openness(one)}" for one in bill.dependencies],
    ]
    desk.show({}, *lines)


def _openness(one: Dependency) -> str:
    return "" if one.pinned else f"  (not exact: {one.wanted or 'any version'})"


def _difference_to_json(one: Difference) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "name": one.name,
        "declared": one.declared or None,
        "found": one.found or None,
        "message": one.message,
    }


def _end(desk: Desk, problem: str) -> None:
    """With --json the one value has been printed already."""
    if problem and desk.json_output:
        raise typer.Exit(RejectedError.exit_code)
    if problem:
        raise RejectedError(problem)
