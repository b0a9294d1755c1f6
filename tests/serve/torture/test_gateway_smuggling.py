"""Smuggling: what two HTTP implementations could read differently is refused, and the connection closed."""

from collections.abc import Iterator

import pytest

from tests.serve.gateway_harness import Harness, infer_body, running

START = b"POST /v2/models/fraud/infer HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
BODY = infer_body([[1, 2, 3]])
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
AS_CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED = b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n"

HEADS = {
    "length and chunked": START + HOST + LENGTH + CHUNKED + b"\r\n",
    "chunked and length": START + HOST + CHUNKED + LENGTH + b"\r\n",
    "two equal lengths": START + HOST + LENGTH + LENGTH + b"\r\n",
    "two lengths": START + HOST + LENGTH + b"Content-Length: 3\r\n\r\n",
    "length list": START + HOST + b"Content-Length: 70, 70\r\n\r\n",
    "length plus": START + HOST + b"Content-Length: +70\r\n\r\n",
    "length minus": START + HOST + b"Content-Length: -1\r\n\r\n",
    "length hex": START + HOST + b"Content-Length: 0x46\r\n\r\n",
    "length float": START + HOST + b"Content-Length: 70.0\r\n\r\n",
    "length zeros": START + HOST + b"Content-Length: 0070\r\n\r\n",
    "length empty": START + HOST + b"Content-Length:\r\n\r\n",
    "length inner space": START + HOST + b"Content-Length: 7 0\r\n\r\n",
    "length underscore": START + HOST + b"Content-Length: 7_0\r\n\r\n",
    "length beyond 64 bits": START + HOST + b"Content-Length: 18446744073709551617\r\n\r\n",
    "length folded": START + HOST + b"Content-Length:\r\n 70\r\n\r\n",
    "length tab fold": START + HOST + b"X: a\r\n\tContent-Length: 70\r\n\r\n",
    "space before colon": START + HOST + b"Content-Length : 70\r\n\r\n",
    "tab before colon": START + HOST + b"Transfer-Encoding\t: chunked\r\n\r\n",
    "space before name": START + b" Host: localhost\r\n" + LENGTH + b"\r\n",
    "fold first": START + b" X: y\r\n" + HOST + LENGTH + b"\r\n",
    "no colon": START + HOST + b"Content-Length 70\r\n\r\n",
    "no name": START + HOST + b": 70\r\n" + LENGTH + b"\r\n",
    "chunked twice": START + HOST + CHUNKED + CHUNKED + b"\r\n",
    "chunked list": START + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
    "identity, chunked": START + HOST + b"Transfer-Encoding: identity, chunked\r\n\r\n",
    "gzip, chunked": START + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked, identity": START + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n",
    "xchunked": START + HOST + b"Transfer-Encoding: xchunked\r\n\r\n",
    "Chunked": START + HOST + b"Transfer-Encoding: Chunked\r\n\r\n",
    "chunked quoted": START + HOST + b'Transfer-Encoding: "chunked"\r\n\r\n',
    "chunked vtab": START + HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    "chunked semicolon": START + HOST + b"Transfer-Encoding: chunked;x=y\r\n\r\n",
    "chunked empty": START + HOST + b"Transfer-Encoding:\r\n\r\n",
    "chunked in a fold": START + HOST + b"Transfer-Encoding:\r\n chunked\r\n\r\n",
    "no host": START + LENGTH + b"\r\n",
    "two hosts": START + HOST + HOST + LENGTH + b"\r\n",
    "host list": START + b"Host: a, b\r\n" + LENGTH + b"\r\n",
    "host with path": START + b"Host: localhost/livez\r\n" + LENGTH + b"\r\n",
    "host with user": START + b"Host: a@localhost\r\n" + LENGTH + b"\r\n",
    "host empty": START + b"Host:\r\n" + LENGTH + b"\r\n",
    "bare line feeds": (START + HOST + LENGTH + b"\r\n").replace(b"\r\n", b"\n"),
    "one bare line feed": START + b"Host: localhost\n" + LENGTH + b"\r\n",
    "bare carriage return": START + b"Host: localhost\rX: y\r\n" + LENGTH + b"\r\n",
    "line feed in value": START + HOST + b"X: a\nTransfer-Encoding: chunked\r\n" + LENGTH + b"\r\n",
    "NUL in value": START + HOST + b"X: a\0b\r\n" + LENGTH + b"\r\n",
    "NUL in name": START + HOST + b"X\0: a\r\n" + LENGTH + b"\r\n",
    "byte above ASCII": START + HOST + b"X: \xc3\xa9\r\n" + LENGTH + b"\r\n",
    "delete": START + HOST + b"X: \x7f\r\n" + LENGTH + b"\r\n",
    "empty line first": b"\r\n" + START + HOST + LENGTH + b"\r\n",
    "space first": b" " + START + HOST + LENGTH + b"\r\n",
    "two spaces": START.replace(b" /", b"  /") + HOST + LENGTH + b"\r\n",
    "tab for space": START.replace(b" /", b"\t/") + HOST + LENGTH + b"\r\n",
    "space at the end": START.replace(b"1.1", b"1.1 ") + HOST + LENGTH + b"\r\n",
    "no version": START.replace(b" HTTP/1.1", b"") + HOST + LENGTH + b"\r\n",
    "version 1.0": START.replace(b"1.1", b"1.0") + HOST + LENGTH + b"\r\n",
    "version 0.9": START.replace(b"1.1", b"0.9") + HOST + LENGTH + b"\r\n",
    "version 2.0": START.replace(b"1.1", b"2.0") + HOST + LENGTH + b"\r\n",
    "version 1.10": START.replace(b"1.1", b"1.10") + HOST + LENGTH + b"\r\n",
    "version http": START.replace(b"HTTP", b"http") + HOST + LENGTH + b"\r\n",
    "method lower case": START.replace(b"POST", b"post") + HOST + LENGTH + b"\r\n",
    "method odd": START.replace(b"POST", b"P@ST") + HOST + LENGTH + b"\r\n",
    "method long": START.replace(b"POST", b"P" * 100) + HOST + LENGTH + b"\r\n",
    "connect": b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute form": START.replace(b"/v2", b"https://localhost/v2") + HOST + LENGTH + b"\r\n",
    "upgrade": START + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n" + LENGTH + b"\r\n",
    "upgrade h2c": START
    + HOST
    + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    + LENGTH
    + b"\r\n",
    "content encoding": START + HOST + b"Content-Encoding: gzip\r\n" + LENGTH + b"\r\n",
    "expectation": START + HOST + b"Expect: 200-ok\r\n" + LENGTH + b"\r\n",
    "no length": START + HOST + b"\r\n",
    "GET with a body": SMUGGLED.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"),
    "GET chunked": SMUGGLED.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "binary length odd": START + HOST + b"Inference-Header-Content-Length: 1e2\r\n" + LENGTH + b"\r\n",
    "binary length twice": START + HOST + b"Inference-Header-Content-Length: 1\r\n" * 2 + LENGTH + b"\r\n",
    "65 headers": START + HOST + LENGTH + b"X: y\r\n" * 65 + b"\r\n",
    "head too large": START + HOST + LENGTH + b"X: " + b"y" * 20_000 + b"\r\n\r\n",
    "name too long": START + HOST + LENGTH + b"X" * 80 + b": y\r\n\r\n",
    "length too large": START + HOST + b"Content-Length: 99999999999\r\n\r\n",
}

