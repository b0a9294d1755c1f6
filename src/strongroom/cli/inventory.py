"""list, own and inventory: what there is, who answers for it, and spreadsheets of it."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli.desk import Desk, DryRun, command
from strongroom.cli.people import parse_duration
from strongroom.errors import InvalidError, shorten
from strongroom.flows.listing import Filter, Item
from strongroom.sdk import stock

Family = Annotated[str | None, typer.Argument(help="Only this family.")]
Owner = Annotated[str | None, typer.Option(help="Only what this person or team answers for.")]
Format = Annotated[str | None, typer.Option(help="Only this format, for instance onnx.")]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state", help="quarantined, published, approved, retired, revoked or unmanaged; may be repeated."
    ),
]
RunsOn = Annotated[str | None, typer.Option(help="Only what runs there: a server's name, any, or none.")]
Older = Annotated[str | None, typer.Option(help="Only what is here for longer: 90d, 12h.")]
Orphaned = Annotated[bool, typer.Option("--orphaned", help="Only what nobody answers for any more.")]
Unmanaged = Annotated[bool, typer.Option("--unmanaged", help="Only what is elsewhere.")]
_DASH = Path("-")


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "list")(list_models)
    command(app, "own")(own)
    inventory = typer.Typer(no_args_is_help=True, help="The inventory in spreadsheets.")
    command(inventory, "import")(import_sheet)
    command(inventory, "export")(export_sheet)
    command(inventory, "remove")(remove)
    app.add_typer(inventory, name="inventory")


def list_models(
    desk: Desk,
    family: Family = None,
    owner: Owner = None,
    format: Format = None,  # noqa: A002 - the option's name
    state: States = None,
    runs_on: RunsOn = None,
    older_than: Older = None,
    orphaned: Orphaned = False,
    unmanaged: Unmanaged = False,
) -> None:
    """The versions you may see, with their state, owner and where they run."""
    age = _age(older_than)
    wanted = Filter(family, owner, format, tuple(state or ()), runs_on, age, orphaned, unmanaged)
    items = stock.find_inventory(desk.open(), wanted)
    if desk.json_output:
        desk.print_json([item.to_json() for item in items])
        return
    desk.table(
        ["model", "state", "owner", "format", "size", "serving", "digest"],
        [_row(item) for item in items],
        "no models that you may see; publish one: strongroom publish MODEL.onnx --as NAME@1.0.0 --owner TEAM",
    )
    for family_name in sorted({item.model.family for item in items if item.orphaned}):
        desk.note(f"orphaned: nobody answers for {family_name}; strongroom own {family_name} --to NAME")


def own(
    desk: Desk,
    family: Annotated[str, typer.Argument(help="All its versions, earlier ones too.")],
    to: Annotated[str, typer.Option(help="An identity of this home that answers for it from now on.")],
    reason: Annotated[str, typer.Option(help="Why; stands in the log.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Give a family another owner."""
    index = stock.hand_over(desk.open(), family, to, reason, dry_run=dry_run)
    outcome = f"would be owned by {to}" if dry_run else f"owned by {to}, log record {index}"
    desk.show(
        {"family": family, "owner": to, "log_index": None if dry_run else index, "dry_run": dry_run},
        f"{family}  {outcome}",
    )


def import_sheet(
    desk: Desk,
    path: Annotated[Path, typer.Argument(metavar="FILE", help=".csv (UTF-8) or .xlsx.")],
    sheet: Annotated[str | None, typer.Option(help="Sheet of the workbook.  [default: the only one]")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=NAME", help="What one of its columns means; may be repeated."),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A column that says nothing here; may be repeated."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """List what a spreadsheet names as elsewhere: every row of it, or none."""
    columns = dict(_column(text) for text in column or ())
    made = stock.import_inventory(
        desk.open(), path, sheet=sheet, columns=columns, skip=tuple(skip or ()), dry_run=dry_run
    )
    value = {
        "added": [str(model) for model in made.added],
        "changed": [str(model) for model in made.changed],
        "known": [str(model) for model in made.known],
        "log_index": made.log_index,
        "dry_run": dry_run,
    }
    outcome = "would be " if dry_run else ""
    where = f", log record {made.log_index}" if made.log_index is not None else ""
    desk.show(
        value,
        f"{path.name}  {len(made.added)} {outcome}added, {len(made.changed)} {outcome}changed, "
        f"{len(made.known)} known already{where}",
    )


def export_sheet(
    desk: Desk,
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="New .csv or .xlsx file; '-' is CSV on stdout.")
    ] = _DASH,
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    owner: Owner = None,
    format: Format = None,  # noqa: A002 - the option's name
    state: States = None,
    runs_on: RunsOn = None,
    older_than: Older = None,
    orphaned: Orphaned = False,
    unmanaged: Unmanaged = False,
) -> None:
    """Write what `list` shows as a spreadsheet, in which no cell is a formula."""
    age = _age(older_than)
    wanted = Filter(family, owner, format, tuple(state or ()), runs_on, age, orphaned, unmanaged)
    room = desk.open()
    if path == _DASH:
        sys.stdout.write(stock.export_inventory(room, wanted).decode("utf-8-sig"))
        return
    count = stock.write_inventory(room, path, wanted)
    desk.show({"file": str(path), "versions": count}, f"{path}  {count} versions")


def remove(
    desk: Desk,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="family@version that is elsewhere.")],
    reason: Annotated[str, typer.Option(help="Why; stands in the log.")],
    dry_run: DryRun = False,
) -> None:
    """Take a version that is elsewhere off the list; one that is here cannot be."""
    index = stock.forget(desk.open(), model, reason, dry_run=dry_run)
    outcome = "would be removed" if dry_run else f"removed, log record {index}"
    desk.show(
        {"model": model, "log_index": None if dry_run else index, "dry_run": dry_run}, f"{model}  {outcome}"
    )


def _row(item: Item) -> list[str]:
    return [
        str(item.model),
        item.state,
        f"{item.owner} ({item.owner_status})" if item.orphaned else item.owner,
        item.format or "-",
        _human_size(item.size_bytes) if item.size_bytes is not None else "-",
        ", ".join(item.places) or item.location or "-",
        item.digest[:19] or "-",
    ]


def _column(text: str) -> tuple[str, str]:
    field, equals, name = text.partition("=")
    if not equals or not field or not name:
        raise InvalidError(f"column: {shorten(text)} is not FIELD=NAME", hint="for instance owner=Team")
    return field, name


def _age(text: str | None) -> timedelta | None:
    return parse_duration(text) if text is not None else None


def _human_size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
