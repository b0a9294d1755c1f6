"""Hoarders: whoever holds connections, memory or the loop's time without paying for it keeps nobody out."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from strongroom.guard.schema import Schema
from tests.serve.gateway_harness import FRAUD, Client, Harness, infer_body, running

INFER = "/v2/models/fraud/infer"
LARGE = b"POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n"
MEDIUM = b"POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


def is_served(harness: Harness) -> bool:
    with harness.client(harness.alice) as client:
        return client.infer([[1, 2, 3]]).status == 200


def close(*clients: Client) -> None:
    for client in clients:
        client.socket.close()


def test_silent_handshakes_do_not_keep_others_out(tmp_path: Path) -> None:
    with running(tmp_path, max_handshakes=10) as harness:
        harness.serve()
        silent = [socket.create_connection(("127.0.0.1", harness.port)) for _ in range(30)]
        assert is_served(harness)
        for connection in silent:
            connection.close()


def test_callers_without_a_certificate_do_not_keep_others_out(tmp_path: Path) -> None:
    with running(tmp_path, max_connections=12, max_unknown_connections=3) as harness:
        harness.serve()
        unknown = [harness.client() for _ in range(30)]
        assert is_served(harness)
        with harness.client() as probe:
            assert probe.ask("GET", "/livez").status == 200
        assert unknown[0].ends()
        close(*unknown)


def test_the_places_of_unknown_callers_are_fewer_than_all(tmp_path: Path) -> None:
    with running(tmp_path, max_connections=12) as harness:
        harness.serve()
        unknown = [harness.client() for _ in range(13)]
        assert is_served(harness)
        close(*unknown)


def test_a_revoked_identity_has_no_more_places_than_an_unknown_caller(tmp_path: Path) -> None:
    with running(tmp_path, max_connections=12, max_unknown_connections=3) as harness:
        harness.identities[1] = harness.identity("bob", harness.bob, revoked=True)
        harness.serve()
        revoked = [harness.client(harness.bob) for _ in range(13)]
        assert is_served(harness)
        close(*revoked)


def test_one_caller_s_silent_connections_do_not_keep_others_out(tmp_path: Path) -> None:
    limits = {"max_connections": 12, "max_connections_per_principal": 4, "linger_s": 30.0}
    with running(tmp_path, **limits) as harness:
        harness.serve()
        many = [harness.client(harness.bob) for _ in range(20)]
        assert is_served(harness)
        assert many[-1].receive().status == 429
        assert many[0].ask("GET", "/v2").status == 200
        close(*many)


def test_announced_bodies_of_one_caller_leave_room_for_others(tmp_path: Path) -> None:
    limits = {
        "max_body_bytes": 2**20,
        "max_buffered_bytes": 4 * 2**20,
        "max_buffered_bytes_per_principal": 2 * 2**20,
    }
    with running(tmp_path, **limits) as harness:
        harness.serve()
        greedy = [harness.client(harness.bob) for _ in range(4)]
        for client in greedy:
            client.send(LARGE + b" ")
        with ThreadPoolExecutor() as pool:  # which two of the four come first is the kernel's choice
            answers = as_completed([pool.submit(client.receive) for client in greedy])
            assert [next(answers).result().status for _ in range(2)] == [503, 503]
            body = infer_body([[1, 2, 3]])
            with harness.client(harness.alice) as client:
                client.send(MEDIUM)
                client.send(body + b" " * (100_000 - len(body)))
                assert client.receive().status == 200
        close(*greedy)


def test_room_is_given_back_however_a_request_ends(tmp_path: Path) -> None:
    limits = {"max_buffered_bytes_per_principal": 250_000, "max_body_bytes": 100_000, "body_timeout_s": 1.0}
    with running(tmp_path, **limits) as harness:
        harness.serve()
        body = infer_body([[1, 2, 3]])
        for ending in ("answered", "left", "timed out", "refused") * 2:
            with harness.client(harness.alice) as client:
                client.send(MEDIUM)
                match ending:
                    case "answered":
                        client.send(body + b" " * (100_000 - len(body)))
                        assert client.receive().status == 200
                    case "refused":
                        client.send(b" " * 100_000)
                        assert client.receive().status == 400
                    case "timed out":
                        assert client.receive().status == 408
        assert is_served(harness)


def test_a_revoked_identity_cannot_make_us_keep_a_body(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        with harness.client(harness.bob) as client:
            assert client.ask("GET", "/v2").status == 200
            harness.identities[1] = harness.identity("bob", harness.bob, revoked=True)
            harness.push_snapshot()
            time.sleep(0.3)
            client.send(LARGE)
            assert client.receive().status == 401
            assert client.ends()


def test_a_body_in_tiny_records_takes_no_more_memory_than_its_bytes(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200
            before = harness.memory_bytes
            client.send(LARGE)
            for _ in range(60_000):
                client.socket.send(b"  ")
            time.sleep(0.5)
            assert harness.memory_bytes < before + 3 * 2**20


def test_a_head_that_comes_byte_by_byte_costs_its_length_and_not_the_square_of_it(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        with harness.client() as client:
            client.send(b"GET /livez HTTP/1.1\r\nHost: a\r\nX: ")
            before = harness.cpu_s
            for _ in range(15_000):
                client.socket.send(b"y")
            client.send(b"\r\n\r\n")
            assert client.receive().status == 200
            assert harness.cpu_s - before < 0.6  # 0.1 s here, 0.9 s if each byte has all before it looked at


def test_large_json_is_refused_before_it_is_read_and_binary_data_is_not(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        head = "POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n"
        for more, status in (("", 413), ("Inference-Header-Content-Length: 4194305\r\n", 413)):
            with harness.client(harness.alice) as client:
                client.send((head % (5 * 2**20, more)).encode())
                response = client.receive()
                assert (response.status, b"JSON" in response.body) == (status, True)
        with harness.client(harness.alice) as client:
            client.send(
                b"POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            client.send(b"400001\r\n")
            assert client.receive().status == 413
        with harness.client(harness.alice) as client:
            client.send((head % (5 * 2**20, "Inference-Header-Content-Length: 2\r\n")).encode())
            client.send(b"{}" + bytes(5 * 2**20 - 2))
            assert client.receive().status == 400


def test_json_of_very_many_values_is_refused_unparsed(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.models = [
            harness.model(
                FRAUD,
                Schema.auto(
                    [{"name": "x", "dtype": "FP32", "shape": [-1, -1]}],
                    [{"name": "y", "dtype": "FP32", "shape": [-1]}],
                ),
            )
        ]
        harness.serve(lambda batch: {"y": batch.inputs["x"].sum(axis=1)})
        for data in (b"[" + b"1," * 300_000 + b"1]", b"[[]" * 150_000, b"[" + b"{}," * 150_000 + b"{}]"):
            body = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,300001],"data":' + data + b"}]}"
            with harness.client(harness.alice) as client:
                response = client.ask("POST", INFER, body)
                assert (response.status, b"values" in response.body) == (400, True)
