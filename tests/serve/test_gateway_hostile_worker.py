"""A worker in the hands of its model: whatever it sends, the gateway goes on serving the others."""

import asyncio
import socket
import struct
import time
from pathlib import Path

import numpy as np
import orjson
import pytest

from strongroom.guard.schema import Schema
from strongroom.serve import control
from strongroom.serve.frames import encode_answer, encode_batch, encode_failure
from strongroom.serve.gateway import link
from strongroom.serve.gateway.exchange import Exchange
from strongroom.serve.gateway.limits import Limits
from strongroom.serve.gateway.link import Link, Outcomes
from strongroom.serve.gateway.snapshot import ServedModel
from tests.serve.gateway_harness import FRAUD, Harness, build_request, infer_body, running

OTHER = "other@1.0.0"
WORDS = Schema.auto(
    [{"name": "x", "dtype": "FP32", "shape": [-1, 3]}],
    [{"name": "y", "dtype": "BYTES", "shape": [-1]}],
)


def flat(buffers: object) -> bytes:
    return b"".join(bytes(each) for each in buffers)  # type: ignore[attr-defined]


def strings(count: int) -> bytes:
    """An answer that says it holds so many empty strings, and does."""
    data = count * 4
    table = struct.pack("<BBHI", 14, 1, 1, data) + struct.pack("<I", count) + b"y"
    end = 24 + len(table)
    begin = end + -end % 16
    size = begin + data + -data % 16
    head = struct.pack("<IBBHIIQ", size, 1, 2, 1, end, 0, 1)
    return (head + table).ljust(begin, b"\0") + bytes(size - begin)


ANSWER = flat(encode_answer(1, [("y", np.array([b"a"], object))]))
LIES = {
    "what it was not asked": flat(encode_answer(99, [("y", np.array([b"a"], object))])),
    "the same twice": ANSWER * 2,
    "a batch": flat(encode_batch(1, 0, [("x", np.zeros((1, 3), np.float32))])),
    "a failure it was not asked for": flat(encode_failure(7, "invalid", "x")),
    "no frame": b"HTTP/1.1 200 OK\r\n\r\n",
    "a length of 4 GiB": b"\xf0\xff\xff\xff" + bytes(100),
    "an answer of 100 MiB": struct.pack("<I", 100 * 2**20) + bytes(100),
    "millions of strings": strings(8 * 2**20),
    "strings in plenty": strings(2**16 + 1),
    "half a frame, then nothing": ANSWER[:-1],
    "its end": b"",
}


class RawWorker:
    """The worker's end of a data channel; says what the test wants it to."""

    def __init__(self, harness: Harness, model: str) -> None:
        self.channel, theirs = socket.socketpair()
        digest = next(known["digest"] for known in harness.models if known["model"] == model)
        with theirs:
            message = {"kind": "worker", "model": model, "digest": digest}
            control.send(harness.channel, message, [theirs.fileno()])


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_costs_the_worker_its_channel_and_nobody_else_anything(tmp_path: Path, lie: str) -> None:
    with running(tmp_path, deadline_s=2.0) as harness:
        harness.models += [harness.model(OTHER, WORDS)]
        harness.grants.append(harness.grant("alice", "consumer", "other"))
        harness.push_snapshot()
        harness.attach(model=FRAUD)
        worker = RawWorker(harness, OTHER)
        harness.wait_for("ready")
        with harness.client(harness.alice) as asking, harness.client(harness.alice) as good:
            asking.send(build_request("POST", "/v2/models/other/infer", infer_body([[1, 2, 3]])))
            assert worker.channel.recv(65536)
            before = harness.cpu_s
            worker.channel.settimeout(5)
            try:
                if LIES[lie]:
                    worker.channel.sendall(LIES[lie])
                else:
                    worker.channel.close()
            except OSError:
                pass  # it was cut off before it had said everything
            assert good.infer([[1, 2, 3]]).status == 200
            assert asking.receive().status == (200 if lie == "the same twice" else 503)
            assert harness.cpu_s - before < 1.0
            message = harness.wait_for("worker-stuck" if "half" in lie else "worker-lost")
            assert message["model"] == OTHER
            assert good.infer([[1, 2, 3]]).status == 200
        worker.channel.close()


def test_a_worker_that_reads_nothing_is_stuck_and_holds_little(tmp_path: Path) -> None:
    with running(tmp_path, deadline_s=1.0) as harness:
        harness.push_snapshot()
        worker = RawWorker(harness, FRAUD)
        harness.wait_for("ready")
        with harness.client(harness.alice) as client:
            client.send(build_request("POST", "/v2/models/fraud/infer", infer_body([[1, 2, 3]] * 4096)) * 4)
            assert [client.receive().status for _ in range(4)] == [503] * 4
        assert harness.wait_for("worker-stuck")["model"] == FRAUD
        worker.channel.close()


