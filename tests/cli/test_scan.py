"""`strongroom scan`: verdicts as exit codes, output for people and machines, nothing needed but the files."""

import json
import os
import pickle
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import onnx
import pytest

from tests import models
from tests.cli.press import Shell

SECRET = "Zk9q" + "P2mX7vB4"
EVIL = b"cposix\nsystem\n(S'id'\ntR."


@pytest.fixture
def folder(bare: Shell) -> Path:
    folder = bare.root / "upload"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(models.linear().onnx)
    return folder


def test_clean_file_needs_no_home(bare: Shell, folder: Path) -> None:
    outcome = bare("scan", "upload/model.onnx")
    assert (outcome.code, outcome.out) == (0, "1 file: accepted\n")
    assert not bare.home.exists()


def test_what_runs_code_is_refused_with_a_place_and_a_way_out(bare: Shell, folder: Path) -> None:
    (folder / "old.pkl").write_bytes(EVIL)
    outcome = bare("scan", "upload")
    assert outcome.code == 4
    assert "old.pkl" in outcome.out
    assert "system" in outcome.out
    assert "fix: " in outcome.out
    assert re.search(r"^2 files: REFUSED", outcome.out, re.MULTILINE)


def test_json(bare: Shell, folder: Path) -> None:
    (folder / "old.pkl").write_bytes(EVIL)
    report = bare("scan", "upload", "--json").json
    assert report["verdict"] == "refused"
    assert [each["path"] for each in report["files"]] == ["model.onnx", "old.pkl"]
    worst = report["findings"][0]
    assert worst["path"] == "old.pkl"
    assert {"id", "rule", "severity", "message", "why", "fix", "atlas", "aisvs", "waivable"} <= worst.keys()


def test_several_paths_are_told_apart(bare: Shell, folder: Path) -> None:
    (bare.root / "old.pkl").write_bytes(EVIL)
    report = bare("scan", "upload", "old.pkl", "--json").json
    assert {each["path"] for each in report["files"]} == {"upload/model.onnx", "old.pkl/old.pkl"}


