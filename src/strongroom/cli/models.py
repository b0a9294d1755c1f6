"""publish, approve, retire, show, verify: a model's life before it is served."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from strongroom.cli.desk import Desk, DryRun, command
from strongroom.errors import InvalidError
from strongroom.flows.inventory import shown_to_json
from strongroom.flows.publish import Published
from strongroom.flows.review import Change
from strongroom.scan.dependencies import flatten_dependencies
from strongroom.sdk.home import read_json
from strongroom.values import ModelId

_AUTO = "auto"
Model = Annotated[str, typer.Argument(metavar="MODEL", help="family@version, for instance fraud@1.0.0")]
Reason = Annotated[str, typer.Option(help="Why; stands in the log.")]


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "publish")(publish)
    command(app, "review")(review)
    command(app, "approve")(approve)
    command(app, "retire")(retire)
    command(app, "show")(show)
    command(app, "verify")(verify)


def publish(
    desk: Desk,
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Model file, a folder with all its files, or an address.")
    ],
    model: Annotated[str, typer.Option("--as", help="family@version it is published as.")],
    owner: Annotated[str, typer.Option(help="Person or team that answers for it.")],
    schema: Annotated[
        str, typer.Option(help="'auto', or a JSON file that narrows what inputs it takes.")
    ] = _AUTO,
    dependencies: Annotated[
        Path | None, typer.Option(help="Lockfile of what the model was built with; see docs/bom.md.")
    ] = None,
    allow_older: Annotated[
        bool,
        typer.Option(
            "--allow-older", "--allow-rollback", help="Permit a version below the highest published."
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only such files of an address: '*.onnx'; may be repeated."),
    ] = None,
    convert: Annotated[
        bool, typer.Option("--convert", help="Turn it into ONNX first, in a sandbox; see docs/convert.md.")
    ] = False,
    conversion: Annotated[
        Path | None, typer.Option(help="Record that `strongroom convert` wrote beside the model.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Seal, inspect and sign a model. It waits for a second person's approval."""
    chosen: dict[str, Any] | None = None if schema == _AUTO else _object(Path(schema))
    if convert and conversion is not None:
        raise InvalidError("publish: --convert makes a record of its own, so --conversion says nothing")
    room = desk.open()
    room.unlock()
    with desk.progress(f"sealing {model}", _size_of(Path(path))) as progress:
        made = room.publish(
            path,
            model,
            owner=owner,
            schema=chosen,
            dependencies=dependencies,
            allow_older=allow_older,
            only=tuple(only or ()),
            convert=convert,
            conversion=conversion,
            progress=progress,
            dry_run=dry_run,
        )
    show_published(desk, made, dry_run=dry_run)


def show_published(desk: Desk, made: Published, *, dry_run: bool) -> None:
    """Say what was published, and who comes next."""
    shown = {
        "model": str(made.model),
        "digest": str(made.digest),
        "format": made.format,
        "size_bytes": made.size_bytes,
        "files": made.files,
        "schema": made.schema.to_dict() if made.schema else None,
        "findings": list(made.findings),
        "log_index": made.log_index if not dry_run else None,
        "dry_run": dry_run,
    }
    outcome = "would be published" if dry_run else f"published, log record {made.log_index}"
    desk.show(
        shown,
        f"{made.model}  {outcome}",
        f"digest   {made.digest}",
        f"format   {made.format}, {made.files} file{'s' if made.files != 1 else ''}, {made.size_bytes} bytes",
        *[f"note     {finding}" for finding in made.findings],
        *([] if dry_run else [f"next     strongroom approve {made.model} --identity SECOND-PERSON"]),
    )


def review(
    desk: Desk,
    model: Model,
    against: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Compare with this.  [default: last approved before]")
    ] = None,
) -> None:
    """What to look at before approving: scan, schema, dependencies, who made it, what changed."""
    seen = desk.open().review(model, against=against)
    value = {
        **shown_to_json(seen.shown),
        "against": str(seen.against) if seen.against else None,
        "changes": [asdict(change) for change in seen.changes],
        "changes_not_shown": seen.unshown,
    }
    inspection = seen.shown.statement.inspection
    lines = _lines_of(value)
    lines += [
        f"{'finding':13} {found['severity']}: {found['where']}: {found['message']}  [{found['rule']}]"
        for found in inspection.get("findings", [])
    ] or [f"{'findings':13} none, by rules {inspection.get('rules', 'of an earlier release')}"]
    lines += [
        f"{'waived':13} {each['rule']} by {each['by']} until {each['end']}"
        for each in inspection.get("waived", [])
    ]
    lines += [
        f"{'depends on':13} {name}  {version}"
        for name, version in sorted(flatten_dependencies(value["dependencies"]).items())
    ]
    lines.append("")
    if seen.against is None:
        lines.append("There is no earlier approved version to compare with.")
    else:
        lines.append(f"Against {seen.against}: {len(seen.changes) + seen.unshown} changes")
    lines += [_change_line(change) for change in seen.changes]
    lines += ["", f"next     strongroom approve {model} --digest {value['digest']}"]
    desk.show(value, *lines)