CHUNKS = {
    "size empty": b"\r\n\r\n",
    "size negative": b"-1\r\n",
    "size 0x": b"0x46\r\n",
    "size space": b" 46\r\n",
    "size space behind": b"46 \r\n",
    "size plus": b"+46\r\n",
    "size underscore": b"4_6\r\n",
    "size overflow": b"FFFFFFFFFFFFFFFFF\r\n",
    "size huge": b"FFFFFFFF\r\n",
    "size letters": b"zz\r\n",
    "extension": b"46;a=b\r\n" + BODY + b"\r\n0\r\n\r\n",
    "extension, line feed": b"46;\n" + BODY + b"\r\n0\r\n\r\n",
    "bare line feed": b"46\n" + BODY + b"\r\n0\r\n\r\n",
    "bare carriage return": b"46\r" + BODY + b"\r\n0\r\n\r\n",
    "data too long": b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "data without end": b"46\r\n" + BODY + b"0\r\n\r\n",
    "data ends with line feed": b"46\r\n" + BODY + b"\n0\r\n\r\n",
    "trailer": AS_CHUNK[:-2] + b"Content-Length: 3\r\n\r\n",
    "trailer smuggles": AS_CHUNK[:-2] + SMUGGLED,
    "end with line feed": AS_CHUNK[:-4] + b"\n\n",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with running(tmp_path_factory.mktemp("gateway")) as harness:
        yield harness.serve()


def is_refused_and_closed(harness: Harness, data: bytes) -> bool:
    """Whether the only answer to ``data`` is one refusal, and nothing behind it is taken for a request."""
    with harness.client(harness.alice) as client:
        client.send(data)
        response = client.receive()
        assert 400 <= response.status < 500 or response.status == 505, response
        assert response.headers["connection"] == "close"
        return client.ends()


@pytest.mark.parametrize("attack", HEADS)
def test_ambiguous_heads(gateway: Harness, attack: str) -> None:
    assert is_refused_and_closed(gateway, HEADS[attack] + BODY + SMUGGLED)


@pytest.mark.parametrize("attack", CHUNKS)
def test_ambiguous_chunks(gateway: Harness, attack: str) -> None:
    assert is_refused_and_closed(gateway, START + HOST + CHUNKED + b"\r\n" + CHUNKS[attack] + SMUGGLED)


def test_what_was_sent_before_an_attack_is_answered(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        good = START + HOST + LENGTH + b"\r\n" + BODY
        client.send(good + good + HEADS["length and chunked"] + BODY + SMUGGLED)
        assert [client.receive().status for _ in range(3)] == [200, 200, 400]
        assert client.ends()


def test_nothing_is_read_behind_a_request_that_closes(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        client.send(START + HOST + b"Connection: close\r\n" + LENGTH + b"\r\n" + BODY + SMUGGLED)
        response = client.receive()
        assert response.status == 200
        assert response.headers["connection"] == "close"
        assert client.ends()


def test_a_chunked_body_is_bounded_while_it_arrives(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        client.send(START + HOST + CHUNKED + b"\r\n")
        chunk = b"100000\r\n" + bytes(2**20) + b"\r\n"
        for _ in range(16):
            client.send(chunk)
        client.send(b"1\r\n")
        assert client.receive().status == 413
        assert client.ends()


def test_very_many_tiny_chunks_are_refused(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        client.send(START + HOST + CHUNKED + b"\r\n" + b"1\r\n \r\n" * 5000)
        assert client.receive().status == 413


def test_a_stranger_cannot_make_us_keep_a_body(gateway: Harness) -> None:
    for framing in (b"Content-Length: 1000000\r\n", CHUNKED):
        with gateway.client() as client:
            client.send(START + HOST + framing + b"\r\n")
            assert client.receive().status == 401


def test_an_oversized_body_is_refused_before_it_is_sent(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        client.send(START + HOST + b"Content-Length: 16777217\r\nExpect: 100-continue\r\n\r\n")
        assert client.receive().status == 413
        assert client.ends()


def test_the_gateway_still_serves(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        assert client.infer([[1, 2, 3]]).status == 200
