"""Each command as a person types it and as a program reads it: output and exit code."""

import re
from dataclasses import replace

import pytest

from strongroom.trust.keyring import TrustRoot
from tests import models
from tests.cli.press import Outcome, Shell

PICKLE = b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."


def _failed(outcome: Outcome, code: int, error: str, hint: str | None = None) -> None:
    """One lower-case sentence, its family's exit code, no traceback."""
    assert outcome.code == code, outcome
    assert re.search(error, outcome.error), outcome.err
    assert outcome.error[0] == outcome.error[0].lower()
    assert not outcome.error.endswith(".")
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    if hint is not None:
        assert re.search(hint, outcome.hint), outcome.err


def test_a_model_from_init_to_revoked(bare: Shell) -> None:
    """The whole story in text, then told again by the log."""
    made = bare.ok("init", "--identity", "ada")
    assert made.out == (
        f"home      {bare.home}\nidentity  ada\nnext      strongroom identity add NAME --role reviewer\n"
    )
    assert re.fullmatch(
        r"rita  added, log record \d+, reviewer on \*\n",
        bare.ok("identity", "add", "rita", "--role", "reviewer").out,
    )
    published = bare.ok("publish", "model.onnx", "--as", "fraud@1.0.0", "--owner", "risk")
    assert re.match(
        r"fraud@1\.0\.0  published, log record \d+\ndigest   sha256:[0-9a-f]{64}\n", published.out
    )
    assert published.out.endswith("next     strongroom approve fraud@1.0.0 --identity SECOND-PERSON\n")
    _failed(bare("approve", "fraud@1.0.0"), 3, "ada may not approve fraud@1.0.0")
    approved = bare.ok("approve", "fraud@1.0.0", "--identity", "rita", "--reason", "looked at it")
    assert re.match(
        r"fraud@1\.0\.0  approved, log record \d+\nnext     strongroom serve fraud\n", approved.out
    )
    assert "verified" in bare.ok("verify", "fraud@1.0.0", "--full").out
    assert bare.ok("list").out.splitlines()[1].startswith("fraud@1.0.0\tapproved\trisk\tonnx\t")
    assert "approved      by rita" in bare.ok("show", "fraud@1.0.0").out
    _failed(bare("approve", "fraud@1.0.0", "--identity", "rita"), 2, "is approved, not waiting")
    assert "revoked, log record" in bare.ok("revoke", "fraud@1.0.0", "--reason", "leaked").out
    _failed(bare("revoke", "fraud@1.0.0", "--reason", "leaked"), 2, "is revoked already")
    lines = [line.split("\t") for line in bare.ok("log", "show").out.splitlines()[1:]]
    told = [(actor, action, decision) for _, _, actor, action, _, decision, *_ in lines]
    story = [
        ("ada", "init", "allow"),
        ("ada", "add-identity", "allow"),
        ("ada", "publish", "allow"),
        ("ada", "approve", "deny"),
        ("rita", "approve", "allow"),
        ("ada", "verify", "allow"),
        ("ada", "revoke", "allow"),
    ]
    remaining = iter(told)
    assert all(step in remaining for step in story)
    assert re.match(
        r"log  verified: \d+ records, 0 predictions\nroot [0-9a-f]{64}\n", bare.ok("log", "verify").out
    )


