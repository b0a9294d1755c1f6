"""Find the texts in an ONNX model that people or tools wrote: descriptions, names, metadata, constants.

Only for a model that `read_onnx` has accepted: what is malformed was refused there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.artifact.protobuf import NO_SPAN, Fields, ReadAt, Span, Wire
from strongroom.errors import RejectedError, shorten

MAX_TEXT_BYTES = 16 * 2**20
"""Of one text."""
MAX_TEXTS_BYTES = 256 * 2**20
"""Of all texts of one model together."""
_BATCH_CHARS = 64 * 1024
"""Short texts, names above all, are handed on together."""


@dataclass(frozen=True, slots=True)
class _Message:
    """What to look at in one kind of message of onnx.proto; other fields are stepped over."""

    title: str
    fields: Fields
    named: dict[int, str]
    """Texts that are handed on by themselves, under this name."""
    short: frozenset[int] = frozenset()
    """Texts that are handed on together."""
    inner: dict[int, "_Message"] | None = None
    name: int = 0
    """The field that names the message; of a pair its key."""


def _fields(count: int, **kinds: str) -> dict[int, str]:
    """Every field up to ``count`` as repeated bytes, but for those of another kind."""
    other = {int(number): kind for kind, numbers in kinds.items() for number in numbers.split()}
    return {number: _KINDS[other[number]] if number in other else "b*" for number in range(1, count + 1)}


_KINDS = {"varints": "v+", "floats": "f+", "doubles": "d+"}
_PAIR = _Message("metadata", _fields(2), {2: "value"}, frozenset({1}), name=1)
_TENSOR = _Message(
    "tensor",
    _fields(16, varints="1 2 5 7 11 14", floats="4", doubles="10"),
    {12: "doc_string"},
    frozenset({6, 8}),
    {16: _PAIR},
    name=8,
)
_SPARSE = _Message("sparse tensor", _fields(3, varints="3"), {}, inner={1: _TENSOR, 2: _TENSOR})
_VALUE = _Message("value", _fields(4), {3: "doc_string"}, frozenset({1}), {4: _PAIR}, name=1)
_ATTRIBUTE = _Message(
    "attribute",
    _fields(23, floats="2 7", varints="3 8 20"),
    {4: "text", 13: "doc_string"},
    frozenset({1, 9, 21}),
    {5: _TENSOR, 10: _TENSOR, 22: _SPARSE, 23: _SPARSE},
    name=1,
)
_NODE = _Message(
    "node",
    _fields(10),
    {6: "doc_string"},
    frozenset({1, 2, 3}),
    {5: _ATTRIBUTE, 9: _PAIR},
    name=3,
)
_GRAPH = _Message(
    "graph",
    _fields(16),
    {10: "doc_string"},
    frozenset({2}),
    {1: _NODE, 5: _TENSOR, 11: _VALUE, 12: _VALUE, 13: _VALUE, 15: _SPARSE, 16: _PAIR},
    name=2,
)
_FUNCTION = _Message(
    "function",
    _fields(14),
    {8: "doc_string"},
    frozenset({1, 4, 5, 6, 10, 13}),
    {7: _NODE, 11: _ATTRIBUTE, 12: _VALUE, 14: _PAIR},
    name=1,
)
_OPSET = _Message("opset", _fields(2, varints="2"), {}, frozenset({1}))
_MODEL = _Message(
    "model",
    _fields(26, varints="1 5"),
    {2: "producer_name", 3: "producer_version", 4: "domain", 6: "doc_string"},
    inner={7: _GRAPH, 8: _OPSET, 14: _PAIR, 25: _FUNCTION},
)
_INNER_GRAPHS = (6, 11)
"""Of an attribute: the bodies of If, Loop and Scan."""


def find_texts(read_at: ReadAt, size_bytes: int, path: str) -> Iterator[tuple[str, str]]:
    """Yield where and what, for every text of a model.

    Raises:
        RejectedError: texts larger than any model has.
    """
    yield from _Walk(Wire(read_at, size_bytes, f"entry {shorten(path)}"), read_at).run()


class _Walk:
    def __init__(self, wire: Wire, read_at: ReadAt) -> None:
        self._wire = wire
        self._read_at = read_at
        self._left = MAX_TEXTS_BYTES
        self._batch: list[str] = []
        self._batch_chars = 0

    def run(self) -> Iterator[tuple[str, str]]:
        yield from self._message(_MODEL, (0, self._wire.size_bytes), "")
        if self._batch:
            yield self._take_batch()

    def _message(self, kind: _Message, span: Span, outer: str) -> Iterator[tuple[str, str]]:
        where = outer or kind.title
        for number, _, part in self._wire.message(span, kind.fields):
            if part == NO_SPAN:
                continue
            if number == kind.name:  # stands before what it names, but for graphs
                where = f"{kind.title} {self._text(part)}".strip()
            if number in kind.named:
                yield f"{where}, {kind.named[number]}", self._text(part)
            elif number in kind.short:
                self._add(self._text(part))
            elif kind.inner and number in kind.inner:
                yield from self._message(kind.inner[number], part, where)
            elif kind is _ATTRIBUTE and number in _INNER_GRAPHS:
                yield from self._message(_GRAPH, part, where)
            if self._batch_chars > _BATCH_CHARS:
                yield self._take_batch()

    def _add(self, text: str) -> None:
        if text:
            self._batch.append(text)
            self._batch_chars += len(text)

    def _take_batch(self) -> tuple[str, str]:
        text = "\n".join(self._batch)
        self._batch, self._batch_chars = [], 0
        return "names and string constants", text

    def _text(self, span: Span) -> str:
        start, end = span
        size = end - start
        self._left -= size
        if size > MAX_TEXT_BYTES or self._left < 0:
            raise RejectedError(f"{self._wire.what}: texts of more than {MAX_TEXTS_BYTES} bytes")
        return self._read_at(start, size).decode("utf-8", "replace")
