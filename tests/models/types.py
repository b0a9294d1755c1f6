"""Models for every input type that travels on the wire: strings, integers, booleans, FP16, free shapes."""

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from tests.models.sample import SampleModel, build_model

_INTEGERS = {
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "double": TensorProto.DOUBLE,
}


def several() -> SampleModel:
    """``left, right`` FP32 [N, 2] in; ``total`` = left + right and ``larger`` = max of both out."""
    model = build_model(
        [
            helper.make_node("Add", ["left", "right"], ["total"]),
            helper.make_node("Max", ["left", "right"], ["larger"]),
        ],
        [_rows("left", TensorProto.FLOAT, 2), _rows("right", TensorProto.FLOAT, 2)],
        [_rows("total", TensorProto.FLOAT, 2), _rows("larger", TensorProto.FLOAT, 2)],
    )
    example = {
        "left": np.array([[1, 2], [3, 4]], np.float32),
        "right": np.array([[4, 3], [2, 1]], np.float32),
    }
    return SampleModel({"model.onnx": model.SerializeToString()}, example)


def strings() -> SampleModel:
    """``word`` STRING [N, 1] in; ``code`` INT64 (apple 1, Ärger 2, 日本 3, else -1) and ``echo`` out."""
    model = build_model(
        [
            helper.make_node(
                "LabelEncoder",
                ["word"],
                ["code"],
                domain="ai.onnx.ml",
                keys_strings=["apple", "Ärger", "日本"],
                values_int64s=[1, 2, 3],
                default_int64=-1,
            ),
            helper.make_node("Identity", ["word"], ["echo"]),
        ],
        [_rows("word", TensorProto.STRING, 1)],
        [_rows("code", TensorProto.INT64, 1), _rows("echo", TensorProto.STRING, 1)],
        domains={"ai.onnx.ml": 3},
    )
    example = {"word": np.array([["日本"], ["unheard of"]], dtype=object)}
    return SampleModel({"model.onnx": model.SerializeToString()}, example)


def every_integer() -> SampleModel:
    """One input of each integer type and FP64, [N, 1]; each comes back unchanged as ``<name>_out``."""
    nodes: list[NodeProto] = []
    inputs: list[ValueInfoProto] = []
    outputs: list[ValueInfoProto] = []
    for name, kind in _INTEGERS.items():
        nodes.append(helper.make_node("Identity", [name], [f"{name}_out"]))
        inputs.append(_rows(name, kind, 1))
        outputs.append(_rows(f"{name}_out", kind, 1))
    model = build_model(nodes, inputs, outputs)
    example = {}
    for name in _INTEGERS:
        dtype = np.dtype(name)
        top = np.iinfo(dtype).max if dtype.kind in "iu" else np.finfo(dtype).max
        example[name] = np.array([[0], [top]], dtype)
    return SampleModel({"model.onnx": model.SerializeToString()}, example)


def booleans() -> SampleModel:
    """``flags`` BOOL [N, 3] in; ``negated`` BOOL [N, 3] out."""
    model = build_model(
        [helper.make_node("Not", ["flags"], ["negated"])],
        [_rows("flags", TensorProto.BOOL, 3)],
        [_rows("negated", TensorProto.BOOL, 3)],
    )
    example = {"flags": np.array([[True, False, True], [False, False, True]])}
    return SampleModel({"model.onnx": model.SerializeToString()}, example)


def half() -> SampleModel:
    """``x`` FP16 [N, 2] in; ``doubled`` FP16 [N, 2] = x + x out."""
    model = build_model(
        [helper.make_node("Add", ["x", "x"], ["doubled"])],
        [_rows("x", TensorProto.FLOAT16, 2)],
        [_rows("doubled", TensorProto.FLOAT16, 2)],
    )
    return SampleModel(
        {"model.onnx": model.SerializeToString()}, {"x": np.array([[0.5, 1], [2, 4]], np.float16)}
    )


def dynamic_shape() -> SampleModel:
    """``x`` FP32 [?, ?, 2] in, two free dimensions, one without a name; ``total`` FP32 [] (a scalar) out."""
    shape: list[str | int | None] = ["rows", None, 2]
    model = build_model(
        [helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("total", TensorProto.FLOAT, [])],
    )
    return SampleModel({"model.onnx": model.SerializeToString()}, {"x": np.ones((2, 5, 2), np.float32)})


def _rows(name: str, kind: int, columns: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["rows", columns])
