"""Requests of several callers travel in one batch: nothing of one may reach another (I11)."""

import base64
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from strongroom.guard.schema import Schema
from strongroom.serve.frames import Batch
from strongroom.serve.gateway import snapshot as snapshots
from strongroom.serve.gateway.snapshot import Snapshot
from strongroom.trust.policy import Request, decide, policy_version
from strongroom.values import Action, format_time
from tests.serve.gateway_harness import FRAUD, Harness, Outputs, Response, build_request, infer_body, running
from tests.serve.test_gateway_lifecycle import wait_until

INFER = "/v2/models/fraud/infer"
ODD = ('a"b', "c\\d", "e,]}", "f\u2028g", "\u202ehtua", "{{x}}", "%s")
"""Names of outputs that a model may have and that must stay names in every answer."""


class Gate:
    """Holds the first batch until opened, so that the others pile up behind it."""

    def __init__(self, answer: Any) -> None:
        self.opened = threading.Event()
        self.answer = answer

    def __call__(self, batch: Batch) -> Outputs:
        self.opened.wait(10)
        outputs: Outputs = self.answer(batch)
        return outputs


def ask_at_once(harness: Harness, gate: Gate, requests: list[tuple[Any, bytes]]) -> list[Response]:
    """Send every request as its caller; all but the first travel in one batch."""
    clients = [harness.client(leaf) for leaf, _ in requests]
    clients[0].send(requests[0][1])
    assert wait_until(lambda: bool(harness.workers[0].batches))
    for client, (_, request) in zip(clients[1:], requests[1:], strict=True):
        client.send(request)
    # Only now: on a busy machine the sending itself may take its time.
    threading.Timer(1.5, gate.opened.set).start()
    answers = [client.receive() for client in clients]
    for client in clients:
        client.socket.close()
    return answers


def infer(rows: list[list[float]], **more: Any) -> bytes:
    return build_request("POST", INFER, infer_body(rows, **more))


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Harness]:
    """Alice and bob may both use the model."""
    with running(tmp_path, max_batches=1) as harness:
        harness.grants.append(harness.grant("bob", "consumer", "fraud"))
        yield harness


def test_a_row_without_a_number_for_an_answer_is_its_sender_s_trouble_only(shared: Harness) -> None:
    def divide(batch: Batch) -> Outputs:
        x = batch.inputs["x"]
        with np.errstate(divide="ignore", invalid="ignore"):
            score = (x[:, :2] / x[:, 2:]).astype(np.float32)
        return {"label": np.zeros(len(x), np.int64), "score": score}

    gate = Gate(divide)
    shared.serve(gate)
    requests = [(shared.alice, infer([[1, value, 1]])) for value in range(6)]
    requests[3] = (shared.bob, infer([[1, 2, 0]]))
    answers = ask_at_once(shared, gate, requests)
    assert shared.workers[0].batches[-1] == 5
    assert [answer.status for answer in answers] == [200, 200, 200, 400, 200, 200]
    assert answers[5].json["outputs"][1]["data"] == [1.0, 5.0]


def test_strings_binary_data_and_numbers_of_one_batch_are_not_mixed_up(shared: Harness) -> None:
    schema = Schema.auto(
        [{"name": "x", "dtype": "FP32", "shape": [-1, 3]}],
        [
            {"name": "word", "dtype": "BYTES", "shape": [-1]},
            {"name": "cube", "dtype": "FP32", "shape": [-1, 1, 2]},
        ],
    )

    def speak(batch: Batch) -> Outputs:
        first = batch.inputs["x"][:, 0]
        words = np.array([b"\xff" if value == 3 else b'"%d,\n' % value for value in first], object)
        return {"word": words, "cube": np.stack([first, -first], axis=1)[:, None, :]}

    shared.models = [shared.model(FRAUD, schema)]
    gate = Gate(speak)
    shared.serve(gate)
    binary = {"parameters": {"binary_data_output": True}}
    requests = [(shared.alice, infer([[value, 0, 0]] * (1 + value % 2))) for value in range(6)]
    requests[3] = (shared.bob, infer([[3, 0, 0]] * 2))
    requests[4] = (shared.bob, infer([[4, 0, 0]], **binary))
    answers = ask_at_once(shared, gate, requests)
    assert [answer.status for answer in answers] == [200, 200, 200, 400, 200, 200]
    for value in (1, 2, 5):
        rows = 1 + value % 2
        word, cube = answers[value].json["outputs"]
        assert word["data"] == [f'"{value},\n'] * rows
        assert (cube["shape"], cube["data"]) == ([rows, 1, 2], [value, -value] * rows)
    length = int(answers[4].headers["inference-header-content-length"])
    tail = answers[4].body[length:]
    assert tail.startswith(b"\x04\0\0\0" + b'"4,\n')
    assert np.frombuffer(tail[-8:], "<f4").tolist() == [4, -4]


def test_a_caller_who_leaves_does_not_shift_the_rows_of_those_who_stay(shared: Harness) -> None:
    gate = Gate(
        lambda batch: {
            "label": batch.inputs["x"][:, 0].astype(np.int64),
            "score": batch.inputs["x"][:, :2].copy(),
        }
    )
    shared.serve(gate)
    stay = [shared.client(shared.alice) for _ in range(4)]
    leave = [shared.client(shared.bob) for _ in range(4)]
    for value in range(4):
        leave[value].send(infer([[100 + value, 0, 0]]))
        stay[value].send(infer([[value, 0, 0]]))
    for client in leave[::2]:
        client.socket.close()
    threading.Timer(0.5, gate.opened.set).start()
    assert [client.receive().json["outputs"][0]["data"] for client in stay] == [[0], [1], [2], [3]]
    assert [client.receive().json["outputs"][0]["data"] for client in leave[1::2]] == [[101], [103]]
    for client in (*stay, *leave):
        client.socket.close()


def test_odd_names_of_outputs_stay_names(shared: Harness) -> None:
    """Of a model that somebody approved without a look at its names."""
    schema = Schema.parse(
        {
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "x", "dtype": "FP32", "shape": [-1, 3]}],
            "outputs": [{"name": name, "dtype": "FP32", "shape": [-1]} for name in ODD if name.isprintable()],
            "batching": "rows",
        }
    )
    names = [spec.name for spec in schema.outputs]
    assert len(names) > 3
    shared.models = [shared.model(FRAUD, schema)]
    shared.serve(lambda batch: {name: np.ones(len(batch.inputs["x"]), np.float32) for name in names})
    with shared.client(shared.alice) as client:
        for binary in (False, True):
            client.send(infer([[1, 2, 3]], parameters={"binary_data_output": binary}))
            answer = client.receive()
            length = int(answer.headers.get("inference-header-content-length", len(answer.body)))
            assert [output["name"] for output in orjson.loads(answer.body[:length])["outputs"]] == names
        described = client.ask("GET", "/v2/models/fraud")
        assert [output["name"] for output in described.json["outputs"]] == names


def receipt_of(answer: Response) -> Any:
    text = answer.headers["strongroom-receipt"]
    return orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_a_receipt_says_nothing_of_those_in_the_same_batch(shared: Harness) -> None:
    """It holds hashes of their records, and each of those covers a certificate's serial, which is random."""
    gate = Gate(
        lambda batch: {"label": batch.inputs["x"][:, 0].astype(np.int64), "score": batch.inputs["x"][:, :2]}
    )
    shared.serve(gate)
    ask = build_request("POST", INFER, infer_body([[1, 2, 3]]), strongroom_receipt="inline")
    answers = ask_at_once(shared, gate, [(shared.alice, ask)] + [(shared.bob, ask), (shared.alice, ask)] * 2)
    mine = max((receipt_of(answer) for answer in answers[::2]), key=lambda one: len(one["batch"]["path"]))
    assert mine["batch"]["path"]
    for secret in ("bob", shared.bob.serial):
        assert secret.encode() not in orjson.dumps(mine)
    assert int(shared.bob.serial, 16).bit_length() > 100


@pytest.mark.parametrize("model", ["fraud", "fraud/versions/1.2.0", "nothing", "nothing/versions/1.2.0"])
def test_a_denial_carries_no_receipt_for_that_would_name_the_model(shared: Harness, model: str) -> None:
    del shared.grants[1]
    shared.serve()
    with shared.client(shared.bob) as client:
        answer = client.infer([[1, 2, 3]], model=model, strongroom_receipt="inline")
        assert answer.status == 404
        assert "strongroom-receipt" not in answer.headers
        assert "strongroom-record" in answer.headers


def test_a_forbidden_model_is_decided_as_often_as_an_unknown_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is remembered is answered hundreds of times faster, so that memory must not tell them apart."""
    asked: list[Request] = []

    def count(request: Request) -> Any:
        asked.append(request)
        return decide(request)

    monkeypatch.setattr(snapshots, "decide", count)
    schema = Schema.auto(
        [{"name": "x", "dtype": "FP32", "shape": [-1]}], [{"name": "y", "dtype": "FP32", "shape": [-1]}]
    )
    now = datetime.now(UTC)
    known = Snapshot(
        {
            "kind": "snapshot",
            "number": 1,
            "time": format_time(now),
            "max_age_s": 60,
            "policy_version": policy_version(),
            "solo": False,
            "identities": [],
            "grants": [],
            "models": [Harness.model(FRAUD, schema)],
        },
        0.0,
    )
    decided = []
    for family in ("fraud", "nothing"):
        before = len(asked)
        for version in ("", "1.2.0", "", "1.2.0"):
            model = known.find_model(family, version)
            resource = model.key if model is not None else family
            answer = known.decide("bob", Action.PREDICT, resource, now, asked=f"{family}@{version}")
            assert not answer.allowed
        decided.append(len(asked) - before)
    assert decided == [2, 2]
