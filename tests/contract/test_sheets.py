"""Spreadsheets in and out: the same rows from both kinds of file; then what is made to harm."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest

from strongroom.adapters.sheets import rows as bounds
from strongroom.adapters.sheets import workbook
from strongroom.adapters.sheets.files import build_file, read_sheet, write_new
from strongroom.errors import InvalidError, RejectedError
from strongroom.values import inert_cell

KINDS = [".csv", ".xlsx"]
FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "|calc",
    "%0",
    "  =HYPERLINK(1)",
    "\uff1d1+1",
    "\uff0b1",
    "\u22121+1",
]


def _write(folder: Path, kind: str, rows: Sequence[Sequence[str]]) -> Path:
    path = folder / f"sheet{kind}"
    write_new(path, build_file(kind, rows[0], rows[1:]))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(kind: str, tmp_path: Path) -> None:
    table = [["model", "owner"], ["fraud@1.0.0", 'a, "b"; c'], ["tumour@1.0.0", "räksmörgås"]]
    sheet = read_sheet(_write(tmp_path, kind, table))
    assert [sheet.header, *(row.cells for row in sheet.rows)] == [tuple(row) for row in table]
    assert [row.line for row in sheet.rows] == [2, 3]
    assert not any(row.fault for row in sheet.rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", FORMULAS)
def test_formula_injection(kind: str, text: str, tmp_path: Path) -> None:
    """No cell that is written begins a formula, in the file itself and not only as we read it."""
    path = _write(tmp_path, kind, [["note"], [text]])
    if kind == ".xlsx":
        cell = openpyxl.load_workbook(path).active["A2"]
        assert (cell.data_type, cell.value) == ("s", f"'{text}")
    else:
        assert f"'{text}" in path.read_text("utf-8-sig")
    assert inert_cell(inert_cell(text)) == inert_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "-", "-12", "+1.5", "fraud@1.0.0", "a=b", "'=1", "sha256:00"])
def test_what_is_inert_stays(text: str) -> None:
    assert inert_cell(text) == text


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiter_is_that_of_the_header(delimiter: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"\ufeffmodel{delimiter}owner\r\nfraud@1.0.0{delimiter}x\r\n\r\n", encoding="utf-8")
    assert read_sheet(path).rows[0].cells == ("fraud@1.0.0", "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no header"),
        (b"model,,owner\n", "names nothing"),
        (b"model,Model\n", "twice"),
        (b"model,owner\n\xff\xfe", "not UTF-8"),
        (b"model,owner\n\x00", "not text"),
        (b'model,owner\n"fraud,x\n', "line 2"),
        (b'model,owner\n"' + b"a" * 200_000 + b'",x\n', "line 2"),
        (b",".join(b"c%d" % number for number in range(70)), "more than 64 columns"),
    ],
)
def test_broken_csv(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidError, match=message):
        read_sheet(path)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (b"a,b,c", "has 3 cells"),
        (b"a," + b"x" * 5000, "longer than 4096"),
        (b"a,b\x1b[31m", "not printable"),
    ],
)
def test_bad_row_is_a_fault_of_its_line(row: bytes, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"model,owner\nfraud@1.0.0,x\n" + row + b"\n")
    good, bad = read_sheet(path).rows
    assert (good.fault, bad.line) == ("", 3)
    assert fault in bad.fault


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_rows(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bounds, workbook):
        monkeypatch.setattr(module, "MAX_ROWS", 3)
    assert len(read_sheet(_write(tmp_path, kind, [["a"], *[["x"]] * 3])).rows) == 3
    (tmp_path / "more").mkdir()
    with pytest.raises(RejectedError, match="more than 3 rows"):
        read_sheet(_write(tmp_path / "more", kind, [["a"], *[["x"]] * 4]))


def test_too_large_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.truncate(bounds.MAX_FILE_BYTES + 1)
    with pytest.raises(RejectedError, match="larger than"):
        read_sheet(path)


def test_other_kinds_and_taken_names(tmp_path: Path) -> None:
    for name in ("a.xls", "a.xlsm", "a.ods", "a"):
        with pytest.raises(InvalidError, match="neither"):
            read_sheet(tmp_path / name)
    path = _write(tmp_path, ".csv", [["a"], ["b"]])
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidError, match="exists"):
        write_new(path, b"")


# A workbook made to harm


def _book(tmp_path: Path, fill: object = None) -> Path:
    book = openpyxl.Workbook()
    book.active.append(["model", "owner"])
    book.active.append(["fraud@1.0.0", "x"])
    if callable(fill):
        fill(book)
    path = tmp_path / "book.xlsx"
    book.save(path)
    return path


def _repacked(path: Path, change: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | change
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_formula_in_a_cell_is_a_fault(tmp_path: Path) -> None:
    row = read_sheet(_book(tmp_path, lambda book: book.active.append(["=1+1", "x"]))).rows[1]
    assert (row.line, row.fault) == (3, "A3 holds a formula")


def test_hidden_sheets_and_several(tmp_path: Path) -> None:
    def fill(book: openpyxl.Workbook) -> None:
        hidden = book.create_sheet("Secret")
        hidden.append(["model", "owner"])
        hidden.sheet_state = "hidden"

    assert len(read_sheet(_book(tmp_path, fill)).rows) == 1
    path = _book(tmp_path, lambda book: book.create_sheet("Other").append(["model"]))
    with pytest.raises(InvalidError, match=r"'Sheet', 'Other'"):
        read_sheet(path)
    assert read_sheet(path, "Sheet").header == ("model", "owner")
    with pytest.raises(InvalidError):
        read_sheet(path, "None")


def test_zip_bomb(tmp_path: Path) -> None:
    bomb = b"<x>" + b" " * (40 * 2**20)
    path = _repacked(_book(tmp_path), {"xl/worksheets/sheet1.xml": bomb})
    assert path.stat().st_size < bounds.MAX_FILE_BYTES
    with pytest.raises(RejectedError, match="unpacks to more"):
        read_sheet(path)


def test_zip_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    """Only as much is unpacked as it declares, and what is left over is no workbook."""
    path = _repacked(_book(tmp_path), {"xl/worksheets/sheet1.xml": b"<x>" + b" " * (40 * 2**20)})
    data = bytearray(path.read_bytes())
    size = (3 + 40 * 2**20).to_bytes(4, "little")
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises((InvalidError, RejectedError)):
        read_sheet(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_billion_laughs(encoding: str, tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9))
    text = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]><x>&a8;</x>'
    for name in ("xl/sharedStrings.xml", "xl/workbook.xml", "docProps/core.xml"):
        path = _repacked(_book(tmp_path), {name: text.encode(encoding)})
        with pytest.raises(RejectedError, match="entity"):
            read_sheet(path)


def test_macros_encryption_and_many_parts(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="macros"):
        read_sheet(_repacked(_book(tmp_path), {"xl/vbaProject.bin": b"x"}))
    with pytest.raises(RejectedError, match="parts"):
        read_sheet(_repacked(_book(tmp_path), {f"x/{number}": b"" for number in range(300)}))
    with pytest.raises(RejectedError, match="unusual"):
        read_sheet(_repacked(_book(tmp_path), {}, method=zipfile.ZIP_LZMA))


def test_not_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hello", b"x")
    whole = _book(tmp_path).read_bytes()
    for content in (b"", b"model,owner", file.getvalue(), whole[:-30], whole[30:]):
        path.write_bytes(content)
        with pytest.raises(InvalidError):
            read_sheet(path)


def test_dimension_and_row_numbers_that_lie(tmp_path: Path) -> None:
    """A sheet that says it ends elsewhere, or that has a cell in the last column of all."""
    head = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    cells = '<c r="A1" t="inlineStr"><is><t>model</t></is></c><c r="XFD1" t="inlineStr"><is><t>z</t></is></c>'
    text = (
        f'{head}<dimension ref="A1:XFD1048576"/><sheetData><row r="1">{cells}</row></sheetData></worksheet>'
    )
    path = _repacked(_book(tmp_path), {"xl/worksheets/sheet1.xml": text.encode()})
    assert read_sheet(path).header == ("model",)
    last = '<row r="1048576"><c r="A1048576"><v>1</v></c></row>'
    far = f'{head}<sheetData><row r="1">{cells}</row>{last}</sheetData>'
    path = _repacked(_book(tmp_path), {"xl/worksheets/sheet1.xml": f"{far}</worksheet>".encode()})
    with pytest.raises(RejectedError, match="more than 10000 rows"):
        read_sheet(path)
