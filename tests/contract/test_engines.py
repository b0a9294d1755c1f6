"""What `ports.Engine` promises, over onnxruntime: real models, from memfds, numpy in and numpy out."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from strongroom.adapters.engines.onnx import BFLOAT16, OnnxEngine, OnnxModel
from strongroom.adapters.engines.sequences import ClassScores
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.serve import frames
from tests import models
from tests.models import SampleModel
from tests.models.sample import build_model

Load = Callable[..., OnnxModel]


@pytest.fixture(scope="module")
def engine() -> OnnxEngine:
    return OnnxEngine()


@pytest.fixture
def load(engine: OnnxEngine) -> Load:
    def do(model: SampleModel, threads: int = 1) -> OnnxModel:
        entries = {path: os.memfd_create("model") for path in model.entries}
        try:
            for path, descriptor in entries.items():
                os.write(descriptor, model.entries[path])
            return engine.load(entries, model.main, threads)
        finally:
            for descriptor in entries.values():
                os.close(descriptor)

    return do


def tensors(name: str, kind: int, columns: int = 3) -> Any:
    return helper.make_tensor_value_info(name, kind, ["rows", columns])


def as_bytes(*words: str) -> Any:
    return np.array([[word.encode()] for word in words], object)


def test_one_file(load: Load) -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    answer = load(models.linear()).run({"x": x})
    np.testing.assert_allclose(answer["score"], x @ models.linear_weights(4), rtol=1e-5)


def test_external_data_comes_from_the_given_entry(load: Load) -> None:
    model = models.external_data()
    halved = np.frombuffer(model.entries["weights/part-0.bin"], np.float32) / 2
    other = SampleModel(model.entries | {"weights/part-0.bin": halved.tobytes()}, model.example)
    full, half = (load(each).run(model.example)["score"] for each in (model, other))
    np.testing.assert_allclose(full, half * 2, rtol=1e-5)


def test_external_data_beside_a_main_entry_in_a_folder(load: Load) -> None:
    model = models.external_data("part.bin")
    moved = {f"deep/er/{path}": content for path, content in model.entries.items()}
    answer = load(SampleModel(moved, model.example, "deep/er/model.onnx")).run(model.example)
    np.testing.assert_array_equal(answer["score"], load(model).run(model.example)["score"])


def test_entries_that_the_model_does_not_name_are_harmless(load: Load) -> None:
    model = models.linear()
    more = model.entries | {"labels.txt": b"yes\nno\n", "empty": b""}
    assert load(SampleModel(more, model.example)).run(model.example)["score"].shape == (2, 1)


@pytest.mark.parametrize("build", models.SERVABLE)
def test_the_description_is_what_is_answered(build: Callable[[], SampleModel], load: Load) -> None:
    model = build()
    loaded = load(model)
    described = loaded.describe()
    example = {
        name: np.array([str(item).encode() for item in array.ravel()], object).reshape(array.shape)
        if array.dtype.kind in "OU"
        else array
        for name, array in model.example.items()
    }
    for tensor in described["inputs"]:
        assert frames.datatype(example[tensor["name"]]) == tensor["dtype"]
        assert fits(tensor["shape"], example[tensor["name"]].shape)
    answer = loaded.run(example)
    assert list(answer) == [tensor["name"] for tensor in described["outputs"]]
    for tensor in described["outputs"]:
        assert frames.datatype(answer[tensor["name"]]) == tensor["dtype"]
        assert fits(tensor["shape"], answer[tensor["name"]].shape)


def fits(described: list[int], shape: tuple[int, ...]) -> bool:
    pairs = zip(described, shape, strict=True)
    return all(known in (-1, extent) for known, extent in pairs)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_the_answer(load: Load, threads: int) -> None:
    model = models.wide(2**18)
    answer = load(model, threads).run(model.example)
    for name, array in load(model).run(model.example).items():
        np.testing.assert_allclose(answer[name], array, rtol=1e-4, atol=1e-4)


def test_strings_are_utf8_bytes_in_and_out(load: Load) -> None:
    answer = load(models.strings()).run({"word": as_bytes("apple", "Ärger", "日本", "none", "")})
    assert answer["code"].ravel().tolist() == [1, 2, 3, -1, -1]
    assert [word.decode() for word in answer["echo"].ravel()] == ["apple", "Ärger", "日本", "none", ""]


@pytest.mark.parametrize("word", [b"\xff\xfe", b"apple\0and more"], ids=["not UTF-8", "NUL"])
def test_a_string_that_the_engine_would_misread_is_refused(load: Load, word: bytes) -> None:
    """onnxruntime cuts at NUL: ``apple\\0x`` would be checked as one word and scored as another."""
    with pytest.raises(InvalidError):
        load(models.strings()).run({"word": np.array([[word]], object)})


def test_bf16_goes_in_and_comes_out_bit_by_bit(load: Load) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["wide", "other"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=TensorProto.BFLOAT16),
    ]
    inputs = [tensors("x", TensorProto.BFLOAT16), tensors("other", TensorProto.FLOAT)]
    model = build_model(
        nodes, inputs, [tensors("y", TensorProto.BFLOAT16), tensors("sum", TensorProto.FLOAT)]
    )
    loaded = load(SampleModel({"model.onnx": model.SerializeToString()}, {}))
    assert [tensor["dtype"] for tensor in loaded.describe()["inputs"]] == ["BF16", "FP32"]
    values = np.array([[1.0, -2.5, 3.0e38]], ml_dtypes.bfloat16)
    answer = loaded.run({"x": values.view(np.uint16).view(BFLOAT16), "other": np.ones((1, 3), np.float32)})
    assert answer["y"].dtype == frames.BFLOAT16
    expected = (values.astype(np.float32) + 1).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(answer["y"].view(np.uint16), expected.view(np.uint16))
    np.testing.assert_array_equal(answer["sum"], values.astype(np.float32) + 1)


def test_class_scores_are_a_matrix_in_the_order_of_the_classes(load: Load) -> None:
    """The default of skl2onnx, a map a row, gives what the model without ZipMap gives."""
    model = models.classifier_with_zipmap()
    plain = load(models.classifier()).run(model.example)
    answer = load(model).run(model.example)
    np.testing.assert_allclose(answer["output_probability"], plain["probabilities"], rtol=1e-5)
    np.testing.assert_array_equal(answer["output_label"], plain["label"])


def test_class_scores_of_no_rows_keep_their_columns(load: Load) -> None:
    loaded = load(models.classifier_with_zipmap())
    assert loaded.run({"x": np.zeros((2, 5), np.float32)})["output_probability"].shape == (2, 2)
    assert loaded.run({"x": np.zeros((0, 5), np.float32)})["output_probability"].shape == (0, 2)


def test_class_names_order_the_columns() -> None:
    scores = ClassScores()([{"no": 0.25, "yes": 0.75}, {"yes": 0.5, "no": 0.5}])
    np.testing.assert_array_equal(scores, np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))


@pytest.mark.parametrize("second", [{"a": 1.0}, {"a": 1.0, "c": 0.0}, {"a": 1.0, "b": 0.0, "c": 0.0}])
def test_classes_that_differ_from_row_to_row_are_refused(second: dict[str, float]) -> None:
    with pytest.raises(RejectedError):
        ClassScores()([{"a": 0.5, "b": 0.5}, second])


@pytest.mark.parametrize(
    "model",
    [
        SampleModel({"model.onnx": b""}, {}),
        SampleModel({"model.onnx": b"\x80\x04\x95."}, {}),
        SampleModel({"model.onnx": b"\0\0\0\0ORTM" + bytes(100)}, {}),
        models.custom_operator(),
        models.external_escape(),
        models.external_escape("/etc/passwd"),
        SampleModel({"model.onnx": models.external_data().onnx}, {}),
        SampleModel(models.external_data().entries | {"weights/part-0.bin": b"cut"}, {}),
    ],
    ids=["empty", "pickle", "ort format", "custom op", "escape", "absolute", "missing entry", "cut entry"],
)
def test_what_the_engine_cannot_take_is_rejected(load: Load, model: SampleModel) -> None:
    with pytest.raises(RejectedError):
        load(model)


def test_an_input_of_no_wire_type_is_rejected_at_load(load: Load) -> None:
    nodes = [helper.make_node("SequenceAt", ["s", "i"], ["y"])]
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, ["n"])
    index = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    model = build_model(
        nodes, [sequence, index], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])]
    )
    with pytest.raises(RejectedError, match="cannot be served"):
        load(SampleModel({"model.onnx": model.SerializeToString()}, {}))


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"y": np.ones((1, 4), np.float32)},
        {"x": np.ones((1, 3), np.float32)},
        {"x": np.ones(4, np.float32)},
        {"x": np.ones((1, 4), np.int64)},
        {"x": np.ones((1, 4), BFLOAT16)},
        {"x": np.ones((1, 4), np.float32), "y": np.ones(1, np.float32)},
    ],
    ids=["none", "unknown", "width", "rank", "type", "bf16", "extra"],
)
def test_inputs_that_are_not_the_model_s_are_invalid(load: Load, inputs: dict[str, Any]) -> None:
    with pytest.raises(InvalidError) as raised:
        load(models.linear()).run(inputs)
    assert "onnx" not in raised.value.message.lower()


def test_more_memory_than_there_is_is_an_outage(load: Load) -> None:
    model = models.memory_hog()
    with pytest.raises(OutageError):
        load(model).run(model.example)


def test_an_unknown_main_entry_is_invalid(engine: OnnxEngine) -> None:
    with pytest.raises(InvalidError):
        engine.load({}, "model.onnx")


def test_the_descriptors_may_be_closed_after_loading(load: Load) -> None:
    loaded = load(models.external_data())
    spoilt = [os.memfd_create("reused") for _ in range(8)]
    for descriptor in spoilt:
        os.write(descriptor, b"\xff" * 8192)
    assert np.isfinite(loaded.run(models.external_data().example)["score"]).all()
    for descriptor in spoilt:
        os.close(descriptor)


def test_the_engine_s_telemetry_is_off(tmp_path: Path) -> None:
    """onnxruntime 1.31 starts an uploader thread and writes a database below HOME unless told not to."""
    code = (
        "import os; os.environ['OPENBLAS_NUM_THREADS'] = '1'\n"
        "from strongroom.adapters.engines.onnx import OnnxEngine\n"
        "OnnxEngine(); print(len(os.listdir('/proc/self/task')))\n"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-c", code],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "1"
    assert list(tmp_path.rglob("*")) == []
