"""What a spreadsheet may be, whatever it is written in: its bounds, its header, its rows."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.ports import Sheet, SheetRow
from strongroom.values import Digest

MAX_FILE_BYTES = 16 * 2**20
MAX_ROWS = 10_000
MAX_COLUMNS = 64
MAX_CELL_CHARS = 4096


def build_sheet(path: Path, data: bytes, found: Iterable[tuple[int, Sequence[str], str]]) -> Sheet:
    """Return the sheet of ``found``: line, cells and fault of each row that is not empty, the header first.

    Raises:
        InvalidError: there is no header, or one that names a column twice or not at all.
        RejectedError: it has more rows than MAX_ROWS.
    """
    header: tuple[str, ...] | None = None
    rows: list[SheetRow] = []
    for line, cells, fault in found:
        if not fault and not any(cells):
            continue
        if header is None:
            if fault:
                raise InvalidError(f"{path.name}: line {line}: {fault}")
            header = _require_header(path.name, _without_end(cells))
            continue
        if len(rows) == MAX_ROWS:
            raise RejectedError(f"{path.name}: has more than {MAX_ROWS} rows", hint="split it")
        rows.append(_row(line, _without_end(cells), fault, len(header)))
    if header is None:
        raise InvalidError(f"{path.name}: has no header", hint="the first line names the columns")
    return Sheet(path.name, Digest.of(data), header, tuple(rows))


def _row(line: int, cells: Sequence[str], fault: str, width: int) -> SheetRow:
    if not fault and len(cells) > width:
        fault = f"has {len(cells)} cells, and the header {width}"
    if not fault and any(len(cell) > MAX_CELL_CHARS for cell in cells):
        fault = f"a cell is longer than {MAX_CELL_CHARS} characters"
    if not fault and not all(cell.isprintable() for cell in cells):
        fault = "a cell holds what is not printable"
    padded = (*cells, *[""] * (width - len(cells)))[:width]
    return SheetRow(line, padded, fault)


def _without_end(cells: Sequence[str]) -> tuple[str, ...]:
    """Spreadsheets write empty cells behind the last one that was ever used."""
    kept = [cell.strip() for cell in cells]
    while kept and not kept[-1]:
        kept.pop()
    return tuple(kept)


def _require_header(name: str, header: tuple[str, ...]) -> tuple[str, ...]:
    if len(header) > MAX_COLUMNS:
        raise InvalidError(f"{name}: has more than {MAX_COLUMNS} columns")
    seen = set()
    for column in header:
        if not column or not column.isprintable() or column.casefold() in seen:
            raise InvalidError(f"{name}: the header names {shorten(column)} twice, or names nothing")
        seen.add(column.casefold())
    return header
