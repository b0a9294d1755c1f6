"""Register: versions that are elsewhere, from a spreadsheet, are listed; all rows of it or none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from strongroom import canonical
from strongroom.errors import InvalidError, StrongroomError, shorten
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.ports import Sheet, SheetRow
from strongroom.trust.authority import Authority
from strongroom.trust.events import Event
from strongroom.trust.unmanaged import MAX_ENTRIES, Unmanaged
from strongroom.values import Action, Digest, ModelId, inert_cell, require_reason

MAX_NAMED = 10
"""Bad rows that a message names; `SheetError.faults` has them all."""
MAX_EVENT_ENTRIES_BYTES = 40_000
_FIELDS = ("family", "version", "model", "owner", "format", "location", "digest", "dependencies", "note")
_ALIASES = {
    "name": "family",
    "model name": "family",
    "team": "owner",
    "file format": "format",
    "path": "location",
    "uri": "location",
    "url": "location",
    "sha256": "digest",
    "sha-256": "digest",
    "libraries": "dependencies",
    "comment": "note",
    "notes": "note",
    "description": "note",
}
_OWN = ("state", "owner_status", "publisher", "size_bytes", "published_at", "serving", "log_index")
"""Columns of our own export that say nothing new."""
_SKIP = ""


class SheetError(InvalidError):
    """Rows are wrong, and so none was taken."""

    def __init__(self, name: str, faults: Sequence[tuple[int, str]]) -> None:
        shown = "; ".join(f"line {line}: {fault}" for line, fault in faults[:MAX_NAMED])
        more = f"; and {len(faults) - MAX_NAMED} more" if len(faults) > MAX_NAMED else ""
        super().__init__(f"{name}: {shown}{more}", hint="nothing was imported; correct these rows")
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of somebody's spreadsheet mean to us."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """Column by field, where the header does not say it in our words."""
    skipped: Sequence[str] = ()
    """Columns that say nothing here."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What a spreadsheet brought."""

    added: tuple[ModelId, ...]
    changed: tuple[ModelId, ...]
    known: tuple[ModelId, ...]
    """Listed just so already, or published with this digest."""
    log_index: int | None
    """Of the first record; None if nothing was recorded."""


def register(
    vault: Vault, actor: str, sheet: Sheet, columns: Columns, *, dry_run: bool = False
) -> Registered:
    """List every row of ``sheet`` as a version that is elsewhere.

    Raises:
        SheetError: rows are wrong, each named by its line; none was taken.
        InvalidError: a column is unknown, or a needed one missing.
        DeniedError: the actor may not register all of these families; none was taken.
    """
    meanings = _meanings(sheet, columns)
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        lines = _require_rows(sheet, meanings)
        entries = list(lines.values())
        rules = {
            family: require_permission(vault, authority, actor, Action.REGISTER, family).rule
            for family in sorted({entry.model.family for entry in entries})
        }
        # Only now: whether a version exists is not told to those who may not list it.
        _require_consistent(authority, sheet.name, lines)
        fresh = [entry for entry in entries if not _is_known(authority, entry)]
        events = [
            build_event(
                vault,
                moment(vault, authority),
                actor,
                Action.REGISTER,
                f"{len(batch)} versions",
                rule=", ".join(sorted(set(rules.values()))),
                sheet=str(sheet.digest),
                entries=[entry.to_json() for entry in batch],
            )
            for batch in _batches(fresh)
        ]
        index = record(vault, *events) if events and not dry_run else None
    return Registered(
        tuple(entry.model for entry in fresh if entry.model not in authority.unmanaged),
        tuple(entry.model for entry in fresh if entry.model in authority.unmanaged),
        tuple(entry.model for entry in entries if entry not in fresh),
        index,
    )


def unregister(vault: Vault, actor: str, model: ModelId, reason: str, *, dry_run: bool = False) -> int:
    """Take a version that is elsewhere off the list; returns the log index.

    Raises:
        DeniedError: the actor may not.
        InvalidError: it is not listed as such.
    """
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.REGISTER, str(model))
        if model not in authority.unmanaged:
            raise InvalidError(
                f"{model}: is not listed as unmanaged", hint="see: strongroom list --unmanaged"
            )
        if dry_run:
            return -1
        return record(vault, _unregistered(vault, authority, actor, model, decision.rule, reason))


def _unregistered(
    vault: Vault, authority: Authority, actor: str, model: ModelId, rule: str, reason: str
) -> Event:
    return build_event(
        vault,
        moment(vault, authority),
        actor,
        "unregister",
        str(model),
        rule=rule,
        reason=require_reason(reason),
        model=str(model),
    )


