"""Models that no one should serve: each is well-formed ONNX and names the harm it would do."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.models.external import point_to_file
from tests.models.sample import SampleModel, build_model

_MAX_INT64 = 2**63 - 1


def endless_loop() -> SampleModel:
    """Standard operators only, and one prediction that never ends: for the wall-clock watchdog."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["state", "state"], ["next"]),
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
    model = build_model(
        [helper.make_node("Loop", ["turns", "yes", "x"], ["y"], body=body)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
        [
            numpy_helper.from_array(np.array(_MAX_INT64, np.int64), "turns"),
            numpy_helper.from_array(np.array(True), "yes"),
        ],
    )
    return _hostile(model.SerializeToString())


def memory_hog() -> SampleModel:
    """A few hundred bytes of model that ask for 4 TiB at the first prediction: for the memory limit."""
    model = build_model(
        [
            helper.make_node("Expand", ["x", "huge"], ["big"]),
            helper.make_node("ReduceSum", ["big"], ["y"], keepdims=0),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
        [numpy_helper.from_array(np.array([2**20, 1, 2**20], np.int64), "huge")],
    )
    return _hostile(model.SerializeToString())


def custom_operator(domain: str = "com.attacker") -> SampleModel:
    """An operator that only a foreign shared library could supply."""
    model = build_model(
        [helper.make_node("Exfiltrate", ["x"], ["y"], domain=domain)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
        domains={domain: 1},
    )
    return _hostile(model.SerializeToString())


def external_escape(location: str = "../../etc/passwd") -> SampleModel:
    """Weights said to lie in a file outside of the model: a loader that obeys reads it."""
    weights = numpy_helper.from_array(np.zeros((1, 1), np.float32), "weights")
    model = build_model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
        [point_to_file(weights, location, 0, 4)],
    )
    return _hostile(model.SerializeToString())


def _hostile(content: bytes) -> SampleModel:
    return SampleModel({"model.onnx": content}, {"x": np.ones((2, 1), np.float32)})
