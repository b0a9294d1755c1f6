"""Inference over real TLS: the protocol's JSON and binary forms, batching, and what callers are told."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from strongroom.guard.schema import Schema
from strongroom.serve.frames import Batch
from tests.serve.gateway_harness import (
    FRAUD,
    EngineError,
    Harness,
    Outputs,
    WorkerDiedError,
    build_request,
    infer_body,
    running,
    score,
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with running(tmp_path_factory.mktemp("gateway")) as harness:
        yield harness.serve()


def test_one_row(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        response = client.infer([[1, 2, 3]])
    assert response.status == 200, response
    assert response.headers["content-type"] == "application/json"
    assert response.json == {
        "model_name": "fraud",
        "model_version": "1.2.0",
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [1], "data": [1]},
            {"name": "score", "datatype": "FP32", "shape": [1, 2], "data": [6.0, -6.0]},
        ],
    }


def test_rows_version_id_and_chosen_outputs(gateway: Harness) -> None:
    body = infer_body([[1, 2, 3], [-1, -2, -3]], id='a "b"\n', outputs=[{"name": "label"}])
    with gateway.client(gateway.alice) as client:
        response = client.ask("POST", "/v2/models/fraud/versions/1.2.0/infer", body)
    assert response.json["id"] == 'a "b"\n'
    assert response.json["outputs"] == [{"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 0]}]


def test_binary_tensors_in_both_directions(gateway: Harness) -> None:
    raw = np.array([[1, 2, 3], [4, 5, 6]], np.float32).tobytes()
    head = orjson.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": [2, 3],
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": len(raw)},
                }
            ],
            "outputs": [
                {"name": "score", "parameters": {"binary_data": True}},
                {"name": "label", "parameters": {"binary_data": False}},
            ],
        }
    )
    with gateway.client(gateway.alice) as client:
        response = client.ask(
            "POST",
            "/v2/models/fraud/infer",
            head + raw,
            inference_header_content_length=str(len(head)),
        )
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers["inference-header-content-length"])
    outputs = orjson.loads(response.body[:length])["outputs"]
    assert outputs[0]["parameters"] == {"binary_data_size": 16}
    assert outputs[1]["data"] == [1, 1]
    assert np.frombuffer(response.body[length:], np.float32).tolist() == [6, -6, 15, -15]


def test_chunked_body(gateway: Harness) -> None:
    body = infer_body([[1, 2, 3]])
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:50], body[50:]))
    with gateway.client(gateway.alice) as client:
        head = (
            b"POST /v2/models/fraud/infer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        client.send(head + chunks + b"0\r\n\r\n")
        assert client.receive().status == 200
        for byte in head + chunks + b"0\r\n\r\n":
            client.send(bytes([byte]))
        assert client.receive().status == 200


def test_expect_continue(gateway: Harness) -> None:
    body = infer_body([[1, 2, 3]])
    request = build_request("POST", "/v2/models/fraud/infer", body, expect="100-continue")
    head, _, _ = request.partition(b"\r\n\r\n")
    with gateway.client(gateway.alice) as client:
        client.send(head + b"\r\n\r\n")
        assert client.receive().status == 100
        client.send(body)
        assert client.receive().status == 200


def test_pipelined_answers_come_in_order(gateway: Harness) -> None:
    requests = b"".join(
        build_request("POST", "/v2/models/fraud/infer", infer_body([[value, 0, 0]], id=str(value)))
        if value % 3
        else build_request("GET", "/v2/models/fraud")
        for value in range(100)
    )
    with gateway.client(gateway.alice) as client:
        client.send(requests)  # not in a second thread: one TLS socket in two threads loses bytes
        for value in range(100):
            response = client.receive()
            assert response.status == 200
            assert response.json.get("id") == (str(value) if value % 3 else None)


def test_metadata_and_health(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        assert client.ask("GET", "/v2").json["extensions"] == ["binary_tensor_data"]
        model = client.ask("GET", "/v2/models/fraud").json
        assert model["versions"] == ["1.2.0"]
        assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
        assert client.ask("GET", "/v2/models/fraud/versions/1.2.0/ready").status == 200
    with gateway.client() as stranger:
        for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready"):
            assert stranger.ask("GET", path).status == 200


INVALID: list[tuple[str, Any]] = [
    ("not JSON", b"{"),
    ("JSON but no object", b"[]"),
    ("byte order mark", b"\xef\xbb\xbf{}"),
    ("UTF-16", '{"inputs":[]}'.encode("utf-16")),
    ("deep", b'{"inputs":' + b"[" * 100_000),
    ("deep but whole", b'{"inputs":' + b"[" * 900 + b"]" * 900 + b"}"),
    ("deep id", b'{"id":' + b"[" * 900 + b"]" * 900 + b"}"),
    ("no inputs", {}),
    ("empty inputs", {"inputs": []}),
    ("unknown name", {"model_name": "fraud"}),
    ("inputs object", {"inputs": {"x": 1}}),
    ("input list", {"inputs": [[]]}),
    ("unknown input", {"inputs": [{"name": "y", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}),
    ("name no text", {"inputs": [{"name": ["x"], "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}),
    ("other datatype", {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3]}]}),
    ("no shape", {"inputs": [{"name": "x", "datatype": "FP32", "data": [1, 2, 3]}]}),
    ("negative shape", {"inputs": [{"name": "x", "shape": [-1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}),
    ("huge", {"inputs": [{"name": "x", "shape": [2**62, 3], "datatype": "FP32", "data": [1, 2, 3]}]}),
    ("product", {"inputs": [{"name": "x", "shape": [2**32, 2**32], "datatype": "FP32", "data": []}]}),
    ("no data", {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32"}]}),
    ("null data", {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": None}]}),
    ("NaN", b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[NaN,1,2]}]}'),
    ("1e999", b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1e999,1,2]}]}'),
    ("FP32 overflow", b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1e39,1,2]}]}'),
    ("name twice", b'{"inputs":[{"name":"y","name":"x","shape":[1,3],"datatype":"FP32","data":[1,1,2]}]}'),
    ("inputs twice", b'{"inputs":[],"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,1,2]}]}'),
    (
        "escaped twin",
        b'{"inputs":[{"n\\u0061me":"y","name":"x","shape":[1,3],"datatype":"FP32","data":[1,1,2]}]}',
    ),
    (
        "two of one input",
        {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}] * 2},
    ),
    ("timeout text", infer_body([[1, 2, 3]], parameters={"timeout": "1"})),
    ("timeout zero", infer_body([[1, 2, 3]], parameters={"timeout": 0})),
    ("timeout null", infer_body([[1, 2, 3]], parameters={"timeout": None})),
    ("sequence", infer_body([[1, 2, 3]], parameters={"sequence_id": 1})),
    ("parameters list", infer_body([[1, 2, 3]], parameters=[])),
    ("parameters null", infer_body([[1, 2, 3]], parameters=None)),
    ("id number", infer_body([[1, 2, 3]], id=1)),
    ("id long", infer_body([[1, 2, 3]], id="a" * 300)),
    ("no such output", infer_body([[1, 2, 3]], outputs=[{"name": "weights"}])),
    ("output twice", infer_body([[1, 2, 3]], outputs=[{"name": "label"}, {"name": "label"}])),
    (
        "classification",
        infer_body([[1, 2, 3]], outputs=[{"name": "label", "parameters": {"classification": 1}}]),
    ),
    (
        "shared memory",
        infer_body([[1, 2, 3]], outputs=[{"name": "label", "parameters": {"shared_memory_region": "a"}}]),
    ),
    (
        "binary without header",
        {
            "inputs": [
                {"name": "x", "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}
            ]
        },
    ),
]


@pytest.mark.parametrize(("attack", "body"), INVALID, ids=[attack for attack, _ in INVALID])
def test_invalid_requests_get_400_and_the_connection_lives(gateway: Harness, attack: str, body: Any) -> None:
    with gateway.client(gateway.alice) as client:
        response = client.ask(
            "POST", "/v2/models/fraud/infer", body if isinstance(body, bytes) else orjson.dumps(body)
        )
        assert response.status == 400, response
        assert len(response.body) < 400
        assert client.infer([[1, 2, 3]]).status == 200


def binary_request(
    raw: bytes, claimed: object, header_length: int | None = None, shape: object = None
) -> bytes:
    tensor = {
        "name": "x",
        "shape": shape or [1, 3],
        "datatype": "FP32",
        "parameters": {"binary_data_size": claimed},
    }
    head = orjson.dumps({"inputs": [tensor]})
    length = len(head) if header_length is None else header_length
    return build_request(
        "POST", "/v2/models/fraud/infer", head + raw, inference_header_content_length=str(length)
    )


@pytest.mark.parametrize(
    ("attack", "request_bytes"),
    [
        ("claims more", binary_request(bytes(12), 16)),
        ("claims less", binary_request(bytes(12), 8)),
        ("claims negative", binary_request(bytes(12), -12)),
        ("claims 2**63", binary_request(bytes(12), 2**63)),
        ("claims true", binary_request(b"\0", True)),
        ("claims text", binary_request(bytes(12), "12")),
        ("left over", binary_request(bytes(13), 12)),
        ("header beyond body", binary_request(bytes(12), 12, 10**6)),
        ("header within JSON", binary_request(bytes(12), 12, 20)),
        ("header zero", binary_request(bytes(12), 12, 0)),
        ("shape lies", binary_request(bytes(12), 12, None, [2, 3])),
        ("NaN", binary_request(np.array([1, np.nan, 1], np.float32).tobytes(), 12)),
        ("Inf", binary_request(np.array([1, np.inf, 1], np.float32).tobytes(), 12)),
    ],
)
def test_binary_length_lies(gateway: Harness, attack: str, request_bytes: bytes) -> None:
    with gateway.client(gateway.alice) as client:
        client.send(request_bytes)
        assert client.receive().status == 400
        assert client.infer([[1, 2, 3]]).status == 200


def test_too_many_rows(tmp_path: Path) -> None:
    with running(tmp_path, max_rows=4) as harness:
        harness.serve()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]] * 4).status == 200
            assert client.infer([[1, 2, 3]] * 5).status == 400


# -- batching --------------------------------------------------------------------------------------------


def ask_together(harness: Harness, bodies: list[bytes]) -> list[Any]:
    """Send all bodies at once, each over a connection of its own; return the responses in order."""
    clients = [harness.client(harness.alice) for _ in bodies]
    try:
        for client, body in zip(clients, bodies, strict=True):
            client.send(build_request("POST", "/v2/models/fraud/infer", body))
        return [client.receive() for client in clients]
    finally:
        for client in clients:
            client.socket.close()


class Gate:
    """A handler that holds its first batch until opened, so that others pile up behind it."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, batch: Batch) -> Outputs | None:
        self.opened.wait(10)
        return score(batch)


