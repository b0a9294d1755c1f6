"""backup, restore and recover: what is left when a disk is not."""

from pathlib import Path
from typing import Annotated, Any

import typer

from strongroom.cli.desk import Desk, DryRun, command
from strongroom.errors import RejectedError
from strongroom.flows.recover import Fault
from strongroom.sdk.copies import Backups, recover_home, restore_from
from strongroom.trust.backup import Snapshot

Place = Annotated[
    str,
    typer.Argument(metavar="PLACE", help="Where the backup is: a folder elsewhere, or s3://bucket/prefix."),
]
Kept = Annotated[
    list[Path] | None,
    typer.Option(help="A signed checkpoint of the log that somebody kept; may be repeated."),
]


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    backup = typer.Typer(no_args_is_help=True, help="Copies of the home, sealed and signed.")
    command(backup, "create")(create)
    command(backup, "list")(list_snapshots)
    command(backup, "verify")(verify)
    command(backup, "prune")(prune)
    app.add_typer(backup, name="backup")
    command(app, "restore")(restore)
    command(app, "recover")(recover)


def create(desk: Desk, place: Place) -> None:
    """Add a snapshot of everything to the backup in PLACE; only what is new is written.

    Needs the keystore's passphrase to come back. Exit 4 if something is damaged here and could not be kept.
    """
    room = desk.open()
    with desk.progress("copying", None) as progress:
        made = Backups(room, place).create(progress)
    desk.show(
        {**_to_json(made.snapshot), "written_bytes": made.written, "not_kept": _pairs(made.missing)},
        f"snapshot {made.snapshot.sequence}  {made.snapshot.objects} objects, "
        f"{made.snapshot.head.size} log records, {_size(made.written)} new",
        *(f"NOT KEPT  {name}: {reason}" for name, reason in made.missing),
    )
    _end(desk, len(made.missing), "could not be kept", "strongroom recover shows what is damaged")


def list_snapshots(desk: Desk, place: Place) -> None:
    """Print every snapshot in PLACE, oldest first; signatures and order are checked."""
    snapshots = Backups(desk.open(), place).list()
    if desk.json_output:
        desk.print_json([_to_json(each) for each in snapshots])
        return
    desk.table(
        ["snapshot", "taken", "log records", "objects", "sealed bytes", "not kept"],
        [
            [
                str(each.sequence),
                f"{each.taken_at:%Y-%m-%d %H:%M:%S}",
                str(each.head.size),
                str(each.objects),
                str(each.size_bytes),
                str(each.missing),
            ]
            for each in snapshots
        ],
        "no snapshot was finished",
    )


def verify(
    desk: Desk,
    place: Place,
    full: Annotated[bool, typer.Option("--full", help="Read every byte.")] = False,
) -> None:
    """Check that the newest snapshot in PLACE would come back; exit 4 if it would not, whole."""
    room = desk.open()
    with desk.progress("reading", None) as progress:
        faults = Backups(room, place).verify(full=full, progress=progress)
    desk.show({"faults": list(faults)}, *([f"FAULT  {each}" for each in faults] or ["backup  sound"]))
    _end(desk, len(faults), "faults", "make another: strongroom backup create, in an empty place")


def prune(
    desk: Desk,
    place: Place,
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest snapshots stay.")],
    dry_run: DryRun = False,
) -> None:
    """Let old snapshots in PLACE go, and all that only they need."""
    done = Backups(desk.open(), place).prune(keep, dry_run=dry_run)
    desk.show(
        {"snapshots": list(done.snapshots), "pieces": done.pieces, "dry_run": dry_run},
        f"{'would remove' if dry_run else 'removed'}  {len(done.snapshots)} snapshots, {done.pieces} pieces",
    )


def restore(
    desk: Desk,
    place: Place,
    snapshot: Annotated[
        int | None, typer.Option(min=1, help="Number of a snapshot.  [default: the newest]")
    ] = None,
    checkpoint: Kept = None,
    allow_rollback: Annotated[
        bool, typer.Option("--allow-rollback", help="Though a later state is known to have been. Recorded.")
    ] = False,
    settings: Annotated[
        Path | None, typer.Option(help="A settings file that says how to reach the bucket ([store]).")
    ] = None,
) -> None:
    """Make the home anew from the backup in PLACE, with the passphrase of its keystore.

    A backup that is known not to be the newest state is refused: by --checkpoint, by what stands beside it,
    or by what stands in the store. Exit 4 if something could not be brought back.
    """
    with desk.progress("copying", None) as progress:
        done = restore_from(
            place,
            desk.home,
            passphrase=desk.passphrase(),
            acting=desk.identity,
            snapshot=snapshot,
            checkpoints=checkpoint or (),
            allow_rollback=allow_rollback,
            settings=settings,
            progress=progress,
        )
    desk.show(
        {
            "snapshot": done.snapshot.sequence,
            "log_records": done.records,
            "put_back": done.put_back,
            "missing": _pairs(done.missing),
            "rolled_back": list(done.rolled_back),
        },
        f"restored  snapshot {done.snapshot.sequence}, {done.records} log records, {done.put_back} objects",
        *(f"ROLLED BACK  {reason}" for reason in done.rolled_back),
        *(f"MISSING  {name}: {reason}" for name, reason in done.missing),
        "next      strongroom doctor",
    )
    _end(desk, len(done.missing), "could not be brought back", "look in an older snapshot or backup")


def recover(
    desk: Desk,
    backup: Annotated[
        str | None, typer.Option(metavar="PLACE", help="A backup to take missing and damaged objects from.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A signed checkpoint that the log must extend.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Rebuild the catalog from the log and the store alone; with --backup put back what the store lost.

    Reads every stored byte. Exit 4 if something is still damaged afterwards.
    """
    with desk.progress("reading", None) as progress:
        done = recover_home(
            desk.open(), place=backup, checkpoint=checkpoint, progress=progress, dry_run=dry_run
        )
    said = "would be rewritten" if dry_run else "rewritten"
    desk.show(
        {
            "log_records": done.records,
            "versions": done.versions,
            "rows": list(done.rows),
            "lifted": list(done.lifted),
            "faults": [_fault_to_json(each) for each in done.faults],
            "dry_run": dry_run,
        },
        f"log      verified: {done.records} records",
        f"catalog  {len(done.rows)} rows {said}",
        f"store    {done.versions} versions, {len(done.faults)} faults, "
        f"{len(done.faults) - len(done.left)} mended",
        *(f"let go   {each}: no longer quarantined" for each in done.lifted),
        *(f"{'mended' if each.mended else 'DAMAGED'}  {each.of}: {each.what}" for each in done.faults),
    )
    _end(desk, len(done.left), "faults are left", "strongroom recover --backup PLACE puts back what it holds")


def _to_json(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "snapshot": snapshot.sequence,
        "taken_at": snapshot.taken_at.isoformat(),
        "log_records": snapshot.head.size,
        "log_root": snapshot.head.root.hex(),
        "objects": snapshot.objects,
        "sealed_bytes": snapshot.size_bytes,
        "missing": snapshot.missing,
    }


def _fault_to_json(fault: Fault) -> dict[str, Any]:
    return {"of": fault.of, "what": fault.what, "mended": fault.mended}


def _pairs(missing: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "reason": reason} for name, reason in missing]


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"


def _end(desk: Desk, count: int, what: str, hint: str) -> None:
    """Exit 4 if anything was wrong; with --json it has been said."""
    if count and desk.json_output:
        raise typer.Exit(RejectedError.exit_code)
    if count:
        raise RejectedError(f"{count} {what}", hint=hint)
