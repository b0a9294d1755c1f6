"""bom and osv as commands: what they print, how they end, what they leave."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.press import Shell

EXTRACT = Path(__file__).parents[1] / "vectors" / "osv" / "pypi"
PUBLISH = (
    *("publish", "model.onnx", "--as", "fraud@1.1.0", "--owner", "risk", "--identity", "dora"),
    *("--dependencies", "requirements.txt"),
)
LOCK = "numpy==1.9.1\nonnx==1.20.0\nscikit-learn>=1.0\n"


@pytest.fixture(scope="module")
def published(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fraud@1.1.0 with a list of packages; made once, copied for each test."""
    root = tmp_path_factory.mktemp("listed") / "user"
    shell = _copy(furnished, root)
    (root / "requirements.txt").write_text(LOCK)
    shell.ok(*PUBLISH)
    return root


@pytest.fixture
def listed(published: Path, tmp_path: Path) -> Shell:
    return _copy(published, tmp_path / "user")


@pytest.fixture
def informed(listed: Shell) -> Shell:
    """As `listed`, and a vulnerability database was imported."""
    listed.ok("osv", "import", str(EXTRACT))
    return listed


def _copy(source: Path, root: Path) -> Shell:
    shutil.copytree(source, root, symlinks=True)
    return Shell(root, root / "home", root / "passphrase")


def test_show_and_verify(listed: Shell) -> None:
    document = listed.ok("bom", "show", "fraud@1.1.0", "--identity", "rita")
    packages = {one.get("purl") for one in document.json["components"]}
    assert {"pkg:pypi/numpy@1.9.1", "pkg:pypi/onnx@1.20.0", "pkg:pypi/scikit-learn"} <= packages
    assert document.out == listed.ok("bom", "show", "fraud@1.1.0", "--identity", "dora", "--json").out
    table = listed.ok("bom", "show", "fraud@1.1.0", "--identity", "rita", "--format", "table").out
    assert "scikit-learn  (not exact: >=1.0)" in table
    (listed.root / "bare.json").write_text(document.out)
    assert (
        "not signed, says what was published here"
        in listed.ok("bom", "verify", "bare.json", "--identity", "rita").out
    )


def test_signed_for_others(listed: Shell) -> None:
    envelope = listed.ok("bom", "show", "fraud@1.1.0", "--signed", "--identity", "rita").out
    (listed.root / "signed.json").write_text(envelope)
    shutil.copy(listed.home / "trust.json", listed.root / "trust.json")
    shutil.move(listed.home, listed.root / "away")
    found = listed.ok("bom", "verify", "signed.json", "--trust-root", "trust.json", "--json").json
    assert (found["model"], len(found["signed_by"]), found["equals_published"]) == ("fraud@1.1.0", 1, False)
    (listed.root / "signed.json").write_text(envelope.replace('"sig":"', '"sig":"AAAA'))
    assert listed("bom", "verify", "signed.json", "--trust-root", "trust.json").code == 4


def test_an_altered_bill(listed: Shell) -> None:
    document = listed.ok("bom", "show", "fraud@1.1.0", "--identity", "rita").out
    (listed.root / "bad.json").write_text(document.replace("numpy@1.9.1", "numpy@2.1.0"))
    outcome = listed("bom", "verify", "bad.json", "--identity", "rita")
    assert outcome.code == 4
    assert "differs from what was published" in outcome.error


def test_diff_ends_with_four_if_anything_differs(listed: Shell) -> None:
    outcome = listed("bom", "diff", "fraud@1.1.0", "--identity", "rita", "--json")
    assert outcome.code == 4
    assert {"kind": "version", "name": "numpy"}.items() <= outcome.json["differences"][0].items()
    engine = [one["declared"] for one in outcome.json["differences"] if one["kind"] == "engine"]
    assert engine == []
    assert "as declared" in listed.ok("bom", "diff", "fraud@1.0.0", "--identity", "rita").out


def test_diff_against_a_lockfile(listed: Shell) -> None:
    bill = listed.ok("bom", "show", "fraud@1.1.0", "--identity", "rita").json
    runtime = [one for one in bill["components"] if one["type"] == "framework"]
    lines = [f"{one['name']}=={one['version']}\n" for one in runtime]
    (listed.root / "host.txt").write_text(
        "".join(["numpy==1.9.1\nonnx==1.20.0\nscikit-learn==1.0\n", *lines])
    )
    listed.ok("bom", "diff", "fraud@1.1.0", "--lockfile", "host.txt", "--identity", "rita")


