"""Read OpenVINO IR: layers of known operation sets, edges that do not lead round, constants in their file.

Form: src/core/xml_util/src/xml_serialize_util.cpp of OpenVINO 2026.4; IR versions 10 and 11.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from strongroom.artifact.openvino_operations import OPERATIONS, VERSIONS
from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.tensors import MAX_ELEMENTS, MAX_RANK
from strongroom.artifact.xml_reader import Element, read_xml
from strongroom.errors import RejectedError, shorten

MAX_LAYERS = 1_000_000
MAX_EDGES = 4_000_000
MAX_BODIES = 65_536
MAX_OFFSET = 2**40
IR_VERSIONS = frozenset({"10", "11"})

_BODIES = frozenset({"body", "then_body", "else_body"})
_GRAPHS = _BODIES | {"net"}
_CHILDREN: dict[str, frozenset[str]] = {
    "net": frozenset({"layers", "edges", "rt_info", "meta_data", "pre-process"}),
    **dict.fromkeys(_BODIES, frozenset({"layers", "edges", "rt_info"})),
    "layers": frozenset({"layer"}),
    "layer": frozenset(
        {
            "data",
            "input",
            "output",
            "rt_info",
            "port_map",
            "then_port_map",
            "else_port_map",
            "back_edges",
            *_BODIES,
        }
    ),
    "input": frozenset({"port"}),
    "output": frozenset({"port"}),
    "port": frozenset({"dim", "rt_info"}),
    "edges": frozenset({"edge"}),
    "port_map": frozenset({"input", "output"}),
    "then_port_map": frozenset({"input", "output"}),
    "else_port_map": frozenset({"input", "output"}),
    "back_edges": frozenset({"edge"}),
}
"""What may stand in what; the texts of ``rt_info`` and ``meta_data`` are free."""
_FREE = frozenset({"rt_info", "meta_data"})
_BITS = {
    "boolean": 8, "u1": 1, "u2": 2, "u3": 3, "u4": 4, "u6": 6, "i4": 4, "nf4": 4, "f4e2m1": 4, "f8e4m3": 8,
    "f8e5m2": 8, "f8e8m0": 8, "i8": 8, "u8": 8, "i16": 16, "u16": 16, "f16": 16, "bf16": 16, "i32": 32,
    "u32": 32, "f32": 32, "i64": 64, "u64": 64, "f64": 64,
}  # fmt: skip
_STRING = "string"
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_SHAPE = re.compile(r"(?:[0-9]{1,15}(?:, ?[0-9]{1,15}){0,63})?", re.ASCII)
_DIMENSION = re.compile(r"-1|[0-9]{1,15}", re.ASCII)


class OperationError(RejectedError):
    """A layer whose operation is not of a standard set."""

    def __init__(self, message: str, layer: str) -> None:
        super().__init__(message, hint="custom operations run code of their own; use standard ones")
        self.layer = layer


class GraphError(RejectedError):
    """Edges that lead nowhere, or round."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A constant in the file of weights."""

    layer: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class OpenvinoModel:
    """What one model says of itself."""

    version: int
    name: str
    operations: dict[tuple[str, str], int]
    """How often each (set, operation) stands in the model, bodies included."""
    constants: tuple[Stored, ...]
    texts: tuple[tuple[str, str], ...]
    """Where and what: names, and what was noted about the conversion."""


@dataclass(slots=True)
class _Graph:
    layers: set[int] = field(default_factory=set)
    edges: list[tuple[int, int]] = field(default_factory=list)


def read_openvino(read_at: ReadAt, size_bytes: int) -> OpenvinoModel:
    """Return the structure of a model.

    Raises:
        OperationError: an operation that is not of a standard set.
        GraphError: edges that lead nowhere or round.
        DeclarationError: see `read_xml`.
        RejectedError: malformed, of another version, overflowing shapes, or beyond a bound.
    """
    reader = _Reader()
    read_xml(read_at, size_bytes, reader.start, reader.end)
    return reader.model()