def _change_line(change: Change) -> str:
    if change.before is None:
        return f"  + {change.kind:10} {change.name}  {change.after}"
    if change.after is None:
        return f"  - {change.kind:10} {change.name}  {change.before}"
    return f"  ~ {change.kind:10} {change.name}  {change.before} -> {change.after}"


def approve(
    desk: Desk,
    model: Model,
    reason: Reason = "",
    digest: Annotated[
        str | None, typer.Option(help="Only if it is this that was published, as `review` showed it.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Stand for exactly the bytes that were published. Not for one's own uploads."""
    index = desk.open().approve(model, reason, reviewed=digest, dry_run=dry_run)
    _done(desk, model, "approved", index, dry_run, f"next     strongroom serve {model.partition('@')[0]}")


def retire(desk: Desk, model: Model, reason: Reason, dry_run: DryRun = False) -> None:
    """Take a version out of service."""
    _done(desk, model, "retired", desk.open().retire(model, reason, dry_run=dry_run), dry_run)


def show(desk: Desk, model: Model) -> None:
    """Everything about one version: files, schema, who published and approved it."""
    shown = shown_to_json(desk.open().show(model))
    if desk.json_output:
        desk.print_json(shown)
        return
    desk.show(shown, *_lines_of(shown))


def _lines_of(shown: dict[str, Any]) -> list[str]:
    lines = [f"{name:13} {shown[name]}" for name in ("model", "state", "owner", "publisher", "published_at")]
    lines += [
        f"{'approved':13} by {one['approver']} at {one['approved_at']} (log record {one['log_index']})"
        for one in shown["approvals"]
    ]
    lines += [f"{name:13} {shown[name]}" for name in ("format", "digest", "statement", "log_index")]
    lines += [
        f"{'file':13} {one['path']}  {one['size_bytes']} bytes  {one['sha256']}" for one in shown["files"]
    ]
    for kind in ("inputs", "outputs"):
        for tensor in (shown["schema"] or {}).get(kind, []):
            lines.append(f"{kind[:-1]:13} {tensor['name']}  {tensor['dtype']}{tensor['shape']}")
    if shown.get("provenance"):
        lines.append(f"{'from':13} {_place_of(shown['provenance'])}")
    conversion = (shown.get("inspection") or {}).get("conversion")
    return lines if conversion is None else [*lines, *_conversion_lines(conversion)]


def _place_of(provenance: dict[str, Any]) -> str:
    path = f"#{provenance['path']}" if provenance["path"] else ""
    return f"{provenance['kind']} {provenance['repository']}@{provenance['revision']}{path}"


def _conversion_lines(conversion: dict[str, Any]) -> list[str]:
    """What a reviewer should know of the original that is not here."""
    original, facts = conversion["original"], conversion["facts"]
    signed = f"by {conversion['by']}" if conversion["signed"] else "elsewhere, on the publisher's word"
    error = f"largest relative error {facts['relative']}" if facts["relative"] else "labels compared only"
    return [
        f"{'converted':13} {signed}, from {original['name']}  {original['sha256']}",
        f"{'compared':13} {facts['estimator']}, {facts['rows']} rows, {error}, bound {facts['bound']}",
    ]


def verify(
    desk: Desk,
    model: Model,
    full: Annotated[
        bool, typer.Option("--full", help="Decrypt too and compare every file's SHA-256.")
    ] = False,
) -> None:
    """Check a stored version as a load would; exit 4 if anything differs."""
    room = desk.open()
    room.unlock()
    ModelId.parse(model)
    size = sum(one.row.size_bytes for one in room.list(model.partition("@")[0]) if one.row.model == model)
    with desk.progress(f"verifying {model}", size or None) as progress:
        statement = room.verify(model, full=full, progress=progress)
    depth = "ciphertext, plaintext and signatures" if full else "ciphertext and signatures"
    desk.show(
        {"model": model, "verified": True, "full": full, "digest": str(statement.manifest_digest)},
        f"{model}  verified: {depth}",
        f"digest   {statement.manifest_digest}",
    )


def _done(desk: Desk, model: str, what: str, index: int, dry_run: bool, *more: str) -> None:
    outcome = f"would be {what}" if dry_run else f"{what}, log record {index}"
    desk.show(
        {"model": model, "state": what, "log_index": None if dry_run else index, "dry_run": dry_run},
        f"{model}  {outcome}",
        *([] if dry_run else more),
    )


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise InvalidError(f"{path}: is not a JSON object")
    return value


def _size_of(path: Path) -> int | None:
    """For the progress bar only."""
    try:
        if path.is_dir():
            return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
        return path.stat().st_size
    except OSError:
        return None
