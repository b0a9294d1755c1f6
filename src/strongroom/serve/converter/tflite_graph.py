"""The one graph of a TensorFlow Lite model: tensors with their constants, operators with their options."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from strongroom.artifact.flatbuffers import FlatFile, Table
from strongroom.artifact.tflite import read_tflite
from strongroom.errors import InvalidError, RejectedError, shorten

MAX_OPERATORS = 20_000
MAX_CONSTANT_BYTES = 2**32
CUSTOM = 32
# TensorType of schema.fbs
_TYPES: dict[int, Any] = {
    0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 7: np.int16, 9: np.int8,
    10: np.float64,
}  # fmt: skip
_QUANTIZED = frozenset({np.dtype(np.uint8), np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32)})

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Grid:
    """Which real numbers the whole numbers of a tensor stand for."""

    scales: Array
    zeros: Array
    axis: int

    def spread(self, rank: int) -> tuple[Array, Array]:
        """Scales and zero points, shaped to be computed with a tensor of so many dimensions."""
        if len(self.scales) == 1:
            return self.scales, self.zeros
        shape = [1] * rank
        shape[self.axis] = -1
        return self.scales.reshape(shape), self.zeros.reshape(shape)


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    """-1: any."""
    constant: Array | None
    grid: Grid | None


@dataclass(frozen=True)
class Operator:
    code: int
    inputs: list[int]
    """-1: left out."""
    outputs: list[int]
    options: Table | None

    def number(self, field: int, size: int = 4, default: int = 0) -> int:
        return self.options.signed(field, size, default) if self.options is not None else default

    def real(self, field: int, default: float = 0.0) -> float:
        if self.options is None or not self.options.has(field):
            return default
        bits = self.options.number(field, 4)
        return float(np.frombuffer(bits.to_bytes(4, "little"), np.float32)[0])

    def numbers(self, field: int) -> list[int]:
        return self.options.integers(field) if self.options is not None else []


@dataclass(frozen=True)
class Graph:
    tensors: list[Tensor]
    inputs: list[int]
    outputs: list[int]
    operators: list[Operator]


def read_graph(content: bytes) -> Graph:
    """Return the model's graph.

    Raises:
        RejectedError: malformed.
        InvalidError: it has several graphs, or tensors of types that are not converted.
    """

    def read_at(offset: int, size: int) -> bytes:
        return content[offset : offset + size]

    read_tflite(read_at, len(content))
    root = FlatFile(read_at, len(content)).root()
    graphs = root.tables(2)
    if len(graphs) != 1:
        raise InvalidError("original: has graphs that call one another, which are not converted")
    graph = graphs[0]
    codes = [max(code.signed(0, 1), code.signed(3, 4)) for code in root.tables(1)]
    buffers = root.tables(4)
    left = MAX_CONSTANT_BYTES
    tensors = []
    for table in graph.tables(0):
        tensor = _tensor(table, buffers, left)
        left -= tensor.constant.nbytes if tensor.constant is not None else 0
        tensors.append(tensor)
    operators = [
        Operator(
            codes[one.number(0, 4)], one.integers(1), one.integers(2), one.table(4) if one.has(4) else None
        )
        for one in graph.tables(3)
    ]
    if len(operators) > MAX_OPERATORS:
        raise InvalidError(f"original: more than {MAX_OPERATORS} operators")
    inputs, outputs = graph.integers(1), graph.integers(2)
    if not inputs or not outputs or min(inputs + outputs) < 0:
        raise RejectedError("original: takes or answers nothing")
    return Graph(tensors, inputs, outputs, operators)


def _tensor(table: Table, buffers: list[Table], left: int) -> Tensor:
    kind, name = table.number(1, 1), table.text(3)
    dtype = _TYPES.get(kind)
    if dtype is None:
        raise InvalidError(f"original: tensor {shorten(name, 60)} is of a type that is not converted")
    shape = tuple(table.integers(0))
    signature = tuple(table.integers(7)) or shape
    if len(signature) != len(shape):
        raise RejectedError("original: a tensor has two numbers of dimensions")
    buffer = buffers[table.number(2, 4)]
    if buffer.number(1, 8) > 1:
        raise InvalidError("original: keeps weights behind its structure, which is not converted")
    constant = None
    at, size = buffer.vector(0, 1)
    if size:
        if size > left or size != math.prod(shape) * np.dtype(dtype).itemsize:
            raise RejectedError(
                f"original: constant {shorten(name, 60)} has another size than its dimensions"
            )
        constant = np.frombuffer(buffer.file.read(at, size), dtype).reshape(shape)
    if table.has(6):
        raise InvalidError("original: has sparse weights, which are not converted")
    return Tensor(
        name, np.dtype(dtype), shape if constant is not None else signature, constant, _grid(table, dtype)
    )


def _grid(table: Table, dtype: Any) -> Grid | None:
    quantization = table.table(4) if table.has(4) else None
    if quantization is None or np.dtype(dtype) not in _QUANTIZED:
        return None
    at, count = quantization.vector(2, 4)
    zeros_at, zeros = quantization.vector(3, 8)
    if not count:
        return None
    scales = np.frombuffer(quantization.file.read(at, 4 * count), np.float32)
    points = (
        np.frombuffer(quantization.file.read(zeros_at, 8 * zeros), np.int64)
        if zeros
        else np.zeros(1, np.int64)
    )
    if len(points) not in (1, count) or not np.all(np.isfinite(scales)) or not np.all(scales > 0):
        raise RejectedError("original: a tensor is quantized in a way that none can be")
    rank = len(table.integers(0))
    axis = quantization.signed(6, 4)
    if count > 1 and not 0 <= axis < rank:
        raise RejectedError("original: a tensor is quantized along a dimension that it has not")
    return Grid(scales, np.broadcast_to(points, (count,)).copy(), axis)
