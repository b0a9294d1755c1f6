"""The record layer under a client that keeps to no rule once its handshake is done, or before it."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serve.gateway_harness import Harness, build_request, infer_body, running
from tests.serve.tls_forger import ALERT, CLOSE_NOTIFY, DATA, HANDSHAKE, Forger

ASK = build_request("GET", "/v2")
INFER = build_request("POST", "/v2/models/fraud/infer", infer_body([[1, 2, 3]]))
Forge = Callable[[], Forger]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with running(tmp_path_factory.mktemp("gateway")) as harness:
        yield harness.serve()


@pytest.fixture
def forge(gateway: Harness, tmp_path: Path) -> Iterator[Forge]:
    forgers: list[Forger] = []

    def make() -> Forger:
        forgers.append(Forger(gateway.port, gateway.authority, gateway.alice, tmp_path))
        return forgers[-1]

    yield make
    for forger in forgers:
        forger.close()
    with gateway.client(gateway.alice) as client:
        assert client.infer([[1, 2, 3]]).status == 200


def test_the_forger_is_understood(forge: Forge) -> None:
    forger = forge()
    forger.send(forger.record(DATA, ASK, padding=100))
    assert forger.read().startswith(b"HTTP/1.1 200 ")


def test_a_request_across_key_updates_and_empty_records(forge: Forge) -> None:
    forger = forge()
    data = b""
    for start in range(0, len(INFER), 10):
        data += forger.key_update(ask=start % 20 == 0) + forger.record(DATA, b"")
        data += forger.record(DATA, INFER[start : start + 10])
    forger.send(data)
    assert forger.read().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("ask", [False, True])
def test_a_flood_of_key_updates_is_cut_off(gateway: Harness, forge: Forge, ask: bool) -> None:
    forger = forge()
    flood = b"".join(forger.key_update(ask=ask) for _ in range(5_000))
    before = gateway.cpu_s
    with pytest.raises(OSError):
        for _ in range(100):
            forger.send(flood)
            time.sleep(0.02)
    assert gateway.cpu_s - before < 0.5


def test_a_flood_of_records_without_data_is_cut_off(forge: Forge) -> None:
    forger = forge()
    flood = b"".join(forger.record(DATA, b"", padding=padding % 300) for padding in range(2_000))
    with pytest.raises(OSError):
        for _ in range(100):
            forger.send(flood)
            time.sleep(0.02)


def test_the_largest_records_are_read_in_any_pieces(forge: Forge) -> None:
    body = infer_body([[1, 2, 3]])
    body += b" " * (100_000 - len(body))
    request = build_request("POST", "/v2/models/fraud/infer", body)
    forger = forge()
    data = b"".join(
        forger.record(DATA, request[start : start + 2**14]) for start in range(0, len(request), 2**14)
    )
    for start in range(0, len(data), 4099):
        forger.send(data[start : start + 4099])
    assert forger.read().startswith(b"HTTP/1.1 200 ")


VIOLATIONS = {
    "wrong tag": lambda forger: forger.record(DATA, ASK)[:-1] + b"\0",
    "no content type": lambda forger: forger.sealed(bytes(100)),
    "nothing at all": lambda forger: forger.sealed(b""),
    "too much inside": lambda forger: forger.sealed(bytes(2**14 + 1) + b"\x17"),
    "longer than any record": lambda forger: b"\x17\x03\x03\xff\xff" + bytes(0xFFFF),
    "too short to be sealed": lambda forger: b"\x17\x03\x03\0\x10" + bytes(16),
    "of an old version": lambda forger: b"\x17\x02\0" + forger.record(DATA, ASK)[3:],
    "not encrypted": lambda forger: b"\x17\x03\x03\0\x05hello",
    "plain alert": lambda forger: b"\x15\x03\x03\0\x02\x02\x28",
    "plain HTTP": lambda forger: b"GET / HTTP/1.1\r\n\r\n",
    "another hello": lambda forger: forger.record(HANDSHAKE, b"\x01\0\0\x02\x03\x03"),
    "a certificate unasked": lambda forger: forger.record(HANDSHAKE, b"\x0b\0\0\x04\0\0\0\0"),
    "half a key update, then data": lambda forger: (
        forger.record(HANDSHAKE, b"\x18\0\0") + forger.record(DATA, ASK)
    ),
    "a key update of no kind": lambda forger: forger.record(HANDSHAKE, b"\x18\0\0\x01\x02"),
    "a key update too long": lambda forger: forger.record(HANDSHAKE, b"\x18\0\0\x02\0\0"),
    "a key update and more": lambda forger: forger.record(HANDSHAKE, b"\x18\0\0\x01\0" * 2),
    "an empty handshake": lambda forger: forger.record(HANDSHAKE, b""),
    "an alert of no kind": lambda forger: forger.record(ALERT, b"\x03\xff"),
    "two alerts": lambda forger: forger.record(ALERT, b"\x02\x28\x02\x28"),
    "a fatal alert": lambda forger: forger.record(ALERT, b"\x02\x28"),
    "a content of no kind": lambda forger: forger.record(99, b"hello"),
    "a change of cipher": lambda forger: b"\x14\x03\x03\0\x01\x01" + forger.record(DATA, ASK),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_ends_the_connection_unanswered(forge: Forge, violation: str) -> None:
    forger = forge()
    forger.send(VIOLATIONS[violation](forger))
    assert forger.ends()


@pytest.mark.parametrize("violation", ["wrong tag", "another hello", "a fatal alert"])
def test_a_violation_behind_a_request_in_flight_harms_nobody_else(
    gateway: Harness, forge: Forge, violation: str
) -> None:
    """The answer finds a session that can write no more; those that leave with it must not stay behind."""
    for _ in range(5):
        forger = forge()
        request = b"".join(forger.record(DATA, INFER) for _ in range(8))
        forger.send(request + VIOLATIONS[violation](forger))
        with gateway.client(gateway.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200


def test_what_comes_after_a_goodbye_is_not_read(forge: Forge, gateway: Harness) -> None:
    before = len(gateway.records())
    forger = forge()
    forger.send(forger.record(ALERT, CLOSE_NOTIFY) + forger.record(DATA, ASK))
    assert forger.ends()
    assert len(gateway.records()) == before


def test_half_a_goodbye_of_the_socket_ends_the_connection(forge: Forge) -> None:
    forger = forge()
    forger.socket.shutdown(socket.SHUT_WR)
    assert forger.ends()


GREETINGS = {
    "nothing but a record head": b"\x16\x03\x01\x40\x00",
    "plain HTTP": ASK,
    "an old hello": bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0")
    + bytes(32),
    "an alert": b"\x15\x03\x01\0\x02\x02\x28",
    "data": b"\x17\x03\x03\0\x20" + bytes(32),
    "a change of cipher": b"\x14\x03\x03\0\x01\x01",
    "a hello cut short": b"\x16\x03\x01\0\x08\x01\0\0\x04\x03\x03\0\0",
    "a hello of 16 MiB": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(2**14 - 4),
    "zeros": bytes(200_000),
    "empty records": b"\x16\x03\x01\0\0" * 1000,
}


@pytest.mark.parametrize("greeting", GREETINGS)
def test_what_is_no_hello_is_refused_and_leaves_nothing(tmp_path: Path, greeting: str) -> None:
    with running(tmp_path, handshake_timeout_s=1.0) as harness:
        harness.serve()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200
        descriptors = harness.descriptors
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", harness.port), timeout=20) as plain:
                plain.sendall(GREETINGS[greeting])
                try:
                    while plain.recv(4096):
                        pass
                except ConnectionError:
                    pass
        end = time.monotonic() + 20
        while harness.descriptors > descriptors and time.monotonic() < end:
            time.sleep(0.1)
        assert harness.descriptors <= descriptors
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200