def test_sarif(bare: Shell, folder: Path) -> None:
    (folder / "old one.pkl").write_bytes(EVIL)
    assert bare("scan", "upload", "--sarif", "out.sarif").code == 4
    run = json.loads((bare.root / "out.sarif").read_text())["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
    physical = run["results"][0]["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "old%20one.pkl"
    sizes = {each["location"]["uri"]: each["length"] for each in run["artifacts"]}
    for result in run["results"]:
        found = result["locations"][0]["physicalLocation"]
        region, size = found["region"], sizes[found["artifactLocation"]["uri"]]
        assert 0 <= region["byteOffset"] <= region["byteOffset"] + region["byteLength"] <= size
    assert run["tool"]["driver"]["version"] == run["tool"]["driver"]["semanticVersion"]
    assert json.loads(bare("scan", "upload", "--sarif", "-").out) == json.loads(
        (bare.root / "out.sarif").read_text()
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not [name for name, _ in attrs if name in ("src", "href", "onload", "onerror")]


def test_page_with_names_that_are_markup(bare: Shell, folder: Path) -> None:
    (folder / "<img src=x onerror=alert(1)>.pkl").write_bytes(EVIL)
    (folder / "<script>alert(1)").mkdir()
    assert bare("scan", "upload", "--html", "page.html").code == 4
    tags = _Tags()
    page = (bare.root / "page.html").read_text()
    tags.feed(page)
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(tags.seen)
    assert "default-src 'none'" in page
    assert "&lt;img src=x onerror" in page


@pytest.mark.parametrize(("fail_on", "code"), [("low", 4), ("high", 4), ("critical", 4), ("never", 0)])
def test_fail_on(bare: Shell, folder: Path, fail_on: str, code: int) -> None:
    (folder / "old.pkl").write_bytes(EVIL)
    assert bare("scan", "upload", "--fail-on", fail_on, "--quiet").code == code


def test_quiet_prints_nothing(bare: Shell, folder: Path) -> None:
    (folder / "old.pkl").write_bytes(EVIL)
    outcome = bare("scan", "upload", "-q")
    assert (outcome.code, outcome.out) == (4, "")


def test_links_are_refused_unless_asked_for(bare: Shell, folder: Path) -> None:
    os.symlink(folder / "model.onnx", bare.root / "link.onnx")
    os.symlink("model.onnx", folder / "inside.onnx")
    assert "symbolic link" in bare("scan", "upload").out
    assert bare("scan", "link.onnx").code == 4
    outcome = bare("scan", "upload", "link.onnx", "--follow-links")
    assert (outcome.code, outcome.out) == (0, "3 files: accepted\n")


def test_pipe_in_the_folder_does_not_hang(bare: Shell, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    outcome = bare("scan", "upload")
    assert outcome.code == 4
    assert "pipe" in outcome.out
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)


def test_version_control_is_skipped_and_said_to_be(bare: Shell, folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "hook.pkl").write_bytes(EVIL)
    outcome = bare("scan", "upload")
    assert outcome.code == 0
    assert ".git: not scanned" in outcome.err


def test_nothing_there(bare: Shell) -> None:
    outcome = bare("scan", "missing")
    assert (outcome.code, outcome.error) == (2, "'missing': no such file or directory")


def test_no_path_and_no_store(bare: Shell) -> None:
    assert bare("scan", "--quiet").code == 2


def test_unknown_severity(bare: Shell, folder: Path) -> None:
    assert bare("scan", "upload", "--fail-on", "worst").code == 2


def test_report_that_cannot_be_written(bare: Shell, folder: Path) -> None:
    assert bare("scan", "upload", "--sarif", "no/such/folder.sarif").code == 5


def test_rules_are_listed(bare: Shell) -> None:
    rules = bare("scan", "rules", "--json").json["rules"]
    assert len(rules) > 50
    assert all(rule["why"] and rule["fix"] and rule["title"] for rule in rules)
    assert "pickle-global-not-allowed" in bare("scan", "rules").out


def test_refused_upload_is_shown_waived_and_handed_over_again(shell: Shell) -> None:
    """A credential in the metadata of an otherwise good model: found, kept, let pass by a second person."""
    model = onnx.load_from_string(models.linear().onnx)
    onnx.helper.set_model_props(model, {"note": f"postgres://trainer:{SECRET}@db.example.org/features"})
    (shell.root / "leaky.onnx").write_bytes(model.SerializeToString())
    published = shell("publish", "leaky.onnx", "--as", "leaky@1.0.0", "--owner", "risk")
    assert published.code == 4
    assert SECRET not in published.err
    (kept,) = shell.ok("scan", "list", "--json").json
    shown = shell.ok("scan", "show", kept["ticket"], "--json").json
    assert SECRET not in json.dumps(shown)
    for found in shown["report"]["findings"]:
        assert shell("waive", kept["ticket"], found["id"], "--reason", "test data").code == 3
        shell.ok("waive", kept["ticket"], found["id"], "--reason", "test data", "--identity", "rita")
    shell.ok("scan", "report", kept["ticket"], "--html", "report.html")
    assert SECRET not in (shell.root / "report.html").read_text()
    shell.ok("scan", "resubmit", kept["ticket"])
    shell.ok("review", "leaky@1.0.0", "--identity", "rita")


def test_pickle_is_told_to_be_converted(shell: Shell) -> None:
    (shell.root / "model.pkl").write_bytes(pickle.dumps({"weights": [1.0]}))
    outcome = shell("publish", "model.pkl", "--as", "plain@1.0.0", "--owner", "risk")
    assert outcome.code == 4
    assert "strongroom convert" in outcome.hint
    assert "strongroom scan show" in outcome.hint


def test_rescan(shell: Shell) -> None:
    outcome = shell.ok("rescan", "--json", "--identity", "rita")
    assert [each["report"]["verdict"] for each in outcome.json] == ["accepted"] * len(outcome.json)
    assert shell.ok("scan", "--store", "--identity", "rita").out
    assert shell.ok("rescan", "--outdated", "--identity", "rita").out == ""
