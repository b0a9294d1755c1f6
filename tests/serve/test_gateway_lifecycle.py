"""Start, renewal of the certificate, drain, and the end of the supervisor."""

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from strongroom.serve import control
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
