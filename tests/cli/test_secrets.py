"""The passphrase: where it may come from, and that neither it nor a key is ever written anywhere else."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.press import PASSPHRASE, Shell

PROMPT_TIMEOUT_S = 60


def test_wrong_passphrase(shell: Shell) -> None:
    shell.passphrase_file = shell.root / "wrong"
    shell.passphrase_file.write_text("not the one at all\n")
    for arguments in (
        ("identity", "add", "nora"),
        ("verify", "fraud@1.0.0"),
        ("retire", "fraud@1.0.0", "--reason", "r"),
    ):
        outcome = shell(*arguments)
        assert outcome.code == 3
        assert "passphrase" in outcome.error
        assert "not the one" not in outcome.err


@pytest.mark.parametrize("stdin", [None, b"", PASSPHRASE.encode() + b"\n"], ids=["closed", "empty", "piped"])
def test_no_passphrase_and_no_terminal(shell: Shell, stdin: bytes | None) -> None:
    """A pipe is not a terminal: nothing hangs, and nothing is read that was meant for something else."""
    shell.passphrase_file = None
    outcome = shell("identity", "add", "nora", stdin=stdin)
    assert outcome.code == 3
    assert "there is no terminal" in outcome.error
    assert "--passphrase-file" in outcome.hint


def test_commands_that_need_no_passphrase(shell: Shell) -> None:
    shell.passphrase_file = None
    for arguments in (
        ("status",),
        ("list",),
        ("show", "fraud@1.0.0"),
        ("log", "verify"),
        ("identity", "list"),
    ):
        shell.ok(*arguments)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\nsecond line\n", b"\xff\xfe\n", b"x" * 5000],
    ids=["empty", "blank", "late", "binary", "long"],
)
def test_a_file_that_holds_no_passphrase(shell: Shell, content: bytes) -> None:
    (shell.root / "bad").write_bytes(content)
    outcome = shell("identity", "add", "nora", "--passphrase-file", "bad")
    assert outcome.code == 2
    assert "passphrase" in outcome.error


def test_passphrase_file_is_missing(shell: Shell) -> None:
    assert shell("identity", "add", "nora", "--passphrase-file", "gone").code == 2
    assert shell("identity", "add", "nora", "--passphrase-fd", "99").code == 2


@pytest.mark.parametrize("content", [f"{PASSPHRASE}\r\n", PASSPHRASE, f"{PASSPHRASE}\nmore\n"])
def test_first_line_counts(shell: Shell, content: str) -> None:
    (shell.root / "passphrase").write_text(content, newline="")
    shell.ok("identity", "add", "nora")


def _command(shell: Shell, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "strongroom", *arguments, "--home", str(shell.home)]


def _environment(shell: Shell) -> dict[str, str]:
    return {"HOME": str(shell.root), "PATH": os.environ["PATH"], "TERM": "dumb"}


def test_by_descriptor(shell: Shell) -> None:
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode() + b"\n")
    os.close(writing)
    done = subprocess.run(
        _command(shell, "identity", "add", "nora", "--passphrase-fd", str(reading)),
        pass_fds=[reading],
        env=_environment(shell),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PROMPT_TIMEOUT_S,
        check=False,
    )
    os.close(reading)
    assert (done.returncode, done.stderr) == (0, b"")


def _at_a_terminal(shell: Shell, answers: list[str], *arguments: str) -> tuple[int, str]:
    """Run at a pseudo-terminal, answering each prompt; returns the exit code and what was seen."""
    process_id, terminal = pty.fork()
    if process_id == 0:
        os.execve(sys.executable, _command(shell, *arguments), _environment(shell))  # noqa: S606
    seen, asked = b"", 0
    deadline = time.monotonic() + PROMPT_TIMEOUT_S
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                part = os.read(terminal, 4096)
            except OSError:
                break
            if not part:
                break
            seen += part
        if seen.count(b": ") > asked and asked < len(answers) and seen.rstrip(b" ").endswith(b":"):
            os.write(terminal, answers[asked].encode() + b"\n")
            asked = seen.count(b": ")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]), seen.decode()


def test_at_a_prompt_without_echo(shell: Shell) -> None:
    code, seen = _at_a_terminal(shell, [PASSPHRASE], "identity", "add", "nora")
    assert code == 0
    assert "Passphrase: " in seen
    assert PASSPHRASE not in seen


def test_init_asks_twice(bare: Shell) -> None:
    code, seen = _at_a_terminal(bare, [PASSPHRASE, PASSPHRASE + "x"], "init", "--identity", "ada")
    assert code == 2
    assert "the two differ" in seen
    assert not bare.home.exists()
    code, seen = _at_a_terminal(bare, [PASSPHRASE, PASSPHRASE], "init", "--identity", "ada")
    assert code == 0
    assert PASSPHRASE not in seen


@pytest.mark.parametrize("weak", ["short", "aaaaaaaaaaaaaaaaaaaa", " "])
def test_weak_passphrase(bare: Shell, weak: str) -> None:
    (bare.root / "passphrase").write_text(f"{weak}\n")
    outcome = bare("init", "--identity", "ada")
    assert outcome.code == 2
    assert "passphrase" in outcome.error
    assert not bare.home.exists()
    assert [path.name for path in bare.root.iterdir() if "draft" in path.name] == []


def _everything_below(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_no_secret_anywhere(shell: Shell) -> None:
    """I9: after a day's work, neither passphrase nor any key in any form is in the home or on the screen."""
    from strongroom.wiring import open_home

    shell.ok("publish", "model.onnx", "--as", "fraud@1.1.0", "--owner", "risk")
    shell("identity", "add", "nora", "--passphrase-file", "gone")
    shell.ok("verify", "fraud@1.1.0", "--full")
    shell.ok("log", "show", "--json")
    keys = open_home(shell.home, PASSPHRASE).tls_keys
    stored = [version.material for versions in keys._keys().values() for version in versions]  # type: ignore[union-attr]
    assert len(stored) >= 7
    secrets = [
        PASSPHRASE.encode(),
        *[piece for key in stored for piece in (key, key[-32:], key.hex().encode())],
    ]
    written = _everything_below(shell.home) + "".join(shell.transcript).encode()
    assert [number for number, secret in enumerate(secrets) if secret in written] == []


def test_no_secret_in_arguments_or_environment_of_children(shell: Shell) -> None:
    """publish starts a worker to try the model: what others may read of it in /proc holds no secret."""
    process = subprocess.Popen(
        _command(
            shell,
            "publish",
            str(shell.root / "model.onnx"),
            "--as",
            "fraud@1.1.0",
            "--owner",
            "risk",
            "--passphrase-file",
            str(shell.passphrase_file),
        ),
        env=_environment(shell),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    seen: set[bytes] = set()
    while process.poll() is None:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.getsid(int(entry.name)) != process.pid:
                    continue
                seen |= {(entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()}
            except OSError:
                continue
        time.sleep(0.02)
    assert process.returncode == 0
    assert any(b"publish" in text for text in seen)
    assert not any(PASSPHRASE.encode() in text for text in seen)
