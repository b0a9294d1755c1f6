"""Read the structure of a TensorFlow Lite model: operators, tensors, which subgraph calls which.

Schema: tensorflow/compiler/mlir/lite/schema/schema.fbs (version 3, with the fields of 2025).
"""

from dataclasses import dataclass, field
from math import prod

from strongroom.artifact.flatbuffers import FlatFile, Table
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

MAX_SUBGRAPHS = 10_000
MAX_RANK = 64
MAX_ACTIVATION_BYTES = 2**36
"""Of one tensor that is computed; more is a bomb."""
MAX_OPTIONS_BYTES = 16 * 2**20
MAX_METADATA_BYTES = 2**20
CUSTOM, DELEGATE, PLACEHOLDER, CUSTOM_CALL = 32, 51, 127, 173
LAST_OPERATOR = 209

_VERSION = 3
# Which fields of an operator's options name subgraphs: options field, then fields in them (BuiltinOperator).
_CALLS = {
    31: (4, (0,)), 118: (4, (0, 1)), 119: (4, (0, 1)), 129: (4, (0,)), 174: (12, (1,)), 190: (12, (6,)),
    198: (12, (5,)), 199: (12, (2,)), 200: (12, (0, 1)), 206: (12, (1,)),
}  # fmt: skip
_CASE = 209
# Bits of an element by TensorType; texts (5), resources (13) and variants (14) have none.
_BITS = {
    0: 32, 1: 16, 2: 32, 3: 8, 4: 64, 6: 8, 7: 16, 8: 64, 9: 8, 10: 64, 11: 128, 12: 64, 15: 32, 16: 16,
    17: 4, 18: 16, 19: 2, 20: 4,
}  # fmt: skip
_UNSIZED = frozenset({5, 13, 14})


@dataclass(frozen=True, slots=True)
class CustomUse:
    """A custom operator where it is used, with its options."""

    name: str
    options: bytes
    where: str


@dataclass(slots=True)
class TfliteModel:
    custom: list[CustomUse] = field(default_factory=list)
    operators: set[int] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)
    end: int = 0
    """Behind the structure; files may be appended there."""


def read_tflite(read_at: ReadAt, size_bytes: int) -> TfliteModel:
    """Return what the structure of a model says.

    Raises:
        RejectedError: an offset out of the file, unknown fields or operators, numbers of tensors, buffers or
            subgraphs that there are not, constants of another size than their dimensions, subgraphs that call
            themselves, weights in other files.
    """
    return _Reader(FlatFile(read_at, size_bytes)).read()


