"""Read the structure of a TensorFlow SavedModel: graphs, functions, signatures, assets, objects; no weights.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/saved_model.proto
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from strongroom.artifact import saved_model_fields as fields
from strongroom.artifact.protobuf import NO_SPAN, Fields, ReadAt, Span, Wire, signed
from strongroom.errors import shorten

MAX_GRAPHS = 16
MAX_NODES = 2_000_000
MAX_TEXTS_BYTES = 16 * 2**20
MAX_TEXT_BYTES = 64 * 1024
MAX_CONSTANT_ELEMENTS = 2**28
"""Of a constant that repeats one value: 1 GiB of float32 from a few bytes."""
MAX_METADATA_BYTES = 256 * 1024
_MAX_NESTING = 8
_STRING_TYPE = 7
_REMEMBERED_BYTES = 256
_MAX_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Node:
    """One operation."""

    name: str
    op: str
    inputs: tuple[str, ...]
    functions: tuple[str, ...]
    """Functions that it may call."""
    value: str | None
    """Of a constant text."""
    shared_name: str = ""
    """By which a variable is known, if not by its name: several nodes may share one."""


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    arguments: tuple[str, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Saver:
    """Which tensors and nodes save and restore the variables."""

    filename: str
    save: str
    restore: str


@dataclass(slots=True)
class MetaGraph:
    """One graph with what belongs to it."""

    nodes: tuple[Node, ...] = ()
    functions: dict[str, Function] = field(default_factory=dict)
    saver: Saver | None = None
    signature_tensors: set[str] = field(default_factory=set)
    assets: list[tuple[str, str]] = field(default_factory=list)
    """Tensor and file name."""
    objects: list[str] = field(default_factory=list)
    """Kind of each object, by number: ``asset``, ``constant`` and the rest as ``other``."""
    bound: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Objects that a function gets as its last arguments."""
    metadata: list[str] = field(default_factory=list)
    """What Keras noted down of objects, as JSON."""


@dataclass(slots=True)
class SavedModel:
    graphs: list[MetaGraph] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """Constants and attributes that people wrote."""


def read_saved_model(read_at: ReadAt, size_bytes: int) -> SavedModel:
    """Return what a ``saved_model.pb`` holds.

    Raises:
        RejectedError: malformed, unknown fields, an attribute or function given twice, dimensions that
            overflow or repeat one value too often, more than the bounds of this module.
    """
    return _Reader(Wire(read_at, size_bytes, "the model")).read()


