"""A spreadsheet as a file of this machine: which kind it is, its name says."""

import os
from collections.abc import Sequence
from pathlib import Path

from strongroom.adapters.sheets.rows import MAX_FILE_BYTES
from strongroom.adapters.sheets.text import read_csv, write_csv
from strongroom.adapters.sheets.workbook import read_xlsx, write_xlsx
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import Sheet

_KINDS = (".csv", ".xlsx")


def read_sheet(path: Path, name: str | None = None) -> Sheet:
    """Return the spreadsheet; ``name``: of the sheet that is meant, in a workbook.

    Raises:
        InvalidError: it is not there, no .csv or .xlsx, or cannot be read.
        RejectedError: it is larger than MAX_FILE_BYTES, or made to harm.
    """
    kind = require_kind(path)
    if name is not None and kind != ".xlsx":
        raise InvalidError(f"{path.name}: has no sheets with names")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if len(data) > MAX_FILE_BYTES:
        raise RejectedError(f"{path.name}: is larger than {MAX_FILE_BYTES} bytes", hint="split it")
    return read_xlsx(path, data, name) if kind == ".xlsx" else read_csv(path, data)


def build_file(kind: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Return the content of a ``.csv`` or ``.xlsx`` file."""
    return write_xlsx(header, rows) if kind == ".xlsx" else write_csv(header, rows)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that only this user can read; nothing is left if it fails.

    Raises:
        InvalidError: it exists, or cannot be made there.
        OutageError: the disk is full.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InvalidError(f"{path}: exists already") from None
    except OSError as error:
        raise InvalidError(f"{path}: {(error.strerror or 'cannot be written').lower()}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OutageError(f"{path}: {(error.strerror or 'cannot be written').lower()}") from None


def require_kind(path: Path) -> str:
    """Return ``.csv`` or ``.xlsx``."""
    kind = path.suffix.lower()
    if kind not in _KINDS:
        raise InvalidError(f"{path.name}: is neither .csv nor .xlsx")
    return kind
