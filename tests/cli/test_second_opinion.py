"""Other scanners are asked in a place without network, within bounds, and decide nothing."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from strongroom.adapters.scanning import second
from strongroom.scan.opinions import Says

_BAD = b"cposix\nsystem\n(S'true'\ntR."
_SAYS_SAFE = "import json\nprint(json.dumps({'issues': []}))\n"


def _tool(folder: Path, name: str, code: str) -> dict[str, Path]:
    path = folder / name
    path.write_text(f"#!{sys.executable} -I\n{code}")
    path.chmod(0o755)
    return {name: path}


def _scan(path: Path, tools: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "strongroom", "scan", str(path), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_another_scanner_that_finds_nothing_saves_no_pickle(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pkl"
    bad.write_bytes(_BAD)
    (tmp_path / "bin").mkdir()
    _tool(tmp_path / "bin", "modelaudit", _SAYS_SAFE)
    alone, asked = (
        _scan(bad, tmp_path / "bin", "--json"),
        _scan(bad, tmp_path / "bin", "--json", "--second-opinion"),
    )
    assert (alone.returncode, asked.returncode) == (4, 4)
    told = json.loads(asked.stdout)
    assert [one["says"] for one in told.pop("second_opinions") if one["tool"] == "modelaudit"] == ["nothing"]
    assert told == json.loads(alone.stdout)


def test_another_scanner_that_warns_refuses_nothing(tmp_path: Path) -> None:
    good = tmp_path / "good.txt"
    good.write_text("words")
    (tmp_path / "bin").mkdir()
    warns = {"issues": [{"severity": "critical", "message": "it is\x1b[2J evil"}]}
    _tool(tmp_path / "bin", "modelaudit", f"print({json.dumps(warns)!r})\n")
    done = _scan(good, tmp_path / "bin", "--second-opinion")
    assert done.returncode == 0, done.stderr
    assert "second opinion, not deciding: modelaudit" in done.stdout
    assert "it is\\x1b[2J evil" in done.stdout


def test_it_reaches_no_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = (
            "import json, socket\n"
            "try:\n"
            f"    socket.create_connection(('127.0.0.1', {port}), 5); said = 'reached'\n"
            "except OSError: said = 'unreachable'\n"
            "print(json.dumps({'issues': [{'severity': 'warning', 'message': said}]}))\n"
        )
        (opinion,) = second.ask_others(tmp_path, [], _tool(tmp_path, "modelaudit", code))
    assert opinion.words[1] == "unreachable"


HOSTILE = {
    "hangs": ("import time\nwhile True: time.sleep(1)\n", "no answer"),
    "hoards": (f"x = bytearray({second.confined.MAX_MEMORY_BYTES})\n", "no report"),
    "fills the disk": (
        f"import sys\nfor _ in range(200): sys.stdout.write('x' * {2**20})\n",
        "SIGXFSZ|no report",
    ),
    "crashes": ("import os\nos.abort()\n", "SIGABRT"),
    "lies about who it is": ("import os\nos._exit(71)\n", "not asked"),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_one_that_does_not_answer_has_no_opinion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    import re

    code, words = HOSTILE[attack]
    monkeypatch.setattr(second, "TIMEOUT_S", 2.0 if attack == "hangs" else 60.0)
    (opinion,) = second.ask_others(tmp_path, [], _tool(tmp_path, "modelaudit", code))
    assert opinion.says is Says.FAILED
    assert re.search(words, opinion.words[0])


def test_what_it_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(mark)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(second, "TIMEOUT_S", 5.0)
    second.ask_others(tmp_path, [], _tool(tmp_path, "modelaudit", code))
    pid = int(mark.read_text())
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("it lives on")


def test_neither_installed_is_invalid_and_says_what_to_install(tmp_path: Path) -> None:
    good = tmp_path / "good.txt"
    good.write_text("words")
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "strongroom", "scan", str(good), "--second-opinion"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pip install fickling modelaudit" in done.stderr