def test_what_waits_together_is_computed_together(tmp_path: Path) -> None:
    with running(tmp_path, max_batches=1) as harness:
        gate = Gate()
        harness.serve(gate)
        opener = threading.Timer(4.0, gate.opened.set)
        opener.start()
        responses = ask_together(
            harness, [infer_body([[value, 0, 0]] * (1 + value % 3)) for value in range(20)]
        )
        for value, response in enumerate(responses):
            rows = 1 + value % 3
            assert response.json["outputs"][1]["data"] == [value, -value] * rows
        batches = harness.workers[0].batches
        assert sum(batches) == sum(1 + value % 3 for value in range(20))
        assert len(batches) < 10


def test_one_bad_value_does_not_fail_its_neighbours(tmp_path: Path) -> None:
    schema = Schema.parse(
        {
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "x", "dtype": "FP32", "shape": [-1, 3], "min": 0, "max": [9, 9, 1]}],
            "outputs": [
                {"name": "label", "dtype": "INT64", "shape": [-1]},
                {"name": "score", "dtype": "FP32", "shape": [-1, 2]},
            ],
            "batching": "rows",
        }
    )
    with running(tmp_path, max_batches=1) as harness:
        harness.models = [harness.model(FRAUD, schema)]
        gate = Gate()
        harness.serve(gate)
        threading.Timer(1.0, gate.opened.set).start()
        bad: dict[int, list[float]] = {3: [-1, 0, 0], 7: [0, 0, 2], 8: [10, 0, 0]}
        responses = ask_together(
            harness, [infer_body([bad.get(value, [value, 0, 0])]) for value in range(10)]
        )
        assert [response.status for response in responses] == [400 if v in bad else 200 for v in range(10)]
        assert responses[3].json == {"error": "input 'x': holds a value below the minimum"}


