"""Comma-separated values (RFC 4180), in UTF-8: what every spreadsheet program reads and writes."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from strongroom.adapters.sheets.rows import build_sheet
from strongroom.errors import InvalidError, shorten
from strongroom.ports import Sheet
from strongroom.values import inert_cell

_DELIMITERS = ",;\t"


def read_csv(path: Path, data: bytes) -> Sheet:
    """Return the sheet; the header says what stands between the cells: a comma, a semicolon or a tab.

    Raises:
        InvalidError: it is not UTF-8, or has no header that names its columns.
        RejectedError: it has more rows than may be.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidError(f"{path.name}: is not UTF-8", hint="save it as CSV UTF-8") from None
    if "\x00" in text:
        raise InvalidError(f"{path.name}: is not text")
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    return build_sheet(path, data, _rows(path.name, text, delimiter))


def _rows(name: str, text: str, delimiter: str) -> Iterator[tuple[int, Sequence[str], str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            # Where the quotes are wrong nobody can say where the next row begins.
            raise InvalidError(f"{name}: line {line}: {shorten(error)}") from None


def write_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Return the file: UTF-8 with the mark that spreadsheet programs look for, no cell a formula."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    for row in (header, *rows):
        writer.writerow([inert_cell(cell) for cell in row])
    return file.getvalue().encode("utf-8-sig")
