"""An ONNX model of matrix products, its weights inside or in a file beside it."""

from pathlib import Path

import onnx
from models.weights import MATRIX, MATRIX_BYTES, count_matrices, write_matrix
from onnx import TensorProto, helper

_WEIGHTS = "model.onnx_data"


def make_single(mib: int, folder: Path) -> Path:
    """Everything in one file, below the 2 GiB of a protobuf message."""
    scratch = folder / "weights.tmp"
    tensors = []
    for index in range(count_matrices(mib)):
        with scratch.open("wb") as file:
            write_matrix(file, index)
        tensor = _tensor(index)
        tensor.raw_data = scratch.read_bytes()
        tensors.append(tensor)
    scratch.unlink()
    path = folder / "model.onnx"
    path.write_bytes(_model(tensors).SerializeToString())
    return path


def make_external(mib: int, folder: Path) -> Path:
    """The folder of a graph and the file of its weights."""
    tensors = []
    with (folder / _WEIGHTS).open("wb") as file:
        for index in range(count_matrices(mib)):
            write_matrix(file, index)
            tensor = _tensor(index)
            tensor.data_location = TensorProto.EXTERNAL
            facts = {"location": _WEIGHTS, "offset": index * MATRIX_BYTES, "length": MATRIX_BYTES}
            for key, value in facts.items():
                tensor.external_data.add(key=key, value=str(value))
            tensors.append(tensor)
    (folder / "model.onnx").write_bytes(_model(tensors).SerializeToString())
    return folder


def _tensor(index: int) -> TensorProto:
    return TensorProto(name=f"weight_{index}", data_type=TensorProto.FLOAT, dims=MATRIX)


def _model(tensors: list[TensorProto]) -> onnx.ModelProto:
    nodes = []
    for index, tensor in enumerate(tensors):
        nodes += [
            helper.make_node("MatMul", ["input", tensor.name], [f"product_{index}"]),
            helper.make_node("Relu", [f"product_{index}"], [f"active_{index}"]),
        ]
    nodes.append(helper.make_node("Sum", [f"active_{index}" for index in range(len(tensors))], ["output"]))
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", MATRIX[0]])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", MATRIX[1]])],
        initializer=tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
