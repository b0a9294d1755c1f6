"""A real worker process from its start to its answers, driven as supervisor and gateway do."""

import socket
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from strongroom.serve import control, frames
from tests import models
from tests.models import SampleModel
from tests.serve.harness import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker() as started:
        assert started.receive() is not None
        yield started


@pytest.fixture
def linear(worker: Worker) -> Worker:
    model = models.linear()
    ready = worker.load(model.entries, model.main)
    assert ready is not None
    assert ready["kind"] == "ready"
    return worker


def wire(inputs: dict[str, Any]) -> dict[str, Any]:
    """Strings as the frames carry them: bytes."""
    return {
        name: np.array([str(item).encode() for item in array.ravel()], object).reshape(array.shape)
        if array.dtype.kind in "OU"
        else array
        for name, array in inputs.items()
    }


@pytest.mark.parametrize("build", models.SERVABLE)
def test_every_servable_model_is_answered_behind_the_locks(build: Any, worker: Worker) -> None:
    model: SampleModel = build()
    ready = worker.load(model.entries, model.main, threads=2)
    assert ready is not None
    assert ready["kind"] == "ready", ready
    answer = worker.ask(7, wire(model.example))
    assert isinstance(answer, frames.Answer)
    assert answer.number == 7
    assert list(answer.outputs) == [output["name"] for output in ready["outputs"]]
    for output in ready["outputs"]:
        assert frames.datatype(answer.outputs[output["name"]]) == output["dtype"]


def test_the_answer_is_the_model_s(linear: Worker) -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    answer = linear.ask(1, {"x": x})
    assert isinstance(answer, frames.Answer)
    np.testing.assert_allclose(answer.outputs["score"], x @ models.linear_weights(4), rtol=1e-5)


def test_external_data_is_read_from_its_memfd(worker: Worker) -> None:
    """The weights are that file's and not zeros, and no file system was there to read them from."""
    model = models.external_data()
    ready = worker.load(model.entries, model.main)
    assert ready is not None
    assert ready["kind"] == "ready"
    ones = {"x": np.ones((1, 64), np.float32)}
    first = worker.ask(1, ones)
    assert isinstance(first, frames.Answer)
    weights = np.frombuffer(model.entries["weights/part-0.bin"][: 64 * 3 * 4], np.float32).reshape(64, 3)
    bias = np.frombuffer(model.entries["weights/part-0.bin"][4096:], np.float32)
    np.testing.assert_allclose(first.outputs["score"], [weights.sum(0) + bias], rtol=1e-4)


def test_a_failed_batch_costs_that_batch_only(linear: Worker) -> None:
    failure = linear.ask(1, {"x": np.ones((2, 3), np.float32)})
    assert failure == frames.Failure(1, "invalid", "engine: the model refuses these inputs")
    assert isinstance(linear.ask(2, {"x": np.ones((2, 4), np.float32)}), frames.Answer)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"y": np.ones((1, 4), np.float32)},
        {"x": np.ones((1, 4), np.float32), "extra": np.ones(1, np.float32)},
        {"x": np.ones((1, 4), np.float64)},
        {"x": np.array([[b"a", b"b", b"c", b"d"]], object)},
        {"x": np.ones((1, 4), frames.BFLOAT16)},
    ],
    ids=["none", "unknown", "extra", "double", "strings", "bf16"],
)
def test_inputs_that_are_not_the_model_s_fail_without_internals(
    linear: Worker, inputs: dict[str, Any]
) -> None:
    failure = linear.ask(1, inputs)
    assert isinstance(failure, frames.Failure)
    assert failure.family == "invalid"
    for internal in ("onnx", "score", "/", "tensor(", "0x"):
        assert internal not in failure.message


def test_a_batch_too_large_for_the_memory_limit_is_an_outage_and_costs_that_batch_only(
    worker: Worker,
) -> None:
    hog = models.memory_hog()
    ready = worker.load(hog.entries, hog.main)
    assert ready is not None
    assert ready["kind"] == "ready"
    failure = worker.ask(1, hog.example)
    assert isinstance(failure, frames.Failure)
    assert failure.family == "outage"
    assert isinstance(worker.ask(2, hog.example), frames.Failure)


def test_an_endless_model_is_ended_by_the_clock_outside(worker: Worker) -> None:
    endless = models.endless_loop()
    ready = worker.load(endless.entries, endless.main)
    assert ready is not None
    assert ready["kind"] == "ready"
    with pytest.raises(TimeoutError):
        worker.ask(1, endless.example, timeout_s=0.5)
    worker.process.kill()
    assert worker.process.wait(10) == -9


def test_the_memory_limit_is_settable_and_too_little_fails_the_load(worker: Worker) -> None:
    model = models.wide(64 * 2**20)
    refused = worker.load(model.entries, model.main, memory_bytes=8 * 2**20)
    assert refused is not None
    assert (refused["kind"], refused["family"]) == ("failed", "outage")


@pytest.mark.parametrize(
    "entries",
    [
        {"model.onnx": b""},
        {"model.onnx": b"\x80\x04]\x94."},
        {"model.onnx": b"ORTM not an onnx file"},
        models.custom_operator().entries,
        models.external_escape().entries,
        models.external_escape("/etc/passwd").entries,
        {"model.onnx": models.external_data().onnx},
        models.external_data().entries | {"weights/part-0.bin": b"cut"},
    ],
    ids=[
        *("empty", "pickle", "other format", "custom operator", "escape", "absolute"),
        *("missing entry", "cut entry"),
    ],
)
def test_a_model_that_the_engine_refuses_fails_the_load(worker: Worker, entries: dict[str, bytes]) -> None:
    failed = worker.load(entries, "model.onnx")
    assert failed is not None
    assert (failed["kind"], failed["family"]) == ("failed", "rejected")
    assert worker.receive() is None
    assert worker.close() == 0


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "channel"},
        {"kind": "load"},
        {"kind": "load", "main": "m", "entries": ["m", "n"]},
        {"kind": "load", "main": "m", "entries": ["m"], "threads": 0},
        {"kind": "load", "main": "m", "entries": ["m"], "threads": True},
        {"kind": "load", "main": "m", "entries": ["m"], "memory_bytes": -1},
        {"kind": "load", "main": "m", "entries": [7]},
        {"kind": "load", "main": "other", "entries": ["m"]},
    ],
)
def test_anything_but_a_load_message_is_refused(worker: Worker, message: dict[str, Any]) -> None:
    ours, theirs = socket.socketpair()
    control.send(worker.control, message, [theirs.fileno()])
    ours.close()
    theirs.close()
    failed = worker.receive()
    assert failed is not None
    assert failed["kind"] == "failed"
    assert failed["family"] in ("rejected", "invalid")


def test_a_gateway_that_breaks_the_frame_rules_costs_its_channel_only(linear: Worker) -> None:
    good, bad = linear.open_channel(), linear.open_channel()
    bad.sendall(b"\xff" * 64)
    assert bad.recv(1) == b""
    good.sendall(b"".join(frames.encode_batch(1, 0, [("x", np.ones((1, 4), np.float32))])))
    assert next(frames.FrameReader().feed(good.recv(4096))).number == 1


@pytest.mark.parametrize("sent", [frames.encode_answer(1, []), frames.encode_failure(1, "error", "x")])
def test_a_worker_takes_batches_only(linear: Worker, sent: list[bytes]) -> None:
    channel = linear.open_channel()
    channel.sendall(b"".join(sent))
    assert channel.recv(1) == b""


def test_a_frame_in_pieces_and_two_in_one_piece(linear: Worker) -> None:
    channel = linear.open_channel()
    x = np.ones((1, 4), np.float32)
    one, two = (b"".join(frames.encode_batch(number, 0, [("x", x)])) for number in (1, 2))
    for piece in (one[:3], one[3:30], one[30:], two + one, two[:50], two[50:]):
        channel.sendall(piece)
    reader, numbers = frames.FrameReader(), []
    while len(numbers) < 4:
        numbers += [frame.number for frame in reader.feed(channel.recv(4096))]
    assert numbers == [1, 2, 1, 2]


def test_a_frame_larger_than_the_buffer_and_then_small_ones(linear: Worker) -> None:
    channel = linear.open_channel()
    rows = 200_000
    x = np.random.default_rng(1).standard_normal((rows, 4)).astype(np.float32)
    for number, count in enumerate((rows, 1, rows, 3)):
        for part in frames.encode_batch(number, 0, [("x", x[:count])]):
            channel.sendall(part)
        reader, answers = frames.FrameReader(), []
        while not answers:
            answers += reader.feed(channel.recv(2**20))
        assert answers[0].number == number
        np.testing.assert_allclose(
            answers[0].outputs["score"], x[:count] @ models.linear_weights(4), rtol=1e-3, atol=1e-4
        )


def test_a_length_beyond_the_limit_is_refused_before_it_is_allocated(linear: Worker) -> None:
    channel = linear.open_channel()
    channel.sendall(struct.pack("<I", 0xFFFFFFF0))
    assert channel.recv(1) == b""


def test_several_gateways_are_answered_each_on_its_own_channel(linear: Worker) -> None:
    channels = [linear.open_channel() for _ in range(3)]
    for number, channel in enumerate(channels):
        x = np.full((1, 4), number, np.float32)
        channel.sendall(b"".join(frames.encode_batch(number, 0, [("x", x)])))
    for number, channel in enumerate(channels):
        frame = next(frames.FrameReader().feed(channel.recv(4096)))
        assert isinstance(frame, frames.Answer)
        assert frame.outputs["score"][0, 0] == pytest.approx(
            number * models.linear_weights(4).sum(), rel=1e-5
        )


def test_a_gateway_that_leaves_does_not_end_the_worker(linear: Worker) -> None:
    linear.open_channel().close()
    linear.channel = None
    assert isinstance(linear.ask(1, {"x": np.ones((1, 4), np.float32)}), frames.Answer)


def test_hanging_up_ends_the_worker_cleanly(linear: Worker) -> None:
    assert isinstance(linear.ask(1, {"x": np.ones((1, 4), np.float32)}), frames.Answer)
    assert linear.close() == 0


def test_hanging_up_before_the_model_comes_ends_the_worker_cleanly(worker: Worker) -> None:
    assert worker.close() == 0


def test_an_unknown_control_message_is_ignored_and_its_descriptors_closed(linear: Worker) -> None:
    ours, theirs = socket.socketpair()
    control.send(linear.control, {"kind": "surprise"}, [theirs.fileno()])
    theirs.close()
    ours.settimeout(20)
    assert ours.recv(1) == b""
    assert isinstance(linear.ask(1, {"x": np.ones((1, 4), np.float32)}), frames.Answer)