class _Reader:
    def __init__(self, file: FlatFile) -> None:
        self._file = file
        self._model = TfliteModel()
        self._codes: list[tuple[int, str]] = []
        self._buffer_sizes: list[int] = []
        self._calls: list[set[int]] = []

    def read(self) -> TfliteModel:
        self._file.require(0, 8)
        root = self._file.root()
        root.require_known(10)
        if root.number(0, 4) != _VERSION:
            raise RejectedError(f"schema version {root.number(0, 4)} is not known")
        if root.vector(8, 4)[1] or root.vector(9, 4)[1]:
            raise RejectedError("the model keeps weights in other files, which only one runtime reads")
        self._codes = [self._code(code) for code in root.tables(1)]
        buffers = root.tables(4)
        self._buffer_sizes = [self._buffer(buffer) for buffer in buffers]
        subgraphs = root.tables(2)
        if not 0 < len(subgraphs) <= MAX_SUBGRAPHS:
            raise RejectedError("the model has no graph, or too many")
        for number, subgraph in enumerate(subgraphs):
            self._calls.append(self._subgraph(subgraph, number, len(subgraphs)))
        self._require_no_recursion()
        self._text(root.text(3))
        root.vector(5, 4)
        self._metadata(root, buffers)
        self._signatures(root, len(subgraphs))
        self._model.end = self._file.end
        return self._model

    def _text(self, text: str) -> None:
        if len(text) > 3:
            self._model.texts.append(text)

    def _code(self, code: Table) -> tuple[int, str]:
        code.require_known(4)
        number = max(code.signed(0, 1), code.signed(3, 4))  # the old field holds a byte only
        if not 0 <= number <= LAST_OPERATOR or number in (DELEGATE, PLACEHOLDER):
            raise RejectedError(f"operator {number} is not known")
        self._model.operators.add(number)
        return number, code.text(1)

    def _buffer(self, buffer: Table) -> int:
        """Return the size of a buffer. Those beyond 2 GiB lie behind the structure."""
        buffer.require_known(3)
        count = buffer.vector(0, 1)[1]
        offset, size = buffer.number(1, 8), buffer.number(2, 8)
        if offset > 1:
            if count:
                raise RejectedError("a buffer lies in two places")
            self._file.require(offset, size)
            return size
        return count

    def _subgraph(self, graph: Table, number: int, subgraphs: int) -> set[int]:
        graph.require_known(6)
        tensors = graph.tables(0)
        for tensor in tensors:
            self._tensor(tensor)
        self._require_tensors(graph.integers(1) + graph.integers(2), len(tensors))
        self._text(graph.text(4))
        calls: set[int] = set()
        for index, operator in enumerate(graph.tables(3)):
            calls |= self._operator(operator, f"subgraph {number}, operator {index}", len(tensors))
        if any(not 0 <= call < subgraphs for call in calls):
            raise RejectedError("an operator calls a graph that there is not")
        return calls

    def _require_tensors(self, numbers: list[int], count: int) -> None:
        if any(not -1 <= number < count for number in numbers):
            raise RejectedError("an operator uses a tensor that there is not")

    def _tensor(self, tensor: Table) -> None:
        tensor.require_known(11)
        shape = tensor.integers(0)
        kind = tensor.number(1, 1)
        self._text(tensor.text(3))
        signature = tensor.integers(7)
        if len(shape) > MAX_RANK or len(signature) > MAX_RANK or min([*shape, *signature], default=0) < -1:
            raise RejectedError("a tensor has dimensions that none can have")
        if tensor.number(10, 4):
            raise RejectedError("the model keeps weights in other files, which only one runtime reads")
        quantization = tensor.table(4)
        if quantization is not None:
            quantization.require_known(7)
            for part, width in ((0, 4), (1, 4), (2, 4), (3, 8)):
                quantization.vector(part, width)
            quantization.table(5)
        for variant in tensor.tables(9):
            variant.require_known(3)
        sparsity = tensor.table(6)
        buffer = tensor.number(2, 4)
        if buffer >= len(self._buffer_sizes):
            raise RejectedError("a tensor lies in a buffer that there is not")
        self._require_size(shape, kind, self._buffer_sizes[buffer], is_sparse=sparsity is not None)

    def _require_size(self, shape: list[int], kind: int, stored: int, is_sparse: bool) -> None:
        if kind not in _BITS:
            if kind not in _UNSIZED:
                raise RejectedError(f"tensors of type {kind} are not known")
            return
        size = (prod(max(length, 0) for length in shape) * _BITS[kind] + 7) // 8
        if size > MAX_ACTIVATION_BYTES:
            raise RejectedError(f"a tensor of {size} bytes")
        if stored and stored != size and not is_sparse:
            raise RejectedError(f"a constant of {size} bytes in a buffer of {stored}")

    def _operator(self, operator: Table, where: str, tensors: int) -> set[int]:
        operator.require_known(14)
        index = operator.number(0, 4)
        if index >= len(self._codes):
            raise RejectedError("an operator has a code that there is not")
        self._require_tensors(operator.integers(1) + operator.integers(2) + operator.integers(8), tensors)
        operator.vector(7, 1)
        for part in (4, 12):
            if operator.has(part):
                operator.table(part)
        number, name = self._codes[index]
        if number == CUSTOM:
            self._model.custom.append(CustomUse(name, self._options(operator), where))
        elif number == CUSTOM_CALL:
            options = operator.table(12)
            target = options.text(0) if options is not None else ""
            self._model.custom.append(CustomUse(target or "STABLEHLO_CUSTOM_CALL", b"", where))
        return self._called(operator, number)

    def _options(self, operator: Table) -> bytes:
        offset, size = operator.number(9, 8), operator.number(10, 8)
        if offset <= 1:
            return operator.data(5, MAX_OPTIONS_BYTES)
        if operator.vector(5, 1)[1] or size > MAX_OPTIONS_BYTES:
            raise RejectedError("the options of an operator lie in two places, or are too long")
        return self._file.read(offset, size)

    def _called(self, operator: Table, number: int) -> set[int]:
        if number == _CASE:
            options = operator.table(12)
            return set(options.integers(0)) if options is not None else set()
        if number not in _CALLS:
            return set()
        part, fields = _CALLS[number]
        options = operator.table(part)
        if options is None:
            raise RejectedError("an operator does not say which graph it calls")
        return {options.signed(name, 4) for name in fields}

    def _require_no_recursion(self) -> None:
        """A runtime goes into a graph for each call, so that recursion exhausts its stack."""
        open_calls = [0] * len(self._calls)
        callers = [set[int]() for _ in self._calls]
        for caller, calls in enumerate(self._calls):
            open_calls[caller] = len(calls)
            for called in calls:
                callers[called].add(caller)
        done = [number for number, count in enumerate(open_calls) if not count]
        for number in done:  # grows while it is walked
            for caller in callers[number]:
                open_calls[caller] -= 1
                if not open_calls[caller]:
                    done.append(caller)
        if len(done) != len(self._calls):
            raise RejectedError("a graph calls itself")

    def _metadata(self, root: Table, buffers: list[Table]) -> None:
        for entry in root.tables(6):
            entry.require_known(2)
            number = entry.number(1, 4)
            if number >= len(buffers):
                raise RejectedError(f"metadata {shorten(entry.text(0))} lies in a buffer that there is not")
            if self._buffer_sizes[number] <= MAX_METADATA_BYTES and buffers[number].has(0):
                data = buffers[number].data(0, MAX_METADATA_BYTES)
                self._text(f"{entry.text(0)}\n{data.decode('utf-8', 'replace')}")

    def _signatures(self, root: Table, subgraphs: int) -> None:
        for signature in root.tables(7):
            signature.require_known(5)
            if signature.number(4, 4) >= subgraphs:
                raise RejectedError("a signature names a graph that there is not")
            for part in (0, 1):
                for entry in signature.tables(part):
                    entry.require_known(2)
                    self._text(entry.text(0))
            self._text(signature.text(2))
