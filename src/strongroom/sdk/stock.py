"""The inventory of a home: who answers for what, what is elsewhere, and spreadsheets of it in and out."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path

from strongroom.adapters.sheets.files import build_file, read_sheet, require_kind, write_new
from strongroom.flows.listing import Filter, Item, list_inventory
from strongroom.flows.own import own
from strongroom.flows.register import Columns, Registered, register, unregister
from strongroom.sdk import running
from strongroom.sdk.home import Strongroom
from strongroom.values import ModelId

COLUMNS = (
    "model",
    "state",
    "owner",
    "owner_status",
    "publisher",
    "format",
    "size_bytes",
    "digest",
    "published_at",
    "serving",
    "location",
    "dependencies",
    "note",
    "log_index",
)
"""Of what is exported; an import of it finds all of them."""


def find_inventory(room: Strongroom, wanted: Filter | None = None) -> list[Item]:
    """Every version that the acting identity may see and that fits, by family and version."""
    places: dict[str, list[str]] = {}
    for one in running.find_running(room.home):
        for model in one.models:
            places.setdefault(model, []).append(f"{one.name}:{one.port}")
    return list_inventory(room.vault, room.acting, wanted or Filter(), places)


def hand_over(room: Strongroom, family: str, owner: str, reason: str = "", *, dry_run: bool = False) -> int:
    """Give a family another owner; returns the log index."""
    return own(room.unlock(), room.acting, family, owner, reason, dry_run=dry_run)


def import_inventory(
    room: Strongroom,
    path: str | Path,
    *,
    sheet: str | None = None,
    columns: Mapping[str, str] | None = None,
    skip: Sequence[str] = (),
    dry_run: bool = False,
) -> Registered:
    """List what a .csv or .xlsx file names as elsewhere: every row, or none.

    ``columns``: column by field, where its header has other words (docs/inventory.md).
    """
    read = read_sheet(Path(path), sheet)
    return register(room.unlock(), room.acting, read, Columns(columns or {}, skip), dry_run=dry_run)


def export_inventory(room: Strongroom, wanted: Filter | None = None, *, kind: str = ".csv") -> bytes:
    """The inventory as the content of a ``.csv`` or ``.xlsx`` file in which no cell is a formula."""
    return build_file(kind, COLUMNS, [_cells(item) for item in find_inventory(room, wanted)])


def write_inventory(room: Strongroom, path: str | Path, wanted: Filter | None = None) -> int:
    """Write a new file; returns how many versions are in it."""
    target = Path(path)
    kind = require_kind(target)
    items = find_inventory(room, wanted)
    write_new(target, build_file(kind, COLUMNS, [_cells(item) for item in items]))
    return len(items)


def forget(room: Strongroom, model: str, reason: str, *, dry_run: bool = False) -> int:
    """Take a version that is elsewhere off the list; returns the log index."""
    return unregister(room.unlock(), room.acting, ModelId.parse(model), reason, dry_run=dry_run)


def _cells(item: Item) -> list[str]:
    shown = {
        **item.to_json(),
        "published_at": f"{item.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "serving": ", ".join(item.places),
    }
    return ["" if shown[name] is None else _printable(str(shown[name])) for name in COLUMNS]


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()