def _meanings(sheet: Sheet, columns: Columns) -> tuple[str, ...]:
    """Return the field of each column, `_SKIP` for those that say nothing here."""
    named = {column.casefold(): name for name, column in columns.fields.items()}
    skipped = {column.casefold() for column in columns.skipped}
    for name in columns.fields:
        if name not in _FIELDS:
            raise InvalidError(f"column: {shorten(name)} is not one of {', '.join(_FIELDS)}")
    wanted = named.keys() | skipped
    missing = wanted - {column.casefold() for column in sheet.header}
    if missing:
        raise InvalidError(f"{sheet.name}: has no column {shorten(min(missing))}")
    meanings = tuple(_meaning(column, named, skipped, set(columns.fields)) for column in sheet.header)
    unknown = [
        column
        for column, meaning in zip(sheet.header, meanings, strict=True)
        if meaning not in (*_FIELDS, _SKIP)
    ]
    if unknown:
        raise InvalidError(
            f"{sheet.name}: column {shorten(unknown[0])} is unknown",
            hint="say what it means: --column FIELD=NAME, or that it says nothing here: --skip NAME",
        )
    used = [meaning for meaning in meanings if meaning != _SKIP]
    twice = sorted({meaning for meaning in used if used.count(meaning) > 1})
    if twice:
        raise InvalidError(f"{sheet.name}: two columns mean {twice[0]}", hint="leave one out: --skip NAME")
    if "owner" not in used or not ("model" in used or {"family", "version"} <= set(used)):
        raise InvalidError(f"{sheet.name}: needs columns for owner and for model, or family and version")
    return meanings


def _meaning(column: str, named: Mapping[str, str], skipped: set[str], taken: set[str]) -> str:
    """Return the field, or the column itself where nobody knows it."""
    word = column.casefold()
    if word in named:
        return named[word]
    plain = word.replace("_", " ")
    meaning = _ALIASES.get(plain, word)
    if word in skipped or word in _OWN or (meaning in taken and meaning in _FIELDS):
        return _SKIP
    return meaning


def _require_rows(sheet: Sheet, meanings: Sequence[str]) -> dict[int, Unmanaged]:
    """Return what the rows say, by line. Raises SheetError with every row that is wrong."""
    faults: list[tuple[int, str]] = []
    entries: dict[int, Unmanaged] = {}
    seen: set[ModelId] = set()
    for row in sheet.rows:
        try:
            entry = _parse(row, meanings)
            if entry.model in seen:
                raise InvalidError(f"{entry.model}: is listed twice")
        except StrongroomError as error:
            faults.append((row.line, error.message))
        else:
            seen.add(entry.model)
            entries[row.line] = entry
    if faults:
        raise SheetError(sheet.name, faults)
    if not entries:
        raise InvalidError(f"{sheet.name}: has no row")
    return entries


def _parse(row: SheetRow, meanings: Sequence[str]) -> Unmanaged:
    if row.fault:
        raise InvalidError(row.fault)
    said = dict(zip(meanings, row.cells, strict=True))
    said.pop(_SKIP, None)
    model = said.pop("model", "")
    family, version = said.pop("family", ""), said.pop("version", "")
    whole = f"{family}@{version}" if family or version else model
    if model and model != whole:
        raise InvalidError(f"model: {shorten(model)} is not {shorten(whole)}")
    _require_no_secret(said.get("location", ""))
    digest = said.pop("digest", "")
    if len(digest) == 64:
        digest = f"sha256:{digest.lower()}"
    texts = {name: inert_cell(text) for name, text in said.items()}
    return Unmanaged(ModelId.parse(whole), digest=digest and str(Digest.parse(digest)), **texts)


def _require_no_secret(location: str) -> None:
    """The log keeps for good what it is told: no password, and no signed address."""
    if "://" not in location:
        return
    try:
        address = urlsplit(location)
        secret = address.username is not None or address.password is not None or bool(address.query)
    except ValueError:
        raise InvalidError(f"location: {shorten(location)} cannot be read") from None
    if secret:
        raise InvalidError("location: holds a user, a password or a query", hint="leave them out")


def _require_consistent(authority: Authority, name: str, lines: Mapping[int, Unmanaged]) -> None:
    """What is published or listed is not listed with other bytes."""
    faults = []
    for line, entry in lines.items():
        published = authority.versions.get(entry.model)
        listed = authority.unmanaged.get(entry.model)
        if published is not None and entry.digest not in ("", str(published.manifest)):
            faults.append((line, f"{entry.model}: is published with other bytes, {published.manifest}"))
        if listed is not None and listed.entry.digest not in ("", entry.digest):
            faults.append((line, f"{entry.model}: is listed with other bytes, {listed.entry.digest}"))
    if faults:
        raise SheetError(name, faults)


def _is_known(authority: Authority, entry: Unmanaged) -> bool:
    listed = authority.unmanaged.get(entry.model)
    return entry.model in authority.versions or (listed is not None and listed.entry == entry)


def _batches(entries: Sequence[Unmanaged]) -> Iterator[list[Unmanaged]]:
    """Yield as many at a time as one record holds."""
    batch: list[Unmanaged] = []
    size = 0
    for entry in entries:
        entry_bytes = len(canonical.encode(entry.to_json()))
        if batch and (len(batch) == MAX_ENTRIES or size + entry_bytes > MAX_EVENT_ENTRIES_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry_bytes
    if batch:
        yield batch