WRONG = [
    ("bom", "show", "fraud@9.0.0"),
    ("bom", "show", "fraud@1.1.0", "--format", "spdx"),
    ("bom", "show", "fraud@1.1.0", "--format", "table", "--signed"),
    ("bom", "show", "fraud@1.1.0", "--signed", "--vulnerabilities"),
    ("bom", "show", "fraud@1.1.0", "--vulnerabilities"),
    ("bom", "diff", "fraud@1.1.0", "--lockfile", "absent.txt"),
    ("bom", "verify", "absent.json"),
    ("osv", "check"),
    ("osv", "check", "fraud@1.1.0", "--self"),
    ("osv", "check", "--lockfile", "model.onnx"),
    ("osv", "import", "absent.zip", "--identity", "ada"),
    ("osv", "import", "http://osv.example/all.zip", "--identity", "ada"),
    ("osv", "import", "model.onnx", "--digest", "abc", "--identity", "ada"),
]


def test_wrong_use(listed: Shell) -> None:
    for arguments in WRONG:
        given = arguments if "--identity" in arguments else (*arguments, "--identity", "rita")
        assert listed(*given).code == 2, arguments


def test_not_for_those_who_may_not_list_it(listed: Shell) -> None:
    listed.ok("identity", "add", "sven")
    for arguments in (("bom", "show"), ("bom", "diff"), ("osv", "check")):
        assert listed(*arguments, "fraud@1.1.0", "--identity", "sven").code == 3


def test_import_status_and_check(informed: Shell) -> None:
    status = informed("osv", "status", "--json")
    assert status.json["database"]["packages"] == 10
    assert status.code == (4 if status.json["database"]["stale"] else 0)
    outcome = informed("osv", "check", "fraud@1.1.0", "--identity", "rita", "--json")
    assert outcome.code == 4
    found = {one["rule"]: one for one in outcome.json}
    assert {"dependency-vulnerable", "dependency-unpinned"} <= found.keys()
    assert any("fixed in 1.21.0" in one["message"] for one in outcome.json)
    log = informed.ok("log", "show", "--action", "configure", "--json", "--identity", "ada")
    record = json.loads(log.out.splitlines()[-1])
    assert record["detail"]["value"]["source"] == "pypi"


def test_no_database_is_no_pass(listed: Shell) -> None:
    assert listed("osv", "status").code == 4
    outcome = listed("osv", "check", "--self", "--json")
    assert outcome.code == 4
    assert [one["rule"] for one in outcome.json] == ["osv-database-missing"]


def test_a_broken_import_changes_nothing(informed: Shell) -> None:
    before = sorted(path.name for path in (informed.home / "osv").iterdir())
    (informed.root / "broken.jsonl").write_text('{"id": "A-1"}\n')
    outcome = informed("osv", "import", "broken.jsonl")
    assert outcome.code == 4
    assert sorted(path.name for path in (informed.home / "osv").iterdir()) == before


def test_only_an_admin_imports(listed: Shell) -> None:
    assert listed("osv", "import", str(EXTRACT), "--identity", "dora").code == 3
    assert not (listed.home / "osv").exists()


def test_dry_run(listed: Shell) -> None:
    assert "would be imported" in listed.ok("osv", "import", str(EXTRACT), "--dry-run").out
    assert not (listed.home / "osv").exists()


def test_a_swapped_database(informed: Shell) -> None:
    (path,) = (informed.home / "osv").iterdir()
    path.write_bytes(path.read_bytes().replace(b"PYSEC-2026-104", b"PYSEC-2026-105"))
    outcome = informed("osv", "check", "fraud@1.1.0", "--identity", "rita")
    assert outcome.code == 4
    assert "changed since it was imported" in outcome.error


def test_known_holes_in_the_document(informed: Shell) -> None:
    document = informed.ok("bom", "show", "fraud@1.1.0", "--vulnerabilities", "--identity", "rita").json
    assert "PYSEC-2021-854" in [one["id"] for one in document["vulnerabilities"]]


def test_publish_refuses_a_list_that_cannot_be_read(shell: Shell) -> None:
    (shell.root / "requirements.txt").write_text("-r elsewhere.txt\n")
    outcome = shell(*PUBLISH)
    assert outcome.code == 2
    assert "refers to another file" in outcome.error