JSON = {
    "status": ("status", "--json"),
    "list": ("list", "--json"),
    "show": ("show", "fraud@1.0.0", "--json"),
    "verify": ("verify", "fraud@1.0.0", "--json"),
    "can": ("can", "ada", "publish", "fraud", "--json"),
    "identity list": ("identity", "list", "--json"),
    "grant list": ("grant", "list", "--json"),
    "log verify": ("log", "verify", "--json"),
    "log prove": ("log", "prove", "0"),
    "log checkpoint": ("log", "checkpoint", "--json"),
    "identity add": ("identity", "add", "nora", "--json"),
    "identity renew": ("identity", "renew", "rita", "--json"),
    "grant add": ("grant", "add", "dora", "auditor", "--reason", "audit", "--for", "2h", "--json"),
    "retire": ("retire", "fraud@1.0.0", "--reason", "old", "--json"),
    "revoke": ("revoke", "fraud@1.0.0", "--reason", "leaked", "--json"),
    "revoke identity": ("revoke", "identity", "rita", "--reason", "left", "--json"),
    "revoke key": ("revoke", "key", "signing", "--reason", "lost", "--compromised", "--json"),
    "revocation refresh": ("revocation", "refresh", "--json"),
    "publish": ("publish", "model.onnx", "--as", "fraud@1.1.0", "--owner", "risk", "--json"),
    "doctor": ("doctor", "--json"),
}
KEYS = {
    "status": {"home", "identity", "versions", "insecure_choices"},
    "show": {"model", "state", "digest", "approvals", "files", "schema"},
    "verify": {"model", "verified", "full", "digest"},
    "can": {"allowed", "rule", "grants"},
    "log verify": {"records", "predictions", "root"},
    "log prove": {"checkpoint", "index", "leaf", "leaf_hash", "path"},
    "log checkpoint": {"checkpoint"},
    "identity add": {"identity", "roles", "log_index", "dry_run"},
    "grant add": {"id", "principal", "role", "resource", "start", "end", "dry_run"},
    "identity renew": {"subject", "state", "log_index", "dry_run"},
    "revoke identity": {"kind", "name", "state", "log_index", "dry_run"},
    "revoke key": {"kind", "name", "state", "log_index", "dry_run", "versions"},
    "revocation refresh": {"number", "max_age_s"},
    "retire": {"model", "state", "log_index", "dry_run"},
    "revoke": {"kind", "name", "state", "log_index", "dry_run"},
    "publish": {"model", "digest", "format", "size_bytes", "files", "schema", "findings", "log_index"},
}


@pytest.mark.parametrize("name", JSON)
def test_json_is_one_value_and_nothing_else(shell: Shell, name: str) -> None:
    outcome = shell.ok(*JSON[name])
    assert outcome.err == ""
    value = outcome.json
    if name in KEYS:
        assert KEYS[name] <= value.keys()
    else:
        assert isinstance(value, list)
        assert value


def test_json_of_the_log_is_one_object_a_line(shell: Shell) -> None:
    import orjson

    records = [orjson.loads(line) for line in shell.ok("log", "show", "--json").out.splitlines()]
    assert [record["record"] for record in records] == list(range(len(records)))
    only = shell.ok("log", "show", "--json", "--action", "approve", "--actor", "rita", "--last", "1").out
    assert orjson.loads(only)["subject"] == "fraud@1.0.0"


FAILURES = [
    (2, ("list", "--home", "/nowhere/at/all"), "no strongroom home here", "strongroom init"),
    (2, ("show", "fraud@9.9.9"), "no such version", "fraud@1.0.0"),
    (2, ("show", "fraud"), "has no version", "family@version"),
    (2, ("approve", "Fraud@1", "--identity", "rita"), "is not a", None),
    (2, ("publish", "gone.onnx", "--as", "fraud@1.1.0", "--owner", "risk"), "no such file", None),
    (
        2,
        ("publish", "model.onnx", "--as", "fraud@0.9.0", "--owner", "risk"),
        "is older than",
        "--allow-older",
    ),
    (2, ("grant", "add", "dora", "auditor", "--reason", "r", "--for", "2y"), "is not one", "90m"),
    (2, ("revoke", "grant", "g-0", "--reason", "r"), "no such grant", "grant list"),
    (2, ("identity", "add", "Nora!"), "is not a principal name", None),
    (2, ("identity", "add", "rita"), "exists already", None),
    (2, ("log", "prove", "9999"), "has no record", None),
    (2, ("can", "ada", "fly"), "is not one of", None),
    (2, ("receipt", "verify", "model.onnx"), "is not JSON", None),
    (2, ("predict", "fraud", "--input", "gone.json"), "no such file", None),
    (2, ("list", "--identity", "nobody"), "no such identity", "identity list"),
    (2, ("grant", "add", "dora", "auditor", "--reason", "r", "--for", "900d"), "longer than 366", "renew"),
    (2, ("frobnicate",), "no such command", "--help"),
    (2, ("publish", "model.onnx"), "missing option", "--help"),
    (2, ("log", "prove", "-1"), "invalid value|no such option", "--help"),
    (
        3,
        ("publish", "model.onnx", "--as", "fraud@1.1.0", "--owner", "r", "--identity", "rita"),
        "may not",
        "no role lifts",
    ),
    (3, ("publish", "model.onnx", "--as", "fraud@1.0.0", "--owner", "r"), "may not publish", "next one"),
    (3, ("log", "show", "--identity", "dora"), "dora may not read-log", None),
    (4, ("publish", "model.pkl", "--as", "fraud@1.1.0", "--owner", "risk"), "pickle", "ONNX"),
    (4, ("publish", "link.onnx", "--as", "fraud@1.1.0", "--owner", "risk"), "symbolic link", "plain files"),
    (4, ("receipt", "verify", "evidence.json"), "is not evidence", None),
]


