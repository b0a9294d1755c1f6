"""Models with one float input: the shape of most tabular models."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.models.sample import SampleModel, build_model


def linear_weights(features: int, seed: int = 7) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The weights that `linear` multiplies by, so that a test can compute the answer itself."""
    return np.random.default_rng(seed).standard_normal((features, 1)).astype(np.float32)


def linear(features: int = 4, seed: int = 7) -> SampleModel:
    """``score = x @ linear_weights(features, seed)``; input ``x`` FP32 [N, features]."""
    weights = linear_weights(features, seed)
    model = build_model(
        [helper.make_node("MatMul", ["x", "weights"], ["score"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", features])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [numpy_helper.from_array(weights, "weights")],
    )
    example = np.arange(2 * features, dtype=np.float32).reshape(2, features) / 10
    return SampleModel({"model.onnx": model.SerializeToString()}, {"x": example})


def wide(size_bytes: int, seed: int = 7) -> SampleModel:
    """A model of a little over ``size_bytes`` that is nearly all weights, for whole-chunk and memory tests.

    Input ``x`` FP32 [N, 16]; weights are random, so they do not compress and can be searched for.
    """
    columns = max(1, size_bytes // (16 * 4))
    weights = np.random.default_rng(seed).random((16, columns), dtype=np.float32)
    model = build_model(
        [
            helper.make_node("MatMul", ["x", "weights"], ["wide"]),
            helper.make_node("ReduceSum", ["wide", "axis"], ["score"], keepdims=1),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 16])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
        ],
    )
    return SampleModel({"model.onnx": model.SerializeToString()}, {"x": np.ones((2, 16), np.float32)})
