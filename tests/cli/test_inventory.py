"""The inventory and addresses on the command line: what a person types, sees and gets wrong."""

import csv
import io
from pathlib import Path

import openpyxl

from tests import models
from tests.cli.press import Shell
from tests.sources.repository import make_repository


def test_a_spreadsheet_in_and_out(shell: Shell) -> None:
    (shell.root / "old.csv").write_text(
        "Name;Version;Team;Path;Budget\r\ntumour;1.0.0;=cmd;s3://old/t.pkl;1\r\nulcer;0.2.0;clinic;;2\r\n"
    )
    unknown = shell("inventory", "import", "old.csv", "--identity", "dora")
    assert (unknown.code, unknown.error) == (2, "old.csv: column 'Budget' is unknown")
    dry = shell.ok("inventory", "import", "old.csv", "--skip", "budget", "--identity", "dora", "--dry-run")
    assert dry.out == "old.csv  2 would be added, 0 would be changed, 0 known already\n"
    made = shell.ok("inventory", "import", "old.csv", "--skip", "budget", "--identity", "dora", "--json").json
    assert made["added"] == ["tumour@1.0.0", "ulcer@0.2.0"]
    listed = shell.ok("list", "--unmanaged").out.splitlines()
    assert listed[1].split("\t")[:6] == ["tumour@1.0.0", "unmanaged", "'=cmd", "-", "-", "s3://old/t.pkl"]
    for name in ("all.csv", "all.xlsx"):
        assert shell.ok("inventory", "export", name).out == f"{name}  3 versions\n"
        assert shell("inventory", "export", name).code == 2
    rows = list(csv.DictReader(io.StringIO((shell.root / "all.csv").read_text("utf-8-sig"))))
    assert [row["state"] for row in rows] == ["approved", "unmanaged", "unmanaged"]
    sheet = openpyxl.load_workbook(shell.root / "all.xlsx").active
    assert [cell.value for cell in sheet["C"]] == ["owner", "risk", "'=cmd", "clinic"]
    assert shell.ok("inventory", "export", "-", "--owner", "clinic").out.count("\n") == 2
    assert shell.ok("status").out.splitlines()[2] == "versions    1 approved, 2 unmanaged"
    shell.ok("inventory", "remove", "ulcer@0.2.0", "--reason", "gone", "--identity", "dora")
    assert "is unmanaged" in shell("show", "tumour@1.0.0").error
    assert shell("approve", "tumour@1.0.0", "--identity", "rita").code == 3
    assert shell("inventory", "import", "old.csv", "--skip", "budget", "--identity", "rita").code == 3


def test_wrong_rows_are_named_by_line(shell: Shell) -> None:
    (shell.root / "old.csv").write_text("model,owner\nok@1.0.0,x\nbad@1.0,x\nfine@1.0.0,x\nbad@2.0.0,\n")
    wrong = shell("inventory", "import", "old.csv", "--identity", "dora")
    assert wrong.code == 2
    assert "line 3: version: '1.0' is not a semantic version; line 5: bad@2.0.0: has no owner" in wrong.error
    assert wrong.hint == "nothing was imported; correct these rows"
    assert shell.ok("list", "--unmanaged").out == ""


def test_owner_who_left(shell: Shell) -> None:
    shell.ok("own", "fraud", "--to", "dora", "--reason", "hers")
    shell.ok("publish", "model.onnx", "--as", "fraud@1.1.0", "--owner", "dora", "--identity", "ada")
    shell.ok("revoke", "identity", "dora", "--reason", "left")
    assert "fraud@1.1.0\tpublished\tdora (revoked)" in shell.ok("list", "--orphaned").out
    assert "ORPHANED    fraud: its owner dora is revoked" in shell.ok("status").out
    refused = shell("approve", "fraud@1.1.0", "--identity", "rita")
    assert (refused.code, refused.hint) == (
        3,
        "an owner or admin names another: strongroom own fraud --to NAME",
    )
    assert shell("own", "fraud", "--to", "rita", "--identity", "rita").code == 3
    assert shell.ok("own", "fraud", "--to", "rita", "--dry-run").out == "fraud  would be owned by rita\n"
    shell.ok("own", "fraud", "--to", "rita")
    assert shell.ok("list", "--orphaned").out == ""
    shell.ok("approve", "fraud@1.1.0", "--identity", "rita")


def test_filters(shell: Shell) -> None:
    assert (
        shell.ok("list", "--state", "approved", "--format", "onnx", "--runs-on", "none").out.count("fraud")
        == 1
    )
    assert shell.ok("list", "--older-than", "1d").out == ""
    assert shell.ok("list", "--runs-on", "any", "--json").json == []
    assert shell("list", "--state", "served").code == 2
    assert shell("list", "--older-than", "soon").code == 2


def test_publish_from_a_commit(shell: Shell, tmp_path: Path) -> None:
    """The commit is in the signed statement; what moves is refused with what it is now."""
    repository = tmp_path / "training"
    content = models.linear(seed=7).entries["model.onnx"]
    made = make_repository(repository, {"README.md": b"x"}, lfs={"models/fraud.onnx": content})
    address = f"git:{repository}@{made}#models/fraud.onnx"
    moving = shell(
        "publish", f"git:{repository}@main#models/fraud.onnx", "--as", "fraud@2.0.0", "--owner", "risk"
    )
    assert moving.code == 2
    assert moving.hint == f"it is now {address}"
    published = shell.ok("publish", address, "--as", "fraud@2.0.0", "--owner", "risk", "--identity", "dora")
    assert "published" in published.out
    shown = shell.ok("show", "fraud@2.0.0", "--json").json
    assert shown["provenance"]["revision"] == made
    assert shown["provenance"]["facts"]["lfs_files"] == "1"
    assert [entry["path"] for entry in shown["files"]] == ["fraud.onnx"]
    assert (
        f"from          git file://{repository}@{made}#models/fraud.onnx"
        in shell.ok("show", "fraud@2.0.0").out
    )
    assert f"git file://{repository}@{made}" in shell.ok("review", "fraud@2.0.0", "--identity", "rita").out
    assert shell.ok("show", "fraud@1.0.0", "--json").json["provenance"] is None
    shell.ok("verify", "fraud@2.0.0", "--full")
    shell.ok("approve", "fraud@2.0.0", "--identity", "rita")


def test_only_and_convert_are_told_apart(shell: Shell, tmp_path: Path) -> None:
    make_repository(tmp_path / "r", {"model.onnx": b"x"})
    publish = ("--as", "fraud@2.0.0", "--owner", "risk")
    assert shell("publish", "model.onnx", *publish, "--only", "*.onnx").code == 2
    assert shell("publish", f"git:{tmp_path / 'r'}@{'ab' * 20}", *publish, "--convert").code == 2
    assert shell("publish", "git:nowhere@main", *publish).code == 2