class _Reader:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._model = SavedModel()
        self._nodes_left = MAX_NODES
        self._text_left = MAX_TEXTS_BYTES
        self._remembered: dict[bytes, tuple[str, str | None, tuple[str, ...]]] = {}

    def read(self) -> SavedModel:
        for number, value, span in self._wire.message((0, self._wire.size_bytes), fields.SAVED_MODEL):
            if number == 1 and value != 1:
                raise self._wire.reject(f"schema version {value} is not known")
            if number == 2:
                self._model.graphs.append(self._meta_graph(span))
        if not 0 < len(self._model.graphs) <= MAX_GRAPHS:
            raise self._wire.reject("holds no graph, or too many")
        return self._model

    def _spans(self, span: Span, kind: Fields) -> Iterator[tuple[int, Span]]:
        for number, _, inner in self._wire.message(span, kind):
            if inner != NO_SPAN:
                yield number, inner

    def _text(self, span: Span) -> str:
        return self._wire.text(span, MAX_TEXT_BYTES)

    def _note(self, span: Span) -> str:
        """Text for people, which may be bytes: cut short, and replaced where it is none."""
        size = min(span[1] - span[0], MAX_TEXT_BYTES)
        self._text_left -= size
        if self._text_left < 0:
            raise self._wire.reject(f"holds more than {MAX_TEXTS_BYTES} bytes of text")
        text = self._wire.data((span[0], span[0] + size)).decode("utf-8", "replace")
        if size > 3:
            self._model.texts.append(text)
        return text

    def _meta_graph(self, span: Span) -> MetaGraph:
        graph = MetaGraph()
        for number, inner in self._spans(span, fields.META_GRAPH):
            if number == 1:
                self._meta_info(inner)
            elif number == 2:
                self._graph(graph, inner)
            elif number == 3:
                graph.saver = self._saver(inner)
            elif number == 5:
                self._signature(graph, inner)
            elif number == 6:
                graph.assets.append(self._asset(inner))
            elif number == 7:
                self._object_graph(graph, inner)
        return graph

    def _meta_info(self, span: Span) -> None:
        for number, inner in self._spans(span, fields.META_INFO):
            if number in (1, 4, 5, 6):
                self._note(inner)

    def _graph(self, graph: MetaGraph, span: Span) -> None:
        nodes = []
        for number, inner in self._spans(span, fields.GRAPH):
            if number == 1:
                nodes.append(self.node(inner))
            elif number == 2:
                self._library(graph, inner)
        graph.nodes = tuple(nodes)

    def _library(self, graph: MetaGraph, span: Span) -> None:
        for number, inner in self._spans(span, fields.LIBRARY):
            if number == 1:
                function = self._function(inner)
                if function.name in graph.functions:
                    raise self._wire.reject(f"function {shorten(function.name)} is given twice")
                graph.functions[function.name] = function

    def _function(self, span: Span) -> Function:
        name, arguments, nodes = "", [], []
        for number, inner in self._spans(span, fields.FUNCTION):
            if number == 1:
                for part, value in self._spans(inner, fields.SIGNATURE_OF_FUNCTION):
                    if part == 1:
                        name = self._text(value)
                    elif part == 2:
                        arguments.append(self._first_text(value, fields.ARGUMENT))
            elif number == 3:
                nodes.append(self.node(inner))
        return Function(name, tuple(arguments), tuple(nodes))

    def _first_text(self, span: Span, kind: Fields) -> str:
        return next((self._text(inner) for number, inner in self._spans(span, kind) if number == 1), "")

    def node(self, span: Span) -> Node:
        self._nodes_left -= 1
        if not self._nodes_left:
            raise self._wire.reject(f"more than {MAX_NODES} operations")
        name, op, value, shared_name = "", "", None, ""
        inputs: list[str] = []
        functions: list[str] = []
        attributes: set[str] = set()
        for number, inner in self._spans(span, fields.NODE):
            if number == 1:
                name = self._text(inner)
            elif number == 2:
                op = self._text(inner)
            elif number == 3:
                inputs.append(self._text(inner))
            elif number == 5:
                key, found = self._attribute(inner, functions)
                if key in attributes:
                    raise self._wire.reject(f"attribute {shorten(key)} of {shorten(name)} is given twice")
                attributes.add(key)
                value = found if key == "value" else value
                shared_name = found or "" if key == "shared_name" else shared_name
        return Node(name, op, tuple(inputs), tuple(functions), value, shared_name)

    def _attribute(self, span: Span, functions: list[str]) -> tuple[str, str | None]:
        """Return the name of an attribute, and the text that it is. Most say the same as one before."""
        data = self._wire.data(span) if span[1] - span[0] <= _REMEMBERED_BYTES else b""
        if data in self._remembered:
            key, found, called = self._remembered[data]
            functions += called
            return key, found
        before = len(functions)
        key, found = self._parse_attribute(span, functions)
        if data and len(self._remembered) < _MAX_REMEMBERED:
            self._remembered[data] = (key, found, tuple(functions[before:]))
        return key, found

    def _parse_attribute(self, span: Span, functions: list[str]) -> tuple[str, str | None]:
        key, found = "", None
        for number, inner in self._spans(span, fields.ENTRY):
            if number == 1:
                key = self._text(inner)
            else:
                found = self._value(inner, functions, 0)
        return key, found

    def _value(self, span: Span, functions: list[str], depth: int) -> str | None:
        if depth > _MAX_NESTING:
            raise self._wire.reject("attributes are nested too deeply")
        found: str | None = None
        for number, inner in self._spans(span, fields.ATTRIBUTE):
            if number == 1:
                self._list(inner, functions, depth)
            elif number == 2:
                found = self._note(inner)
            elif number == 7:
                self._shape(inner)
            elif number == 8:
                found = self._tensor(inner, depth)
            elif number == 10:
                self._function_name(inner, functions, depth)
        return found

    def _list(self, span: Span, functions: list[str], depth: int) -> None:
        for number, inner in self._spans(span, fields.ATTRIBUTE_LIST):
            if number == 2:
                self._note(inner)
            elif number == 7:
                self._shape(inner)
            elif number == 8:
                self._tensor(inner, depth)
            elif number == 9:
                self._function_name(inner, functions, depth)

    def _function_name(self, span: Span, functions: list[str], depth: int) -> None:
        for number, inner in self._spans(span, fields.FUNCTION_NAME):
            if number == 1:
                functions.append(self._text(inner))
            else:
                for part, value in self._spans(inner, fields.ENTRY):
                    if part == 2:
                        self._value(value, functions, depth + 1)

    def _tensor(self, span: Span, depth: int) -> str | None:
        """Check a constant; return the text that it is, if it is one text."""
        dtype, sizes, content = 0, [], False
        texts: list[str] = []
        for number, value, inner in self._wire.message(span, fields.TENSOR):
            if number == 1:
                dtype = value
            elif number == 2:
                sizes = self._shape(inner)
            elif number in (4, 18):
                content = True
            elif number == 8:
                texts.append(self._note(inner))
            elif number in (14, 15):
                raise self._wire.reject("a constant holds a handle of a running program")
        if min(sizes, default=0) < 0 or (not content and prod(sizes) > MAX_CONSTANT_ELEMENTS):
            raise self._wire.reject(f"a constant of {shorten(sizes)} elements from fewer values")
        return texts[0] if dtype == _STRING_TYPE and len(texts) == 1 else None

    def _shape(self, span: Span) -> list[int]:
        sizes = []
        for number, inner in self._spans(span, fields.SHAPE):
            if number == 2:
                sizes.append(
                    next((signed(v) for n, v, _ in self._wire.message(inner, fields.DIMENSION) if n == 1), 0)
                )
        if prod(max(size, 1) for size in sizes) >= 2**63 or any(size < -1 for size in sizes):
            raise self._wire.reject("dimensions overflow")
        return sizes

    def _saver(self, span: Span) -> Saver:
        names = {number: self._text(inner) for number, inner in self._spans(span, fields.SAVER)}
        return Saver(names.get(1, ""), names.get(2, ""), names.get(3, ""))

    def _signature(self, graph: MetaGraph, span: Span) -> None:
        for number, inner in self._spans(span, fields.ENTRY):
            if number != 2:
                continue
            for part, value in self._spans(inner, fields.SIGNATURE):
                if part in (1, 2):
                    infos = [info for key, info in self._spans(value, fields.ENTRY) if key == 2]
                    graph.signature_tensors.update(
                        name for info in infos for name in self._tensor_info(info, 0)
                    )

    def _tensor_info(self, span: Span, depth: int) -> Iterator[str]:
        if depth > _MAX_NESTING:
            raise self._wire.reject("signatures are nested too deeply")
        for number, inner in self._spans(span, fields.TENSOR_INFO):
            if number == 1:
                yield self._text(inner)
            elif number == 3:
                self._shape(inner)
            elif number == 4:
                yield from (self._text(name) for _, name in self._spans(inner, fields.SPARSE_INFO))
            elif number == 5:
                for part, component in self._spans(inner, fields.COMPOSITE_INFO):
                    if part == 2:
                        yield from self._tensor_info(component, depth + 1)

    def _asset(self, span: Span) -> tuple[str, str]:
        tensor, filename = "", ""
        for number, inner in self._spans(span, fields.ASSET):
            if number == 1:
                tensor = next(self._tensor_info(inner, 0), "")
            else:
                filename = self._text(inner)
        return tensor, filename

    def _object_graph(self, graph: MetaGraph, span: Span) -> None:
        for number, inner in self._spans(span, fields.OBJECT_GRAPH):
            if number == 1:
                graph.objects.append(self._object(graph, inner))
                continue
            name, bound = "", tuple[int, ...]()
            for part, value in self._spans(inner, fields.ENTRY):
                if part == 1:
                    name = self._text(value)
                else:
                    bound = self._bound(value)
            graph.bound[name] = bound

    def _bound(self, span: Span) -> tuple[int, ...]:
        found: list[int] = []
        for number, value, inner in self._wire.message(span, fields.CONCRETE_FUNCTION):
            if number == 2:
                found += self._wire.integers(value, inner, MAX_NODES)
        return tuple(found)

    def _object(self, graph: MetaGraph, span: Span) -> str:
        kind = "other"
        for number, inner in self._spans(span, fields.OBJECT):
            if number == 4:
                for part, value in self._spans(inner, fields.USER_OBJECT):
                    if part == 3:
                        graph.metadata.append(self._wire.text(value, MAX_METADATA_BYTES))
            elif number in (5, 9):
                kind = "asset" if number == 5 else "constant"
        return kind


def read_keras_metadata(read_at: ReadAt, size_bytes: int) -> list[str]:
    """Return what Keras noted down of each object in ``keras_metadata.pb``, as JSON."""
    wire = Wire(read_at, size_bytes, "the metadata of Keras")
    found = []
    for _, _, span in wire.message((0, size_bytes), fields.KERAS_METADATA):
        for number, _, inner in wire.message(span, fields.KERAS_NODE):
            if number == 5:
                found.append(wire.text(inner, MAX_METADATA_BYTES))
    return found


def read_node(data: bytes) -> Node:
    """Return a node that lies alone in some bytes."""
    wire = Wire(lambda offset, size: data[offset : offset + size], len(data), "a node")
    return _Reader(wire).node((0, len(data)))


def check_fingerprint(read_at: ReadAt, size_bytes: int) -> None:
    """Raises RejectedError if ``fingerprint.pb`` holds anything but checksums."""
    wire = Wire(read_at, size_bytes, "the fingerprint")
    for number, _, span in wire.message((0, size_bytes), fields.FINGERPRINT):
        if number == 7:
            wire.text(span, 64)
