"""Other people's words in our output: file names, rows of the catalog, names in a model."""

import os
import sqlite3

import pytest

from strongroom.cli.desk import printable
from tests.cli.press import Shell

ESCAPE = "\x1b]0;owned\x07\x1b[2K"


def test_a_file_name_with_terminal_commands(shell: Shell) -> None:
    (shell.home / "blobs" / f"{ESCAPE}\t\n").write_bytes(b"")
    outcome = shell("doctor")
    assert outcome.code == 4
    assert "owned" in outcome.out
    assert "\x1b" not in outcome.out + outcome.err


def test_a_file_name_that_is_not_utf_8(shell: Shell) -> None:
    for name in (b"\xff\xfe", b"fraud/1.0.0/\xff"):
        os.close(os.open(os.fsencode(shell.home / "blobs") + b"/" + name, os.O_CREAT | os.O_WRONLY, 0o600))
    assert shell("doctor").code == 4
    assert "store" in {
        check["name"] for check in shell("doctor", "--json").json if check["verdict"] == "fail"
    }
    assert shell("verify", "fraud@1.0.0").code == 4


def test_a_catalog_row_cannot_add_columns_lines_or_colours(shell: Shell) -> None:
    with sqlite3.connect(shell.home / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE versions SET format = ?", (f"onnx\tforged\nline{ESCAPE}",))
    out = shell.ok("list").out
    header, row = out.splitlines()
    assert header.count("\t") == row.count("\t")
    assert "\x1b" not in out


def test_an_argument_that_is_not_utf_8_is_shown_as_escapes(shell: Shell) -> None:
    assert "\\udcff" in shell("verify", "\udcff@1.0.0").err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ok", "plain – ok"),
        ("a\tb\nc\r", "a\\x09b\\x0ac\\x0d"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b31m", "\\x9b31m"),
        ("evil\u202egnp.exe", "evil\\u202egnp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_not_printable_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown
