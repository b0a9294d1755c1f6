"""The gateway on arbitrary bytes: its parsers in process, then a real gateway under generated requests."""

import contextlib
import itertools
import random
import threading
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strongroom.errors import InvalidError
from strongroom.guard.schema import Schema
from strongroom.serve.gateway.chunks import ChunkReader
from strongroom.serve.gateway.heads import HeadError, parse_head, require_plausible
from strongroom.serve.gateway.oip import ModelProtocol
from tests.serve.gateway_harness import SCHEMA, Client, Harness, build_request, infer_body, running

GOOD_HEAD = b"POST /v2/models/fraud/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
PROTOCOL = ModelProtocol("fraud", "1.0.0", SCHEMA, 64)
PIECES = [
    b"GET ", b"POST ", b"/", b"/v2/models/fraud/infer", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r",
    b"Host: localhost", b"Host:", b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked",
    b"Connection: close", b"Connection: upgrade", b"Upgrade: h2c", b"Expect: 100-continue", b" ", b"\t", b":",
    b"%2e", b"..", b"//", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b"\xff", b"\0", b"Strongroom-Nonce: a",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=16).map(b"".join))
@example(b"")
def test_any_head_is_taken_or_refused(raw: bytes) -> None:
    with contextlib.suppress(HeadError):
        require_plausible(raw)
    try:
        head = parse_head(raw, 64)
    except HeadError as error:
        assert 400 <= error.status < 500 or error.status == 505
        return
    assert raw.startswith(f"{head.method} {head.target} HTTP/1.1\r\n".encode())
    assert head.length >= -1
    assert b"\0" not in raw


@given(st.integers(0, len(GOOD_HEAD) - 1), st.integers(0, 255))
def test_one_byte_changed_in_a_good_head(position: int, byte: int) -> None:
    changed = GOOD_HEAD[:position] + bytes([byte]) + GOOD_HEAD[position + 1 :]
    try:
        head = parse_head(changed, 64)
    except HeadError:
        return
    # What is still a head frames its body as every other reader of RFC 9112 would.
    names = [line.partition(b":")[0].lower() for line in changed.split(b"\r\n")[1:-2]]
    lengths = [
        line.partition(b":")[2].strip(b" \t")
        for line in changed.split(b"\r\n")[1:-2]
        if b"length" in line.lower()
    ]
    if b"content-length" in names:
        assert [head.length] == [int(length) for length in lengths]
    else:
        assert head.length == 0


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=16).map(b"".join), st.data())
def test_chunks_read_the_same_however_they_are_cut(raw: bytes, data: st.DataObject) -> None:
    whole = read_chunks([raw])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=4)))
    edges = [0, *cuts, len(raw)]
    parts = [raw[start:stop] for start, stop in itertools.pairwise(edges)]
    assert read_chunks(parts) == whole
    assert read_chunks([bytes([byte]) for byte in raw]) == whole


def read_chunks(parts: list[bytes]) -> object:
    """Return status and body, or where it was refused; what lies behind a body is put together again."""
    reader = ChunkReader(64)
    for number, part in enumerate(parts):
        try:
            rest = reader.feed(part)
        except HeadError as error:
            return error.status
        if rest is not None:
            return reader.body(), rest + b"".join(parts[number + 1 :])
    return None


@given(st.binary(max_size=200), st.none() | st.integers(0, 300))
def test_any_body_is_a_request_or_invalid(body: bytes, json_length: int | None) -> None:
    with pytest.raises(InvalidError):
        PROTOCOL.parse(body, json_length)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
FIELD = st.sampled_from(
    ["name", "shape", "datatype", "data", "parameters", "inputs", "outputs", "id", "binary_data_size"]
)
TENSOR = st.fixed_dictionaries(
    {
        "name": st.just("x"),
        "shape": st.just([1, 3]),
        "datatype": st.just("FP32"),
        "data": st.just([1.0, 2.0, 3.0]),
    }
)


@given(
    TENSOR,
    st.dictionaries(FIELD, JSON, max_size=2),
    st.dictionaries(FIELD, JSON, max_size=2),
    st.binary(max_size=16),
)
def test_any_change_of_a_good_body_is_a_request_or_invalid(
    tensor: dict[str, object], inside: dict[str, object], outside: dict[str, object], tail: bytes
) -> None:
    try:
        text = orjson.dumps({"inputs": [tensor | inside]} | outside)
    except TypeError:
        return
    for body, length in ((text, None), (text + tail, len(text))):
        try:
            request = PROTOCOL.parse(body, length)
        except InvalidError as error:
            assert len(error.message) < 400
            continue
        assert request.inputs[0].dtype == np.float32
        assert request.inputs[0].shape == (request.rows, 3)


def test_a_repeated_name_is_found_wherever_it_stands() -> None:
    good = infer_body([[1, 2, 3]], id="a", parameters={"timeout": 5}, outputs=[{"name": "label"}]).decode()
    PROTOCOL.parse(good.encode(), None)
    for name in ("inputs", "name", "shape", "datatype", "data", "id", "parameters", "timeout", "outputs"):
        at = good.index(f'"{name}"')
        twice = f'{good[:at]}"{name}":0,{good[at:]}'
        with pytest.raises(InvalidError):
            PROTOCOL.parse(twice.encode(), None)


def test_strings_may_hold_quotes() -> None:
    schema = Schema.auto(
        [{"name": "t", "dtype": "BYTES", "shape": [-1]}], [{"name": "n", "dtype": "INT64", "shape": [-1]}]
    )
    body = orjson.dumps(
        {"inputs": [{"name": "t", "shape": [2], "datatype": "BYTES", "data": ['"', 'a"b\\']}]}
    )
    request = ModelProtocol("text", "1.0.0", schema, 8).parse(body, None)
    assert request.inputs[0].tolist() == [b'"', b'a"b\\']


# -- a real gateway --------------------------------------------------------------------------------------

REQUESTS = 100_000
WORKERS = 4


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Damage a request as fuzzers do: flip, cut, repeat, insert, or swap in a hostile piece."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(damaged) + 1)
        match rng.randrange(5):
            case 0:
                damaged[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del damaged[at : at + rng.randrange(20)]
            case 2:
                damaged[at:at] = damaged[at : at + rng.randrange(40)]
            case 3:
                damaged[at:at] = rng.choice(PIECES)
            case _:
                damaged[at:at] = rng.choice(
                    [b"-1", b"1e999", b"NaN", b"[" * 50, b'"name":"x",', b"9" * 25, b"{}", b"\\"]
                )
        if not damaged:
            damaged += b"\r\n\r\n"
    return bytes(damaged)


def generate(rng: random.Random) -> bytes:
    """A request that is mostly broken in its body, sometimes in its head."""
    body = infer_body([[rng.random()] * 3] * rng.randint(1, 4))
    if rng.random() < 0.95:
        target = rng.choice(
            ["/v2/models/fraud/infer", "/v2/models/fraud/versions/1.2.0/infer", "/v2/models/no/infer"]
        )
        extra = {"inference_header_content_length": str(rng.randrange(200))} if rng.random() < 0.2 else {}
        return build_request("POST", target, mutate(rng, body), **extra)
    return mutate(rng, build_request("POST", "/v2/models/fraud/infer", body))


class Attacker(threading.Thread):
    """Pipelines generated requests over connection after connection and counts what comes back."""

    def __init__(self, harness: Harness, seed: int, requests: int) -> None:
        super().__init__(daemon=True)
        self.harness = harness
        self.rng = random.Random(seed)
        self.left = requests
        self.statuses: dict[int, int] = {}
        self.start()

    def run(self) -> None:
        while self.left > 0:
            with contextlib.suppress(OSError, EOFError), self.harness.client(self.harness.alice) as client:
                client.socket.settimeout(10)
                self._attack(client)

    def _attack(self, client: Client) -> None:
        while self.left > 0:
            batch = [generate(self.rng) for _ in range(8)]
            self.left -= len(batch)
            client.send(b"".join(batch))
            for _ in batch:
                response = client.receive()
                self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
                if response.headers.get("connection") == "close":
                    return


@pytest.mark.slow
def test_a_hundred_thousand_broken_requests(tmp_path: Path) -> None:
    """No 5xx, no crash, no leak; a connection that waits for more bytes ends by its own deadline."""
    with running(tmp_path, header_timeout_s=0.5, body_timeout_s=0.5) as harness:
        harness.serve()
        attack(harness, REQUESTS // 10)
        descriptors, memory = harness.descriptors, harness.memory_bytes
        statuses = attack(harness, REQUESTS)
        assert harness.process.poll() is None
        assert not [status for status in statuses if status >= 500 and status != 505], statuses
        assert statuses[400] > REQUESTS // 20
        assert harness.descriptors <= descriptors + WORKERS + 2
        assert harness.memory_bytes < memory + 64 * 2**20
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200
        assert harness.records()


def attack(harness: Harness, requests: int) -> dict[int, int]:
    attackers = [Attacker(harness, seed, requests // WORKERS) for seed in range(WORKERS)]
    total: dict[int, int] = {}
    for attacker in attackers:
        attacker.join()
        for status, count in attacker.statuses.items():
            total[status] = total.get(status, 0) + count
    return total