def test_a_batch_is_bounded_in_bytes_as_well_as_in_rows(tmp_path: Path) -> None:
    """Else a few large requests together make a frame that no worker takes, and it is gone for all."""
    schema = Schema.auto(
        [{"name": "x", "dtype": "FP32", "shape": [-1, 2_000_000]}],
        [{"name": "y", "dtype": "FP32", "shape": [-1]}],
    )
    with running(tmp_path, max_batches=1) as harness:
        harness.models = [harness.model(FRAUD, schema)]
        sizes: list[int] = []

        def add(batch: object) -> dict[str, object]:
            x = batch.inputs["x"]  # type: ignore[attr-defined]
            sizes.append(x.nbytes)
            time.sleep(0.5)
            return {"y": x[:, 0].copy()}

        harness.serve(add)
        described = (
            b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2000000],'
            b'"parameters":{"binary_data_size":8000000}}]}'
        )
        request = build_request(
            "POST",
            "/v2/models/fraud/infer",
            described + bytes(8_000_000),
            inference_header_content_length=str(len(described)),
        )
        clients = [harness.client(harness.alice) for _ in range(7)]
        for client in clients:
            client.send(request)
        assert [client.receive().status for client in clients] == [200] * 7
        assert max(sizes) <= 32 * 2**20
        assert len(sizes) < 7
        for client in clients:
            client.socket.close()


def test_strings_of_several_callers_are_joined_only_as_far_as_a_frame_takes_them(tmp_path: Path) -> None:
    schema = Schema.auto(
        [{"name": "x", "dtype": "BYTES", "shape": [-1, 40_000]}],
        [{"name": "y", "dtype": "INT64", "shape": [-1]}],
    )
    with running(tmp_path, max_batches=1) as harness:
        harness.models = [harness.model(FRAUD, schema)]

        def count(batch: object) -> dict[str, object]:
            x = batch.inputs["x"]  # type: ignore[attr-defined]
            time.sleep(0.5)
            return {"y": np.full(len(x), x.size // len(x))}

        harness.serve(count)
        tensor = {"name": "x", "shape": [1, 40_000], "datatype": "BYTES", "data": ["a"] * 40_000}
        request = build_request("POST", "/v2/models/fraud/infer", orjson.dumps({"inputs": [tensor]}))
        clients = [harness.client(harness.alice) for _ in range(4)]
        for client in clients:
            client.send(request)
        assert [client.receive().status for client in clients] == [200] * 4
        for client in clients:
            client.socket.close()


class Quiet:
    """A caller who is still there."""

    is_lost = False


def test_a_fault_while_a_batch_is_sent_is_told_to_its_callers_and_frees_their_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.new_event_loop()
    settled: list[Exchange] = []
    faults: list[Exception] = []
    schema = Schema.auto(
        [{"name": "x", "dtype": "FP32", "shape": [-1, 3]}], [{"name": "y", "dtype": "FP32", "shape": [-1]}]
    )
    model = ServedModel(FRAUD, "fraud", "1.2.0", "sha256:" + "0" * 64, schema)
    outcomes = Outcomes(settled.append, lambda model: None, lambda model: None, faults.append)
    one = Link(model, Limits(queue_limit_per_principal=2), loop, outcomes)
    ours, theirs = socket.socketpair()
    one.attach(theirs.detach())

    def fail(*arguments: object) -> list[bytes]:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(link, "encode_batch", fail)
        for _ in range(3):
            exchanges = [Exchange(Quiet(), None, b"", keep_alive=True) for _ in range(2)]  # type: ignore[arg-type]
            for exchange in exchanges:
                exchange.principal = "alice"
                exchange.request = one.protocol.parse(infer_body([[1, 2, 3]]), None)
                one.offer(exchange)
            one.pump()
            assert [exchange.status for exchange in exchanges] == [503, 503]
    assert (len(settled), len(faults), one.is_busy) == (6, 3, False)
    one.close()
    ours.close()
    loop.close()


def test_an_answer_too_large_for_json_needs_the_binary_form(tmp_path: Path) -> None:
    schema = Schema.auto(
        [{"name": "x", "dtype": "FP32", "shape": [-1, 3]}],
        [{"name": "y", "dtype": "FP32", "shape": [-1, -1]}],
    )
    with running(tmp_path) as harness:
        harness.models = [harness.model(FRAUD, schema)]
        harness.serve(lambda batch: {"y": np.zeros((len(batch.inputs["x"]), 2**21), np.float32)})
        with harness.client(harness.alice) as client:
            answer = client.infer([[1, 2, 3]])
            assert (answer.status, b"binary" in answer.body) == (400, True)
            client.send(
                build_request(
                    "POST",
                    "/v2/models/fraud/infer",
                    infer_body([[1, 2, 3]], parameters={"binary_data_output": True}),
                )
            )
            assert len(client.receive().body) > 2**23


def test_tensor_names_are_bounded_as_they_travel() -> None:
    value = WORDS.to_dict()
    value["inputs"][0]["name"] = "\u4e00" * 86  # 258 bytes in 86 characters
    with pytest.raises(Exception, match="bytes of printable"):
        Schema.parse(value)
