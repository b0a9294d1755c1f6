"""Excel workbooks, by openpyxl, which sees none that unpacks to more than a bound or declares entities."""

import importlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from strongroom.adapters.sheets.rows import MAX_COLUMNS, MAX_ROWS, build_sheet
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.ports import Sheet
from strongroom.values import inert_cell

MAX_MEMBERS = 256
MAX_UNPACKED_BYTES = 32 * 2**20
MAX_LINES = 2 * MAX_ROWS
"""Empty ones too: a row may say that it is the millionth."""
_MACROS = "vbaproject.bin"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_PIECE_BYTES = 2**16
_DECLARATIONS = (b"<!doctype", b"<!entity")
_LONGEST_DECLARATION = max(map(len, _DECLARATIONS))


def read_xlsx(path: Path, data: bytes, name: str | None = None) -> Sheet:
    """Return the sheet called ``name``, or the only one that is not hidden.

    A formula is a fault of its row: what it would come to is not in the file, or only as somebody's word.

    Raises:
        InvalidError: it is no workbook, which of its sheets is meant is not said, or openpyxl is missing.
        RejectedError: it unpacks to more than MAX_UNPACKED_BYTES, or holds macros, or is made to harm.
    """
    openpyxl = _require_openpyxl()
    _require_harmless(path.name, data)
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, keep_links=False, data_only=False)
    except Exception as error:
        raise InvalidError(f"{path.name}: is no workbook that can be read: {shorten(error)}") from None
    try:
        chosen = _choose(path.name, book.worksheets, name)
        try:
            return build_sheet(path, data, _rows(path.name, chosen))
        except (InvalidError, RejectedError):
            raise
        except Exception as error:
            raise InvalidError(f"{path.name}: cannot be read: {shorten(error)}") from None
    finally:
        book.close()


def write_xlsx(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Return a workbook of one sheet where every cell is text, and none a formula."""
    openpyxl = _require_openpyxl()
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("inventory")
    for row in (header, *rows):
        sheet.append([inert_cell(cell) for cell in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _require_openpyxl() -> Any:
    try:
        importlib.import_module("defusedxml")  # openpyxl parses with it where it is there
        import openpyxl
    except ImportError:
        raise InvalidError(
            "xlsx: needs openpyxl and defusedxml", hint="pip install 'strongroom[xlsx]', or use CSV"
        ) from None
    return openpyxl


def _require_harmless(name: str, data: bytes) -> None:
    """Unpack all of it once, a piece at a time, before a parser sees any."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS or len({member.filename for member in members}) != len(members):
                raise RejectedError(f"{name}: has more than {MAX_MEMBERS} parts, or one of them twice")
            room = MAX_UNPACKED_BYTES
            for member in members:
                room = _require_part(name, archive, member, room)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, ValueError, NotImplementedError):
        raise InvalidError(f"{name}: is no workbook", hint="save it as .xlsx or as CSV UTF-8") from None
    except Exception as error:
        if isinstance(error, InvalidError | RejectedError):
            raise
        raise InvalidError(f"{name}: is no workbook: {type(error).__name__}") from None


def _require_part(name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo, room: int) -> int:
    """Return how many bytes the other parts may still have."""
    if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
        raise RejectedError(f"{name}: a part is encrypted, or packed in an unusual way")
    if member.filename.lower().endswith(_MACROS):
        raise RejectedError(f"{name}: holds macros", hint="save it as .xlsx")
    if member.file_size > room:
        raise RejectedError(f"{name}: unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    before = b""
    with archive.open(member) as part:
        while piece := part.read(min(_PIECE_BYTES, room + 1)):
            room -= len(piece)
            if room < 0:
                raise RejectedError(f"{name}: unpacks to more than {MAX_UNPACKED_BYTES} bytes")
            seen = (before + piece).replace(b"\x00", b"").lower()  # UTF-16 too
            if any(word in seen for word in _DECLARATIONS):
                raise RejectedError(f"{name}: a part declares a document type or an entity")
            before = piece[-2 * _LONGEST_DECLARATION :]
    return room


def _choose(file: str, sheets: Sequence[Any], name: str | None) -> Any:
    shown = [sheet for sheet in sheets if getattr(sheet, "sheet_state", "visible") == "visible"]
    found = [sheet for sheet in (sheets if name else shown) if name in (None, sheet.title)]
    if len(found) != 1:
        titles = ", ".join(shorten(sheet.title, 40) for sheet in sheets[:10])
        raise InvalidError(f"{file}: which sheet is meant is not clear: {titles}", hint="say so with --sheet")
    return found[0]


def _rows(name: str, sheet: Any) -> Iterator[tuple[int, Sequence[str], str]]:
    sheet.reset_dimensions()  # what the file says of its own size is not believed
    for line, row in enumerate(sheet.iter_rows(min_row=1, max_col=MAX_COLUMNS + 1), start=1):
        if line > MAX_LINES:
            raise RejectedError(f"{name}: has more than {MAX_ROWS} rows", hint="split it")
        used = [cell for cell in row if cell.value is not None]
        faults = [fault for cell in used if (fault := _fault(cell))]
        yield line, [_text(cell.value) for cell in row] if used else [], faults[0] if faults else ""


def _fault(cell: Any) -> str:
    match getattr(cell, "data_type", "n"):
        case "f":
            return f"{cell.coordinate} holds a formula"
        case "e":
            return f"{cell.coordinate} holds an error"
        case _:
            return ""


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)
