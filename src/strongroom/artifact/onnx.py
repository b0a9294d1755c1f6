"""Read the structure of an ONNX model: what goes in and out, which operators it runs, where its weights lie.

The bytes of tensors are never read. Every message is checked against onnx.proto of IR version 14: an unknown
field, a field given twice where one is allowed, a wrong wire type, a cut or an overflow refuses the model,
because readers may differ on such bytes. Format: https://github.com/onnx/onnx/blob/main/docs/IR.md
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from strongroom.artifact.onnx_values import (
    PAIR,
    ExternalData,
    StoredTensor,
    read_sparse,
    read_tensor,
    read_value,
)
from strongroom.artifact.operators import KNOWN_OPERATORS, MAX_IR_VERSION, MAX_OPSETS
from strongroom.artifact.protobuf import MAX_TEXT_BYTES, NO_SPAN, ReadAt, Span, Wire
from strongroom.artifact.tensors import TensorSpec
from strongroom.errors import RejectedError, shorten

MIN_IR_VERSION = 3
MAX_NODES = 1_000_000
MAX_TENSORS = 1_000_000
MAX_FUNCTIONS = 4096
MAX_GRAPH_DEPTH = 16
MAX_METADATA = 1024
MAX_VALUES = 4096

MODEL_FIELDS = {
    1: "v", 2: "b", 3: "b", 4: "b", 5: "v", 6: "b", 7: "b", 8: "b*", 14: "b*", 20: "b*", 25: "b*", 26: "b*",
}  # fmt: skip
_OPSET = {1: "b", 2: "v"}
_GRAPH = {
    1: "b*", 2: "b", 5: "b*", 10: "b", 11: "b*", 12: "b*", 13: "b*", 14: "b*", 15: "b*", 16: "b*",
}  # fmt: skip
_NODE = {1: "b+", 2: "b+", 3: "b", 4: "b", 5: "b*", 6: "b", 7: "b", 8: "b", 9: "b*", 10: "b*"}
_ATTRIBUTE = {
    1: "b", 2: "f", 3: "v", 4: "b", 5: "b", 6: "b", 7: "f+", 8: "v+", 9: "b+", 10: "b*", 11: "b*", 13: "b",
    14: "b", 15: "b*", 20: "v", 21: "b", 22: "b", 23: "b*",
}  # fmt: skip
_FUNCTION = {
    1: "b", 4: "b*", 5: "b*", 6: "b*", 7: "b*", 8: "b", 9: "b*", 10: "b", 11: "b*", 12: "b*", 13: "b",
    14: "b*",
}  # fmt: skip

Operator = tuple[str, str]
"""Domain and name; the default domain is empty."""


class OperatorError(RejectedError):
    """An operator that is not one of the allowed ones."""

    def __init__(self, message: str, *, hint: str | None = None, node: str = "") -> None:
        super().__init__(message, hint=hint)
        self.node = node
        """Name of the first node that uses it, as its author wrote it; empty if it has none."""


class SelfReferenceError(RejectedError):
    """Functions that call themselves or one another without end, or graphs nested beyond their bound."""


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """What the structure of one ONNX file says."""

    ir_version: int
    opsets: dict[str, int]
    producer: str
    inputs: tuple[TensorSpec, ...]
    """What a caller must give: graph inputs without a stored value."""
    outputs: tuple[TensorSpec, ...]
    initializers: frozenset[str]
    external: tuple[ExternalData, ...]
    operators: dict[Operator, int]
    """How often each operator stands in the model, local functions and inner graphs included."""
    functions: frozenset[Operator]
    metadata: dict[str, str]
    forms: dict[str, str] = field(default_factory=dict, compare=False)
    """Type and shape of each stored tensor that has a name."""


@dataclass(slots=True)
class _Body:
    """What has been found in a graph or function, inner graphs included."""

    operators: Counter[Operator] = field(default_factory=Counter)
    tensors: list[StoredTensor] = field(default_factory=list)
    users: dict[Operator, str] = field(default_factory=dict)
    """Name of the first node that uses each operator."""


def read_onnx(read_at: ReadAt, size_bytes: int, path: str) -> OnnxModel:
    """Return the structure of an ONNX model.

    Raises:
        RejectedError: it is malformed, newer than what is known here, or uses an operator not allowed.
    """
    return _Reader(Wire(read_at, size_bytes, f"entry {shorten(path)}")).read()


class _Reader:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._nodes_left = MAX_NODES
        self._tensors_left = MAX_TENSORS

    def read(self) -> OnnxModel:
        wire = self._wire
        ir_version, producer, graph = 0, ["", ""], NO_SPAN
        opsets: list[Span] = []
        functions: list[Span] = []
        metadata: list[tuple[str, str]] = []
        for number, value, part in wire.message((0, wire.size_bytes), MODEL_FIELDS):
            match number:
                case 1:
                    ir_version = value
                case 2 | 3:
                    producer[number - 2] = wire.text(part)
                case 7:
                    graph = part
                case 8:
                    opsets.append(part)
                case 14:
                    metadata.append(self._metadata(part))
                case 20:
                    raise wire.reject("has training information; export the model for inference")
                case 25:
                    functions.append(part)
        self._require_bounded(len(opsets), MAX_FUNCTIONS, "opset imports")
        self._require_bounded(len(functions), MAX_FUNCTIONS, "functions")
        self._require_bounded(len(metadata), MAX_METADATA, "metadata")
        if not MIN_IR_VERSION <= ir_version <= MAX_IR_VERSION:
            raise wire.reject(f"IR version {ir_version} is not within {MIN_IR_VERSION} and {MAX_IR_VERSION}")
        if graph == NO_SPAN:
            raise wire.reject("has no graph")
        body = _Body()
        inputs, outputs, initializers = self._graph(graph, body, 0)
        local, inner_opsets = self._functions(functions, body)
        domains = {domain for domain, _ in local}
        versions = self._opsets(opsets, domains)
        imported = versions.keys() | {name for spans in inner_opsets for name in self._opsets(spans, domains)}
        self._require_known(body.users, imported, local)
        return OnnxModel(
            ir_version,
            versions,
            " ".join(filter(None, producer)),
            self._unique("input", [spec for spec in inputs if spec.name not in initializers]),
            self._unique("output", outputs),
            frozenset(initializers),
            tuple(tensor.external for tensor in body.tensors if tensor.external),
            dict(sorted(body.operators.items())),
            frozenset(local),
            dict(metadata),
            {tensor.name: tensor.form for tensor in body.tensors if tensor.name},
        )

    def _graph(
        self, span: Span, body: _Body, depth: int
    ) -> tuple[list[TensorSpec], list[TensorSpec], set[str]]:
        """Collect a graph; return inputs and outputs of the outermost, and the names of stored values."""
        if depth > MAX_GRAPH_DEPTH:
            raise SelfReferenceError(f"{self._wire.what}: graphs nested deeper than {MAX_GRAPH_DEPTH}")
        inputs: list[TensorSpec] = []
        outputs: list[TensorSpec] = []
        stored: list[str] = []
        for number, _, part in self._wire.message(span, _GRAPH):
            match number:
                case 1:
                    self._node(part, body, depth)
                case 5:
                    stored.append(self._tensor(part, body))
                case 11 | 12 if not depth:
                    (inputs if number == 11 else outputs).append(read_value(self._wire, part))
                    # Before IR version 4 every stored tensor is listed among the inputs as well.
                    self._require_bounded(len(inputs) + len(outputs), MAX_VALUES + MAX_TENSORS, "values")
                case 15:
                    stored += self._sparse(part, body)
        names = set(stored)
        if len(names) != len(stored):
            raise self._wire.reject("two stored tensors have one name")
        return inputs, outputs, names

    def _node(self, span: Span, body: _Body, depth: int) -> None:
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise self._wire.reject(f"more than {MAX_NODES} nodes")
        domain = name = node = ""
        for number, _, part in self._wire.message(span, _NODE):
            match number:
                case 3:
                    node = self._wire.text(part)
                case 4:
                    name = self._wire.text(part, 256)
                case 7:
                    domain = _plain(self._wire.text(part, 256))
                case 5:
                    self._attribute(part, body, depth)
        body.operators[domain, name] += 1
        body.users.setdefault((domain, name), node)

    def _attribute(self, span: Span, body: _Body, depth: int) -> None:
        for number, _, part in self._wire.message(span, _ATTRIBUTE):
            match number:
                case 5 | 10:
                    self._tensor(part, body)
                case 6 | 11:
                    self._graph(part, body, depth + 1)
                case 22 | 23:
                    self._sparse(part, body)

    def _functions(self, spans: Iterable[Span], body: _Body) -> tuple[set[Operator], list[list[Span]]]:
        """Collect the local functions; return their names and what each of them imports."""
        calls: dict[Operator, Counter[Operator]] = {}
        used = body.operators.copy()
        imports: list[list[Span]] = []
        for span in spans:
            domain = name = overload = ""
            inner = _Body()
            imports.append([])
            for number, _, part in self._wire.message(span, _FUNCTION):
                match number:
                    case 1:
                        name = self._wire.text(part, 256)
                    case 7:
                        self._node(part, inner, 0)
                    case 9:
                        imports[-1].append(part)
                    case 10:
                        domain = _plain(self._wire.text(part, 256))
                    case 11:
                        self._attribute(part, inner, 0)
                    case 13:
                        overload = self._wire.text(part, 256)
            if domain in KNOWN_OPERATORS:
                raise self._wire.reject(f"defines {shorten(name)} anew in a standard domain")
            if (domain, name) in calls or overload:
                raise self._wire.reject(f"defines {shorten(name)} more than once")
            calls[domain, name] = inner.operators
            body.operators.update(inner.operators)
            body.users = inner.users | body.users
            body.tensors += inner.tensors
        self._require_bounded_calls(calls, used)
        return set(calls), imports

    def _require_bounded_calls(
        self, calls: dict[Operator, Counter[Operator]], used: Counter[Operator]
    ) -> None:
        """Runtimes put the body of a function in place of each call: it must end, within a bound."""
        callers: dict[Operator, list[Operator]] = {name: [] for name in calls}
        missing = dict.fromkeys(calls, 0)
        for name, inner in calls.items():
            for called in inner.keys() & calls.keys():
                callers[called].append(name)
                missing[name] += 1
        nodes: dict[Operator, int] = {}
        ready = [name for name, count in missing.items() if not count]
        while ready:
            name = ready.pop()
            total = sum(count * nodes.get(called, 1) for called, count in calls[name].items())
            nodes[name] = min(total, MAX_NODES + 1)
            for caller in callers[name]:
                missing[caller] -= 1
                if not missing[caller]:
                    ready.append(caller)
        if len(nodes) < len(calls):
            first = min(name for name in calls if name not in nodes)
            raise SelfReferenceError(f"{self._wire.what}: function {shorten(first[1])} calls itself")
        if sum(count * nodes.get(called, 1) for called, count in used.items()) > MAX_NODES:
            raise SelfReferenceError(
                f"{self._wire.what}: functions that call one another come to more than {MAX_NODES} nodes"
            )

    def _opsets(self, spans: Iterable[Span], local: set[str]) -> dict[str, int]:
        versions: dict[str, int] = {}
        for span in spans:
            domain, version = "", 0
            for number, value, part in self._wire.message(span, _OPSET):
                if number == 1:
                    domain = _plain(self._wire.text(part, 256))
                else:
                    version = value
            # skl2onnx without ZipMap imports the default domain twice, in the same version.
            if versions.get(domain, version) != version:
                raise self._wire.reject(f"imports domain {shorten(domain)} in two versions")
            limit = MAX_OPSETS.get(domain)
            if limit is not None and not 1 <= version <= limit:
                raise RejectedError(
                    f"{self._wire.what}: opset {version} of domain {shorten(domain)} is not known",
                    hint=f"export with a target opset of at most {limit}",
                )
            if limit is not None or domain in local:
                versions[domain] = version
        return versions

    def _require_known(self, used: Mapping[Operator, str], imported: set[str], local: set[Operator]) -> None:
        for (domain, name), node in used.items():
            if (domain, name) in local:
                continue
            if name not in KNOWN_OPERATORS.get(domain, ()):
                shown = f"{domain or 'ai.onnx'}:{name}"
                raise OperatorError(
                    f"{self._wire.what}: operator {shorten(shown)} is not one of the allowed operators",
                    hint="custom operators run code of their own; export the model with standard operators",
                    node=node,
                )
            if domain not in imported:
                raise self._wire.reject(f"uses domain {shorten(domain)} without importing it")

    def _metadata(self, span: Span) -> tuple[str, str]:
        """Key and value; a value too long to look at is left out."""
        key = value = ""
        for number, _, (start, end) in self._wire.message(span, PAIR):
            if number == 1:
                key = self._wire.text((start, end))
            elif end - start <= MAX_TEXT_BYTES:
                value = self._wire.text((start, end))
        return key, value

    def _tensor(self, span: Span, body: _Body) -> str:
        self._count_tensor()
        tensor = read_tensor(self._wire, span)
        if tensor.external:
            body.tensors.append(tensor)
        return tensor.name

    def _sparse(self, span: Span, body: _Body) -> list[str]:
        """Values and indices; the name of the values is the name of the whole."""
        self._count_tensor()
        parts = read_sparse(self._wire, span)
        body.tensors += [part for part in parts if part.external]
        return [part.name for part in parts[:1]]

    def _count_tensor(self) -> None:
        self._tensors_left -= 1
        if self._tensors_left < 0:
            raise self._wire.reject(f"more than {MAX_TENSORS} stored tensors")

    def _require_bounded(self, count: int, limit: int, what: str) -> None:
        if count > limit:
            raise self._wire.reject(f"more than {limit} {what}")

    def _unique(self, what: str, specs: list[TensorSpec]) -> tuple[TensorSpec, ...]:
        self._require_bounded(len(specs), MAX_VALUES, f"{what}s")
        if len({spec.name for spec in specs}) != len(specs):
            raise self._wire.reject(f"two {what}s have one name")
        return tuple(specs)


def _plain(domain: str) -> str:
    """``ai.onnx`` is another spelling of the default domain (IR.md, Operator Sets)."""
    return "" if domain == "ai.onnx" else domain
