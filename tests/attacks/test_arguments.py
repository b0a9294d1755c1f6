"""Odd arguments and files: whatever is wrong with them, the failure is one of ours and never a bug."""

import os

import pytest

from tests.cli.press import Shell

HUGE = str(10**30)


@pytest.mark.parametrize(
    "arguments",
    [
        ("grant", "add", "rita", "reviewer", "--reason", "x", "--for", "999999999d"),
        ("grant", "add", "rita", "reviewer", "--reason", "x", "--for", "3000000d"),
        ("list", "--passphrase-fd", HUGE),
        ("list", "--home", "~nosuch/x"),
        ("predict", "fraud", "--input", "rows.json", "--url", "https://localhost:99999"),
        ("predict", "fraud", "--input", "rows.json", "--url", "https://localhost:x"),
        ("predict", "fraud", "--input", "rows.json", "--url", "https://["),
        ("predict", "fraud", "--input", "rows.json", "--url", "https://é..x"),
        ("predict", "fraud", "--input", "rows.json", "--url", "https://a b"),
        ("predict", "fraud", "--input", "rows.json", "--url", "https://" + "a" * 300),
        ("predict", "fraud", "--input", "rows.json", "--url", "http://localhost:1"),
        ("identity", "export", "ada", "--to", "model.onnx"),
        ("identity", "export", "ada", "--to", "/proc/nowhere"),
        ("log", "verify", "--against", "/dev/zero"),
        ("log", "prove", HUGE),
        ("verify", "\udcff\x1b"),
        ("show", "fraud@1.0.0\n"),
    ],
    ids=lambda arguments: " ".join(arguments)[:60].encode("ascii", "backslashreplace").decode(),
)
def test_is_invalid_input(shell: Shell, arguments: tuple[str, ...]) -> None:
    (shell.root / "rows.json").write_text("[[1, 2, 3, 4]]")
    outcome = shell(*arguments)
    assert outcome.code == 2, outcome
    assert outcome.error


@pytest.mark.parametrize("arguments", [("log", "show"), ("log", "requests")])
def test_more_records_than_fit_a_machine_word(shell: Shell, arguments: tuple[str, ...]) -> None:
    shell.ok(*arguments, "--last", HUGE)


def test_a_receipt_that_is_no_object(shell: Shell) -> None:
    (shell.root / "list.json").write_text("[1]")
    for verb in ("verify", "complete"):
        assert shell("receipt", verb, "list.json").code == 4


def test_an_export_that_cannot_be_written_is_not_recorded(shell: Shell) -> None:
    shell("identity", "export", "ada", "--to", "model.onnx")
    assert "export-identity" not in shell.ok("log", "show").out


def test_completing_a_receipt_follows_no_link_that_waits_for_it(shell: Shell) -> None:
    """A name that can be guessed, in a folder that others write, is a way to overwrite any file of ours."""
    from strongroom.cli.serving import _write_json
    from strongroom.errors import InvalidError

    precious = shell.root / "precious"
    precious.write_text("mine")
    waiting = shell.root / "receipt.json"
    waiting.symlink_to(precious)
    with pytest.raises(InvalidError):
        _write_json(waiting, {})
    assert precious.read_text() == "mine"


def test_a_receipt_is_for_this_user_only(shell: Shell) -> None:
    from strongroom.cli.serving import _write_json

    before = os.umask(0)
    try:
        _write_json(shell.root / "receipt.json", {})
    finally:
        os.umask(before)
    assert (shell.root / "receipt.json").stat().st_mode & 0o777 == 0o600