def test_an_engine_failure_is_retried_one_by_one(tmp_path: Path) -> None:
    def picky(batch: Batch) -> Outputs:
        if (batch.inputs["x"] == 5).any():
            raise EngineError("invalid", "secret detail: /models/weights at line 7")
        return score(batch)

    with running(tmp_path, max_batches=1) as harness:
        gate = Gate()
        harness.serve(lambda batch: picky(batch) if gate(batch) else None)
        threading.Timer(1.0, gate.opened.set).start()
        responses = ask_together(harness, [infer_body([[value, 0, 0]]) for value in range(10)])
        assert [response.status for response in responses] == [400 if v == 5 else 200 for v in range(10)]
        assert b"secret" not in responses[5].body


def test_a_model_without_rows_is_asked_one_by_one(tmp_path: Path) -> None:
    schema = Schema.auto(
        [{"name": "x", "dtype": "FP32", "shape": [-1, 3]}],
        [{"name": "total", "dtype": "FP32", "shape": []}],
    )
    assert not schema.by_rows
    with running(tmp_path, max_batches=1) as harness:
        harness.models = [harness.model(FRAUD, schema)]
        harness.serve(lambda batch: {"total": batch.inputs["x"].sum()[()].reshape(())})
        responses = ask_together(harness, [infer_body([[value, 1, 1]]) for value in range(5)])
        assert [r.json["outputs"][0]["data"] for r in responses] == [[value + 2.0] for value in range(5)]
        assert harness.workers[0].batches == [1] * 5


