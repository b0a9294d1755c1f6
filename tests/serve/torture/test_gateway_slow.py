"""Slow callers: hundreds who never finish hold nothing for long, and good ones are served meanwhile."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serve.gateway_harness import PATIENCE_S, Client, Harness, build_request, infer_body, running

SLOW = 200
TIMEOUTS = {
    "header_timeout_s": 2.0,
    "body_timeout_s": 2.0,
    "idle_timeout_s": 3.0,
    "handshake_timeout_s": 2.0,
    "write_timeout_s": 2.0,
    "max_handshakes": 1000,
}
REQUEST = build_request("POST", "/v2/models/fraud/infer", infer_body([[1, 2, 3]]))
HEAD = REQUEST[: REQUEST.index(b"\r\n\r\n") + 4]


def drip(client: Client, data: bytes) -> None:
    """Send a byte now and then until the server has had enough."""
    with contextlib.suppress(OSError):
        for byte in data:
            client.send(bytes([byte]))
            time.sleep(0.25)


@pytest.mark.slow
def test_slow_heads_and_bodies_while_good_callers_are_served(tmp_path: Path) -> None:
    with running(tmp_path, **TIMEOUTS) as harness:
        harness.serve()
        descriptors = harness.descriptors
        clients = [harness.client(harness.alice) for _ in range(SLOW)]
        for number, client in enumerate(clients):
            client.send(HEAD[:20] if number % 2 else HEAD + b'{"inputs":')
        drippers = [
            threading.Thread(
                target=drip, args=(client, REQUEST[20:] if number % 2 else b" " * 200), daemon=True
            )
            for number, client in enumerate(clients)
        ]
        for thread in drippers:
            thread.start()
        with harness.client(harness.bob) as other:
            end = time.monotonic() + 6
            answered = 0
            while time.monotonic() < end:
                assert other.ask("GET", "/v2").status == 200
                answered += 1
        assert answered > 50
        for thread in drippers:
            thread.join(PATIENCE_S)
        for client in clients:
            assert "408" in first_line(client)
            client.socket.close()
        assert eventually_at_most(lambda: harness.descriptors, descriptors + 2)
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200


def first_line(client: Client) -> str:
    try:
        return str(client.receive().status)
    except (EOFError, OSError):
        return "408, cut off"


@pytest.mark.slow
def test_handshakes_that_never_end_are_cut(tmp_path: Path) -> None:
    with running(tmp_path, **TIMEOUTS) as harness:
        harness.serve()
        descriptors = harness.descriptors
        silent = [socket.create_connection(("127.0.0.1", harness.port)) for _ in range(SLOW)]
        for number, connection in enumerate(silent):
            if number % 2:
                connection.sendall(b"\x16\x03\x01\x02\x00\x01")
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200
        for connection in silent:
            connection.settimeout(PATIENCE_S)
            with contextlib.suppress(ConnectionError):
                while connection.recv(4096):
                    pass
            connection.close()
        assert eventually_at_most(lambda: harness.descriptors, descriptors + 2)


def test_too_many_handshakes_at_once_are_closed_unheard(tmp_path: Path) -> None:
    with running(tmp_path, max_handshakes=5, handshake_timeout_s=1.0) as harness:
        harness.serve()
        silent = [socket.create_connection(("127.0.0.1", harness.port)) for _ in range(20)]
        time.sleep(0.5)
        closed = 0
        for connection in silent:
            connection.settimeout(0.05)
            try:
                closed += connection.recv(1) == b""
            except TimeoutError:
                pass
            except ConnectionError:
                closed += 1
        assert closed >= 15
        time.sleep(1.5)
        for connection in silent:
            connection.close()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200


def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    with running(tmp_path, idle_timeout_s=1.0) as harness:
        harness.serve()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200
            assert client.ends()


def test_one_who_sends_and_never_reads_is_cut_off(tmp_path: Path) -> None:
    with running(tmp_path, write_timeout_s=1.0, max_write_bytes=65536) as harness:
        harness.serve()
        with harness.client(harness.alice) as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.socket.settimeout(PATIENCE_S)
            request = build_request("POST", "/v2/models/fraud/infer", infer_body([[1, 2, 3]] * 1000))
            with pytest.raises(OSError, match=r".*"):
                for _ in range(5000):
                    client.send(request)
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200
            memory = harness.memory_bytes
        assert memory < 500 * 2**20


def test_bodies_of_all_callers_together_are_bounded(tmp_path: Path) -> None:
    with running(tmp_path, max_body_bytes=2**20, max_buffered_bytes=3 * 2**20) as harness:
        harness.serve()
        head = b"POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n"
        clients = [harness.client(harness.alice) for _ in range(5)]
        for client in clients:
            client.send(head + b" ")
            time.sleep(0.1)
        assert [clients[number].receive().status for number in (3, 4)] == [503, 503]
        for client in clients[:3]:
            client.socket.close()
        time.sleep(0.5)
        with harness.client(harness.alice) as client:
            client.send(head + b" " * 2**20)
            assert client.receive().status == 400
        for client in clients:
            client.socket.close()


def eventually_at_most(look: Callable[[], int], most: int) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if look() <= most:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_connections_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        use_and_drop(harness, 100)
        descriptors, memory = harness.descriptors, harness.memory_bytes
        use_and_drop(harness, 400)
        assert eventually_at_most(lambda: harness.descriptors, descriptors + 2)
        assert harness.memory_bytes < memory + 20 * 2**20


def use_and_drop(harness: Harness, times: int) -> None:
    for number in range(times):
        with harness.client(harness.alice) as client:
            if number % 3 == 0:
                client.send(HEAD + b"{")
            elif number % 3 == 1:
                client.send(REQUEST * 3)
            else:
                assert client.infer([[1, 2, 3]]).status == 200