class _Reader:
    def __init__(self) -> None:
        self._open: list[str] = []
        self._graphs: list[_Graph] = []
        self._layers: list[Element] = []
        self._constants: list[Stored] = []
        self._operations: Counter[tuple[str, str]] = Counter()
        self._texts: list[tuple[str, str]] = []
        self._dims: list[int] = []
        self._layers_left = MAX_LAYERS
        self._edges_left = MAX_EDGES
        self._bodies_left = MAX_BODIES
        self._free = 0
        self._root: dict[str, str] = {}

    def model(self) -> OpenvinoModel:
        return OpenvinoModel(
            int(self._root["version"]),
            self._root.get("name", ""),
            dict(sorted(self._operations.items())),
            tuple(self._constants),
            tuple(self._texts),
        )

    def start(self, element: Element) -> None:
        name = element.name
        if self._free or name in _FREE:
            self._free += 1
            self._note(element)
            return
        self._require_place(element)
        self._open.append(name)
        if name in _GRAPHS:
            self._bodies_left -= 1
            if self._bodies_left < 0:
                raise RejectedError(f"more than {MAX_BODIES} bodies of loops and branches")
            self._graphs.append(_Graph())
        elif name == "layer":
            self._layer(element)
        elif name == "data":
            self._data(element)
        elif name == "edge" and self._open[-2] == "edges":
            self._edge(element)
        elif name == "port":
            self._dims = []
            if element.attributes.get("names"):
                self._texts.append(("port", element.attributes["names"]))

    def end(self, element: Element, text: str) -> None:
        if self._free:
            self._free -= 1
            if text:
                self._texts.append((element.name, text))
            return
        if element.name == "dim":
            self._dim(text)
        elif text:
            raise RejectedError(f"text within {shorten(element.name)}")
        elif element.name in _GRAPHS:
            _require_no_way_round(self._graphs.pop())
        elif element.name == "layer":
            self._layers.pop()
        self._open.pop()

    def _require_place(self, element: Element) -> None:
        if not self._open:
            if element.name != "net" or element.attributes.get("version") not in IR_VERSIONS:
                raise RejectedError(
                    "not an OpenVINO model of version 10 or 11",
                    hint="convert the model with a current OpenVINO",
                )
            self._root = element.attributes
            self._note(element)
        elif element.name not in _CHILDREN.get(self._open[-1], frozenset()):
            raise RejectedError(f"{shorten(element.name)} within {self._open[-1]} is not known")
        if element.namespace:
            raise RejectedError(f"{shorten(element.name)} is of the namespace {shorten(element.namespace)}")

    def _note(self, element: Element) -> None:
        words = [f"{key}: {value}" for key, value in element.attributes.items() if value]
        if words:
            self._texts.append((element.name, "\n".join(words)))

    def _layer(self, element: Element) -> None:
        self._layers_left -= 1
        if self._layers_left < 0:
            raise RejectedError(f"more than {MAX_LAYERS} layers")
        attributes = element.attributes
        operation, version = attributes.get("type", ""), attributes.get("version", "")
        if operation not in OPERATIONS or version not in VERSIONS:
            raise OperationError(
                f"operation {shorten(operation)} of {shorten(version)} is not one of the standard sets",
                attributes.get("name", ""),
            )
        number = _number(attributes.get("id"), "the id of a layer")
        if number in self._graphs[-1].layers:
            raise GraphError(f"two layers have the id {number}")
        self._graphs[-1].layers.add(number)
        self._operations[version, operation] += 1
        self._layers.append(element)
        if attributes.get("name"):
            self._texts.append(("layer", attributes["name"]))

    def _data(self, element: Element) -> None:
        layer = self._layers[-1].attributes
        if layer["type"] != "Const":
            self._note(element)
            return
        attributes = element.attributes
        kind, shape = attributes.get("element_type", ""), attributes.get("shape", "")
        offset = _number(attributes.get("offset"), "the offset of a constant")
        size = _number(attributes.get("size"), "the size of a constant")
        if _SHAPE.fullmatch(shape) is None:
            raise RejectedError(f"the shape of a constant is {shorten(shape)}")
        elements = prod(int(part) for part in shape.split(",") if part)
        if elements > MAX_ELEMENTS or offset > MAX_OFFSET or size > MAX_OFFSET:
            raise RejectedError("a constant whose shape, offset or size overflows")
        if kind not in _BITS and kind != _STRING:
            raise RejectedError(f"a constant of the unknown type {shorten(kind)}")
        if kind != _STRING and size != _size_bytes(elements, kind):
            raise RejectedError(f"a constant of {size} bytes, which its shape {shorten(shape)} does not have")
        self._constants.append(Stored(layer.get("name", ""), offset, size))

    def _edge(self, element: Element) -> None:
        self._edges_left -= 1
        if self._edges_left < 0:
            raise RejectedError(f"more than {MAX_EDGES} edges")
        source = _number(element.attributes.get("from-layer"), "the source of an edge")
        target = _number(element.attributes.get("to-layer"), "the target of an edge")
        self._graphs[-1].edges.append((source, target))

    def _dim(self, text: str) -> None:
        text = text.strip()
        if _DIMENSION.fullmatch(text) is None:
            raise RejectedError(f"a dimension {shorten(text)}")
        self._dims.append(int(text))
        if len(self._dims) > MAX_RANK or prod(dim for dim in self._dims if dim > 0) > MAX_ELEMENTS:
            raise RejectedError("a shape that overflows")


def _size_bytes(elements: int, kind: str) -> int:
    return -(-elements * _BITS[kind] // 8)


def _number(text: str | None, what: str) -> int:
    if text is None or _NUMBER.fullmatch(text) is None:
        raise RejectedError(f"{what} is {shorten(text)}")
    return int(text)


def _require_no_way_round(graph: _Graph) -> None:
    waiting: Counter[int] = Counter()
    targets: dict[int, list[int]] = {}
    for source, target in graph.edges:
        if source not in graph.layers or target not in graph.layers:
            raise GraphError(f"an edge from layer {source} to layer {target}, of which one does not exist")
        waiting[target] += 1
        targets.setdefault(source, []).append(target)
    ready = [layer for layer in graph.layers if not waiting[layer]]
    done = sum(1 for _ in _drain(ready, waiting, targets))
    if done != len(graph.layers):
        raise GraphError("layers whose edges lead round")


def _drain(ready: list[int], waiting: Counter[int], targets: dict[int, list[int]]) -> Iterator[int]:
    """Yield each layer once all that leads to it was yielded."""
    while ready:
        layer = ready.pop()
        yield layer
        for target in targets.get(layer, ()):
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