@pytest.mark.parametrize(
    ("lie", "outputs"),
    [
        ("one row more", {"label": np.zeros(2, np.int64), "score": np.zeros((2, 2), np.float32)}),
        ("no score", {"label": np.zeros(1, np.int64)}),
        ("other type", {"label": np.zeros(1, np.int32), "score": np.zeros((1, 2), np.float32)}),
        ("other width", {"label": np.zeros(1, np.int64), "score": np.zeros((1, 3), np.float32)}),
        ("other rank", {"label": np.zeros((1, 1), np.int64), "score": np.zeros((1, 2), np.float32)}),
        (
            "one output more",
            {
                "label": np.zeros(1, np.int64),
                "score": np.zeros((1, 2), np.float32),
                "w": np.zeros(1, np.int64),
            },
        ),
    ],
)
def test_a_worker_cannot_answer_out_of_schema(tmp_path: Path, lie: str, outputs: Outputs) -> None:
    with running(tmp_path) as harness:
        harness.serve(lambda batch: outputs)
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 503


def test_answers_that_are_not_finite_need_the_binary_form(tmp_path: Path) -> None:
    def broken(batch: Batch) -> Outputs:
        return {"label": np.zeros(1, np.int64), "score": np.full((1, 2), np.nan, np.float32)}

    with running(tmp_path) as harness:
        harness.serve(broken)
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 400
            body = infer_body([[1, 2, 3]], parameters={"binary_data_output": True})
            assert client.ask("POST", "/v2/models/fraud/infer", body).status == 200


# -- workers that die, hang and come back ----------------------------------------------------------------


def test_a_lost_worker_is_reported_and_replaced_without_a_new_listener(tmp_path: Path) -> None:
    def deadly(batch: Batch) -> Outputs:
        raise WorkerDiedError

    with running(tmp_path) as harness:
        harness.serve(deadly)
        with harness.client(harness.alice) as client:
            response = client.infer([[1, 2, 3]])
            assert response.status == 503
            assert response.headers["retry-after"] == "1"
            assert harness.wait_for("worker-lost")["model"] == FRAUD
            assert client.ask("GET", "/readyz").status == 503
            assert client.ask("GET", "/v2/models/fraud/ready").status == 503
            harness.attach()
            wait_until_ready(harness)
            assert client.infer([[1, 2, 3]]).status == 200


