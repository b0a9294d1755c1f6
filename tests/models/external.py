"""A model whose weights lie in a second file, as exporters write large models."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.models.sample import SampleModel, build_model

_COLUMNS = 64


def external_data(location: str = "weights/part-0.bin") -> SampleModel:
    """``x`` FP32 [N, 64] in; ``score`` = x @ weights + bias out; both tensors lie in the one external file.

    The second tensor starts at offset 4096, as exporters align them.
    """
    random = np.random.default_rng(11)
    weights = random.standard_normal((_COLUMNS, 3)).astype(np.float32)
    bias = random.standard_normal(3).astype(np.float32)
    first = weights.tobytes()
    blob = first.ljust(4096, b"\0") + bias.tobytes()
    model = build_model(
        [
            helper.make_node("MatMul", ["x", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["score"]),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", _COLUMNS])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 3])],
        [
            point_to_file(numpy_helper.from_array(weights, "weights"), location, 0, len(first)),
            point_to_file(numpy_helper.from_array(bias, "bias"), location, 4096, bias.nbytes),
        ],
    )
    return SampleModel(
        {"model.onnx": model.SerializeToString(), location: blob},
        {"x": np.ones((2, _COLUMNS), np.float32)},
    )


def point_to_file(tensor: TensorProto, location: str, offset: int, length: int) -> TensorProto:
    """Replace the tensor's bytes by a reference to a range of ``location``."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor
