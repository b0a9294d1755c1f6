"""Start, renewal of the certificate, drain, and the end of the supervisor."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from strongroom.serve import control, landlock
from strongroom.serve.gateway.limits import Limits
from tests.serve.gateway_harness import (
    PATIENCE_S,
    Harness,
    build_request,
    infer_body,
    running,
)
from tests.serve.test_gateway_infer import Gate

INFER = "/v2/models/fraud/infer"


def test_a_renewed_certificate_is_shown_to_new_connections_and_old_ones_go_on(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        with harness.client(harness.alice) as old:
            before = old.socket.getpeercert()
            assert old.infer([[1, 2, 3]]).status == 200
            harness.renew_certificate()
            assert wait_until(lambda: _serial(harness) != before["serialNumber"])  # type: ignore[index]
            assert old.infer([[1, 2, 3]]).status == 200


def _serial(harness: Harness) -> Any:
    with harness.client(harness.alice) as client:
        details: Any = client.socket.getpeercert()
        assert client.infer([[1, 2, 3]]).status == 200
        return details["serialNumber"]


def test_a_broken_certificate_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        with (tmp_path / "empty").open("wb+") as empty:
            control.send(harness.channel, {"kind": "tls"}, [empty.fileno()])
        assert "tls" in harness.wait_for("refused")["message"]
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200


def test_drain_finishes_what_is_in_flight(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        gate = Gate()
        harness.serve(gate)
        with harness.client(harness.alice) as busy, harness.client(harness.alice) as idle:
            busy.send(build_request("POST", INFER, infer_body([[1, 2, 3]])))
            time.sleep(0.5)
            harness.tell("drain")
            assert idle.ends()
            threading.Timer(0.5, gate.opened.set).start()
            assert busy.receive().status == 200
            assert busy.ends()
        harness.wait_for("drained")
        assert harness.process.wait(PATIENCE_S) == 0
        assert len(harness.records()) == 1


def test_drain_does_not_wait_for_ever(tmp_path: Path) -> None:
    with running(tmp_path, drain_timeout_s=1.0) as harness:
        harness.serve(lambda batch: None)
        with harness.client(harness.alice) as client:
            client.send(build_request("POST", INFER, infer_body([[1, 2, 3]])))
            time.sleep(0.3)
            harness.tell("drain")
            harness.wait_for("drained")
            assert harness.process.wait(PATIENCE_S) == 0


def test_without_its_supervisor_a_gateway_ends(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        harness.channel.shutdown(socket.SHUT_RDWR)
        assert harness.process.wait(PATIENCE_S) == 0


def test_the_process_is_locked(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        status = Path(f"/proc/{harness.process.pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        limits = Path(f"/proc/{harness.process.pid}/limits").read_text()
        assert any(line.split()[:5] == ["Max", "core", "file", "size", "0"] for line in limits.splitlines())


TAKEN_OVER = """
import os, socket, sys
import strongroom.serve.gateway.__main__
from strongroom.serve import landlock
from strongroom.serve.gateway.process import lock_down, shut_files
new, kept, port = sys.argv[1:]
lock_down()
version = landlock.abi()
assert shut_files() == "on", shut_files()
tries = {
    "read": lambda: open(kept),
    "list": lambda: os.listdir("/"),
    "make": lambda: open(new, "w"),
    "delete": lambda: os.unlink(kept),
    "start": lambda: os.execv(sys.executable, ["python"]),
    "write code": lambda: open(landlock.__file__, "r+"),
}
if version >= 4:
    tries["connect"] = lambda: socket.create_connection(("127.0.0.1", int(port)))
if version >= 6:
    tries["signal"] = lambda: os.kill(os.getppid(), 0)
for name, attempt in tries.items():
    try:
        attempt()
    except PermissionError:
        continue
    sys.exit(f"{name}: worked")
import wave  # what is imported late still is
"""


def test_a_gateway_that_was_taken_over_opens_no_file_and_connects_nowhere(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        locked = harness.wait_for("locked")["layers"]["landlock"]
    try:
        landlock.abi()
    except OSError as error:
        assert locked.startswith("missing: ")
        pytest.skip(f"this host has no Landlock: {error.strerror}")
    assert locked == "on"
    (tmp_path / "kept").touch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = [str(tmp_path / "new"), str(tmp_path / "kept"), str(listener.getsockname()[1])]
        done = subprocess.run(
            [sys.executable, "-I", "-c", TAKEN_OVER, *arguments], capture_output=True, text=True, timeout=60
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "kept").exists()


def test_a_worker_for_an_unknown_model_or_other_bytes_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.push_snapshot()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            message = {"kind": "worker", "model": "fraud@1.2.0", "digest": "sha256:" + "0" * 64}
            control.send(harness.channel, message, [theirs.fileno()])
        harness.wait_for("refused")
        assert not harness.heard("ready")


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"max_conections": 1}, "max_conections"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": "10"}, "deadline_s"),
        ({"max_rows": 1.5}, "max_rows"),
        ({"max_rows": True}, "max_rows"),
    ],
)
def test_a_limit_misspelled_stops_the_start(limits: dict[str, Any], named: str) -> None:
    with pytest.raises(Exception, match=named):
        Limits.parse(limits)


def test_an_unknown_durability_stops_the_start(tmp_path: Path) -> None:
    with running(tmp_path, durability="none") as harness:
        assert "durability" in harness.wait_for("failed")["message"]
        assert harness.process.wait(PATIENCE_S) == 2


def test_too_many_connections_of_one_caller(tmp_path: Path) -> None:
    with running(tmp_path, max_connections_per_principal=2) as harness:
        harness.grants.append(harness.grant("bob", "consumer", "fraud"))
        harness.serve()
        with harness.client(harness.alice) as first, harness.client(harness.alice) as second:
            assert first.infer([[1, 2, 3]]).status == 200
            assert second.infer([[1, 2, 3]]).status == 200
            with harness.client(harness.alice) as third:
                response = third.infer([[1, 2, 3]])
                assert response.status == 429
                assert "retry-after" in response.headers
                assert third.ends()
            with harness.client(harness.bob) as other:
                assert other.infer([[1, 2, 3]]).status == 200


def test_too_many_connections_of_all(tmp_path: Path) -> None:
    with running(tmp_path, max_connections=3) as harness:
        harness.serve()
        clients = [harness.client(harness.alice) for _ in range(3)]
        for client in clients:
            assert client.infer([[1, 2, 3]]).status == 200
        with pytest.raises((OSError, EOFError)):
            harness.client(harness.alice)
        clients.pop().socket.close()
        assert wait_until(lambda: _opens(harness))
        for client in clients:
            client.socket.close()


def _opens(harness: Harness) -> bool:
    try:
        with harness.client(harness.alice) as client:
            return client.infer([[1, 2, 3]]).status == 200
    except (OSError, EOFError):
        return False


def wait_until(look: Any) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if look():
            return True
        time.sleep(0.05)
    return False
