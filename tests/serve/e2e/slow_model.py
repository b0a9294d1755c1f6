"""A model that takes as long as its input says, so that a test can catch a request in flight."""

import numpy as np
from onnx import TensorProto, helper

from tests.models.sample import SampleModel, build_model

TURNS_A_SECOND = 1_000_000
"""About, on the machine where this was written."""


def slow() -> SampleModel:
    """``turns`` FP32 [1, 1] in, the same back as ``done`` after that many turns of an empty loop."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    model = build_model(
        [
            helper.make_node("ReduceMax", ["turns"], ["most"], keepdims=0),
            helper.make_node("Cast", ["most"], ["count"], to=TensorProto.INT64),
            helper.make_node("Loop", ["count", "yes", "turns"], ["done"], body=body),
        ],
        [helper.make_tensor_value_info("turns", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("done", TensorProto.FLOAT, ["rows", 1])],
        [yes],
    )
    return SampleModel({"model.onnx": model.SerializeToString()}, {"turns": np.ones((2, 1), np.float32)})