@pytest.mark.parametrize(("code", "arguments", "error", "hint"), FAILURES, ids=lambda value: str(value)[:40])
def test_failures_by_family(
    shell: Shell, code: int, arguments: tuple[str, ...], error: str, hint: str | None
) -> None:
    (shell.root / "model.pkl").write_bytes(PICKLE)
    (shell.root / "link.onnx").symlink_to("model.onnx")
    (shell.root / "evidence.json").write_text("{}")
    outcome = shell(*arguments)
    _failed(outcome, code, error, hint)


def test_failure_as_json(shell: Shell) -> None:
    outcome = shell("show", "fraud@9.9.9", "--json")
    assert (outcome.code, outcome.err) == (2, "")
    assert outcome.json["error"].keys() == {"family", "message", "hint"}
    assert outcome.json["error"]["family"] == "invalid"


def test_tampering_is_exit_4_and_doctor_says_so(shell: Shell) -> None:
    (shell.home / "blobs" / "fraud" / "1.0.0" / "extra.bin").write_bytes(b"x")
    _failed(shell("verify", "fraud@1.0.0"), 4, "unsigned file")
    (shell.home / "blobs" / "stray").mkdir()
    (shell.home / "blobs" / "stray" / "x").write_bytes(b"x")
    examined = shell("doctor")
    assert examined.code == 4
    assert "checks failed" in examined.error


def test_log_that_was_cut_is_exit_4_for_every_command(shell: Shell) -> None:
    import shutil

    kept = shell.root / "kept"
    shutil.copytree(shell.home / "log", kept)
    shell.ok("identity", "add", "nora")
    shutil.rmtree(shell.home / "log")
    shutil.copytree(kept, shell.home / "log")
    for arguments in (("list",), ("log", "verify"), ("status",), ("identity", "add", "olga")):
        _failed(shell(*arguments), 4, "log: ")


def test_a_checkpoint_kept_elsewhere(shell: Shell) -> None:
    kept = shell.root / "kept.txt"
    kept.write_text(shell.ok("log", "checkpoint", "--json").json["checkpoint"])
    shell.ok("identity", "add", "nora")
    shell.ok("log", "verify", "--against", "kept.txt")
    kept.write_text(kept.read_text().replace("\n", "\nx", 1))
    assert shell("log", "verify", "--against", "kept.txt").code == 4


def test_can_exits_3_for_no(shell: Shell) -> None:
    assert shell("can", "rita", "publish", "fraud").code == 3
    assert shell.ok("can", "rita", "approve", "fraud@1.0.0").out.startswith("yes  rule reviewer-approves")


def test_export_writes_private_files_once(shell: Shell) -> None:
    shell.ok("identity", "export", "rita", "--to", "out")
    key = shell.root / "out" / "rita.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    folders = (shell.root / "out", shell.home)
    given, own = (TrustRoot.parse((folder / "trust.json").read_bytes()) for folder in folders)
    assert replace(given, signing_keys=own.signing_keys) == own
    assert [one.public for one in given.signing_keys.keys] == [one.public for one in own.signing_keys.keys]
    _failed(shell("identity", "export", "rita", "--to", "out"), 2, "exists already")


def test_publish_a_folder(shell: Shell) -> None:
    models.external_data().write(shell.root / "folder")
    made = shell.ok("publish", "folder", "--as", "churn@1.0.0", "--owner", "risk", "--json").json
    assert (made["files"], made["format"]) == (2, "onnx")


def test_completion_prints(bare: Shell) -> None:
    """Printed for the shell at hand; nothing is installed."""
    for name in ("bash", "zsh", "fish"):
        outcome = bare("--show-completion", name)
        assert (outcome.code, "strongroom" in outcome.out) == (0, True), outcome


def test_version_and_help_need_no_home(bare: Shell) -> None:
    assert re.fullmatch(r"strongroom \d+\.\d+\.\d+\n", bare.ok("--version").out)
    for arguments in ((), ("identity",), ("grant",), ("log",), ("receipt",)):
        shown = bare.ok(*arguments, "--help").out
        assert "Commands:" in shown
    assert "--dry-run" in bare.ok("publish", "-h").out