def test_an_input_that_kills_workers_is_quarantined_and_its_neighbours_are_not(tmp_path: Path) -> None:
    def deadly(batch: Batch) -> Outputs:
        if (batch.inputs["x"] == 13).any():
            raise WorkerDiedError
        return score(batch)

    with running(tmp_path) as harness:
        harness.serve(deadly)
        for _ in range(2):
            with harness.client(harness.alice) as client:
                assert client.infer([[13, 0, 0]]).status == 503
            harness.attach(deadly)
            wait_until_ready(harness)
        with harness.client(harness.alice) as client:
            assert client.infer([[13, 0, 0]]).status == 400
            assert client.infer([[12, 0, 0]]).status == 200
            assert client.ask("GET", "/readyz").status == 200


def test_an_input_that_was_in_bad_company_only_is_tried_again(tmp_path: Path) -> None:
    with running(tmp_path, quarantine_s=0.5) as harness:
        harness.serve(dying)
        for worker in (dying, score):
            with harness.client(harness.alice) as client:
                assert client.infer([[1, 2, 3]]).status == 503
            harness.attach(worker)
            wait_until_ready(harness)
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 400
            time.sleep(0.6)
            assert client.infer([[1, 2, 3]]).status == 200


def dying(_: Batch) -> Outputs:
    raise WorkerDiedError


def test_a_silent_worker_is_stuck_but_a_short_timeout_of_a_caller_is_not(tmp_path: Path) -> None:
    with running(tmp_path, deadline_s=2.0) as harness:
        harness.serve(lambda batch: None)
        with harness.client(harness.alice) as client:
            body = infer_body([[1, 2, 3]], parameters={"timeout": 1000})
            assert client.ask("POST", "/v2/models/fraud/infer", body).status == 503
            assert not harness.heard("worker-stuck")
            assert harness.workers[0].deadlines_ms == [2000]
            assert client.infer([[1, 2, 3]]).status == 503
        assert harness.wait_for("worker-stuck")["model"] == FRAUD


def test_a_full_queue_sheds(tmp_path: Path) -> None:
    with running(tmp_path, queue_limit=4, max_batches=1, max_rows=1, deadline_s=5.0) as harness:
        gate = Gate()
        harness.serve(gate)
        threading.Timer(1.5, gate.opened.set).start()
        responses = ask_together(harness, [infer_body([[value, 0, 0]]) for value in range(12)])
        statuses = [response.status for response in responses]
        assert statuses.count(503) >= 12 - 6
        assert statuses.count(200) >= 4
        assert all(response.headers.get("retry-after") for response in responses if response.status == 503)


def wait_until_ready(harness: Harness) -> None:
    with harness.client() as client:
        for _ in range(500):
            if client.ask("GET", "/readyz").status == 200:
                return
            time.sleep(0.02)
    raise AssertionError("never ready")


def test_one_caller_cannot_fill_the_queue(tmp_path: Path) -> None:
    with running(tmp_path, queue_limit_per_principal=4, max_batches=1, deadline_s=8.0) as harness:
        harness.grants.append(harness.grant("bob", "consumer", "fraud"))
        gate = Gate()
        harness.serve(gate)
        with harness.client(harness.alice) as greedy, harness.client(harness.bob) as modest:
            greedy.send(build_request("POST", "/v2/models/fraud/infer", infer_body([[1, 2, 3]])) * 10)
            time.sleep(0.5)
            modest.send(build_request("POST", "/v2/models/fraud/infer", infer_body([[1, 2, 3]])))
            time.sleep(0.3)
            gate.opened.set()
            assert modest.receive().status == 200
            statuses = [greedy.receive().status for _ in range(10)]
            assert statuses.count(429) == 6
            assert greedy.infer([[1, 2, 3]]).status == 200


def test_what_is_shed_has_one_record(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.push_snapshot()
        with harness.client(harness.alice) as client:
            assert [client.infer([[1, 2, 3]]).status for _ in range(3)] == [503] * 3
        assert [record.status for record in harness.records()] == [503] * 3
