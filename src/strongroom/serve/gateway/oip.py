"""Inference requests and answers of the Open Inference Protocol 2: JSON with the binary tensor extension.

Unknown names are refused, not passed over; so are names given twice, which JSON parsers resolve differently.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from strongroom.errors import InvalidError, shorten
from strongroom.guard.schema import Schema, TensorSpec
from strongroom.guard.tensors import Array, from_binary, from_json, to_binary, to_json

MAX_ID_CHARS = 256
MAX_TIMEOUT_US = 2**53
MAX_JSON_VALUES = 2**18
"""In a request; each takes some 100 ns, during which nobody else is heard."""
MAX_JSON_ELEMENTS = 2**20
"""Of one output that is written as JSON."""

_REQUEST_KEYS = frozenset({"id", "inputs", "outputs", "parameters"})
_INPUT_KEYS = frozenset({"name", "shape", "datatype", "parameters", "data"})
_OUTPUT_KEYS = frozenset({"name", "parameters"})
_REQUEST_PARAMETERS = frozenset({"binary_data_output", "timeout"})
_NUMERIC = frozenset("fiub")
_PLAIN_KEYS = 4
_PLAIN_QUOTES = 2 * (1 + _PLAIN_KEYS + 2)
"""Around ``inputs``, the four names of a tensor, and the texts of two of them."""
_NO_PARAMETERS: dict[str, Any] = {}


class Wanted(NamedTuple):
    """One output that the caller asked for, and in which form."""

    spec: TensorSpec
    binary: bool


class InferRequest(NamedTuple):
    """A request whose structure, types and shapes fit the schema; values are yet to be checked."""

    id: str | None
    inputs: list[Array]
    """In the order of the schema."""
    rows: int
    """1 for a model that is not batched by rows."""
    wanted: Sequence[Wanted]
    timeout_s: float | None


class Column(NamedTuple):
    """One output of a batch as text."""

    rows: list[bytes]
    """The elements of each row, without brackets."""
    middle: bytes
    """What stands between the number of rows and the data of an answer."""


class Renderer:
    """The outputs of one batch, turned to text once for all requests in it."""

    __slots__ = ("_columns", "_outputs")

    def __init__(self, outputs: Mapping[str, Array]) -> None:
        self._outputs = outputs
        self._columns: dict[str, Column | None] = {}

    def column(self, name: str) -> Column | None:
        """Return the output row by row, or None if it has to be rendered piece by piece.

        That is so as well if any row of it has no JSON form: only who sent that row must hear of it.
        """
        try:
            return self._columns[name]
        except KeyError:
            array = self._outputs[name]
            column = self._columns[name] = _render(array) if _is_plain(array) else None
            return column

    def array(self, name: str, start: int, stop: int) -> Array:
        return self._outputs[name][start:stop]


class WholeRenderer(Renderer):
    """The outputs of a model that is not batched by rows: rows mean nothing, an output is one piece."""

    __slots__ = ()

    def column(self, name: str) -> Column | None:
        return None

    def array(self, name: str, start: int, stop: int) -> Array:
        return self._outputs[name]


class ModelProtocol:
    """Requests to and answers from one model version."""

    __slots__ = (
        "_all_binary",
        "_all_json",
        "_answer",
        "_beginnings",
        "_inputs",
        "_only",
        "_outputs",
        "_places",
        "_schema",
        "max_rows",
    )

    def __init__(self, name: str, version: str, schema: Schema, max_rows: int) -> None:
        self._schema = schema
        self.max_rows = min(schema.max_rows, max_rows)
        self._inputs = {spec.name: spec for spec in schema.inputs}
        only = schema.inputs[0]
        self._only = only if len(schema.inputs) == 1 and only.dtype != "BYTES" else None
        self._places = {spec.name: place for place, spec in enumerate(schema.inputs)}
        self._outputs = {spec.name: spec for spec in schema.outputs}
        self._beginnings = {
            spec.name: b'{"name":%b,"datatype":"%b","shape":['
            % (orjson.dumps(spec.name), spec.dtype.encode())
            for spec in schema.outputs
        }
        self._all_json = tuple(Wanted(spec, False) for spec in schema.outputs)
        self._all_binary = tuple(Wanted(spec, True) for spec in schema.outputs)
        self._answer = orjson.dumps({"model_name": name, "model_version": version})[:-1]

    def parse(self, body: bytes, json_length: int | None) -> InferRequest:
        """Return the request in ``body``.

        Raises:
            InvalidError: names the field that is wrong.
        """
        text, binary = _split(body, json_length)
        request = _load(text)
        if self._only is not None and binary is None:
            found = self._parse_plain(self._only, request, text)
            if found is not None:
                return found
        parameters = _parameters(request, "request", _REQUEST_PARAMETERS)
        inputs, strings = self._parse_inputs(request.get("inputs"), binary)
        wanted, names = self._parse_outputs(request, parameters)
        identifier = request.get("id")
        if identifier is not None:
            if not isinstance(identifier, str) or len(identifier) > MAX_ID_CHARS:
                raise InvalidError(f"request: id is not a string of at most {MAX_ID_CHARS} characters")
            names += 1
        names += len(request) + len(parameters) + strings
        if _count_quotes(text) != 2 * names:
            raise InvalidError("request: a name is given twice")
        return InferRequest(identifier, inputs, self._count_rows(inputs), wanted, _timeout_s(parameters))

    def _parse_plain(self, spec: TensorSpec, request: dict[str, Any], text: bytes) -> InferRequest | None:
        """The form that nearly all requests have, quickly; None sends any other through the long way."""
        inputs = request.get("inputs")
        if len(request) != 1 or type(inputs) is not list or len(inputs) != 1:
            return None
        tensor = inputs[0]
        if (
            type(tensor) is not dict
            or len(tensor) != _PLAIN_KEYS
            or tensor.get("name") != spec.name
            or tensor.get("datatype") != spec.dtype
            or "parameters" in tensor
            or text.count(b'"') != _PLAIN_QUOTES
        ):
            return None
        may_hold_bools = b"true" in text or b"false" in text
        array = from_json(spec, tensor.get("shape"), tensor.get("data"), may_hold_bools=may_hold_bools)
        rows = len(array) if self._schema.by_rows else 1
        return InferRequest(None, [array], rows, self._all_json, None) if rows <= self.max_rows else None

    def build(
        self, request: InferRequest, renderer: Renderer, start: int, stop: int
    ) -> tuple[bytes, int | None]:
        """Return the body of the answer and, if binary data follows, the length of its JSON.

        Raises:
            InvalidError: an output has no JSON form and binary data was not asked for.
        """
        parts = [self._answer]
        if request.id is not None:
            parts += (b',"id":', orjson.dumps(request.id))
        tail: list[bytes] = []
        begin = b',"outputs":['
        for spec, binary in request.wanted:
            parts += (begin, self._beginnings[spec.name])
            begin = b","
            column = None if binary else renderer.column(spec.name)
            if column is None:
                parts.append(
                    _render_piece(spec.name, renderer.array(spec.name, start, stop), tail, binary=binary)
                )
            elif stop - start == 1:
                parts.append(b"1%b%b]}" % (column.middle, column.rows[start]))
            else:
                data = b",".join(column.rows[start:stop])
                parts.append(b"%d%b%b]}" % (stop - start, column.middle, data))
        parts.append(b"]}")
        head = b"".join(parts)
        return (b"".join([head, *tail]), len(head)) if tail else (head, None)

    def _parse_inputs(self, values: object, binary: memoryview | None) -> tuple[list[Array], int]:
        """Return the inputs in the schema's order, and how many quoted names and strings spelled them."""
        if not isinstance(values, list):
            raise InvalidError("request: inputs is not a list")
        if len(values) != len(self._inputs):
            raise InvalidError(f"request: has {len(values)} inputs, expected {len(self._inputs)}")
        found: list[Any] = [None] * len(values)
        strings = 0
        cursor = 0
        for value in values:
            if not isinstance(value, dict) or not _INPUT_KEYS.issuperset(value):
                raise InvalidError("request: an input is not an object of the known names")
            name = value.get("name")
            spec = self._inputs.get(name) if isinstance(name, str) else None
            if spec is None:
                raise InvalidError(f"request: no input {shorten(name)}")
            if found[self._places[spec.name]] is not None:
                raise InvalidError(f"input {shorten(name)}: given twice")
            if value.get("datatype") != spec.dtype:
                raise InvalidError(f"input {shorten(name)}: datatype is not {spec.dtype}")
            strings += len(value) + 2
            if "parameters" in value:
                size = _binary_size(value, spec)
                strings += 1
                if binary is None or cursor + size > len(binary):
                    raise InvalidError(f"input {shorten(name)}: binary data is missing or cut")
                array = from_binary(spec, value.get("shape"), binary[cursor : cursor + size])
                cursor += size
            else:
                array = from_json(spec, value.get("shape"), value.get("data"))
                if spec.dtype == "BYTES":
                    strings += array.size
            found[self._places[spec.name]] = array
        if binary is not None and cursor != len(binary):
            raise InvalidError("request: binary data is longer than its inputs")
        return found, strings

    def _parse_outputs(
        self, request: dict[str, Any], parameters: dict[str, Any]
    ) -> tuple[Sequence[Wanted], int]:
        """Return the outputs to answer with, and how many quoted names and strings asked for them."""
        default = parameters.get("binary_data_output", False)
        if not isinstance(default, bool):
            raise InvalidError("request: binary_data_output is not true or false")
        values = request.get("outputs")
        if values is None or values == []:
            return (self._all_binary if default else self._all_json), 0
        if not isinstance(values, list) or len(values) > len(self._outputs):
            raise InvalidError("request: outputs is not a list of outputs that there are")
        wanted: dict[str, Wanted] = {}
        names = 0
        for value in values:
            if not isinstance(value, dict) or not _OUTPUT_KEYS.issuperset(value):
                raise InvalidError("request: an output is not an object of the known names")
            name = value.get("name")
            spec = self._outputs.get(name) if isinstance(name, str) else None
            if spec is None or spec.name in wanted:
                raise InvalidError(f"request: no output {shorten(name)}, or asked for twice")
            chosen = _parameters(value, "output", frozenset({"binary_data"}))
            binary = chosen.get("binary_data", default)
            if not isinstance(binary, bool):
                raise InvalidError(f"output {shorten(name)}: binary_data is not true or false")
            wanted[spec.name] = Wanted(spec, binary)
            names += len(value) + 1 + len(chosen)
        return tuple(wanted.values()), names

    def _count_rows(self, inputs: list[Array]) -> int:
        if not self._schema.by_rows:
            return 1
        rows = len(inputs[0])
        if any(len(array) != rows for array in inputs):
            raise InvalidError("request: inputs differ in their number of rows")
        if rows > self.max_rows:
            raise InvalidError(f"request: has {rows} rows, at most {self.max_rows} are allowed")
        return rows


def _split(body: bytes, json_length: int | None) -> tuple[bytes, memoryview | None]:
    if json_length is None:
        return body, None
    if json_length > len(body):
        raise InvalidError("request: inference-header-content-length is beyond the body")
    return body[:json_length], memoryview(body)[json_length:]


def _load(text: bytes) -> dict[str, Any]:
    if text.count(b",") + text.count(b"[") + text.count(b"{") > MAX_JSON_VALUES:
        raise InvalidError(f"request: JSON of more than {MAX_JSON_VALUES} values; send binary data")
    try:
        request = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidError("request: not JSON") from None
    if not isinstance(request, dict):
        raise InvalidError("request: not an object")
    for key in request:
        if key not in _REQUEST_KEYS:
            raise InvalidError(f"request: unknown name {shorten(key)}")
    return request


def _parameters(value: dict[str, Any], where: str, known: frozenset[str]) -> dict[str, Any]:
    parameters = value.get("parameters")
    if parameters is None:
        if "parameters" in value:
            raise InvalidError(f"{where}: parameters is not an object")
        return _NO_PARAMETERS
    if not isinstance(parameters, dict):
        raise InvalidError(f"{where}: parameters is not an object")
    for key in parameters:
        if key not in known:
            raise InvalidError(f"{where}: unknown parameter {shorten(key)}")
    return parameters


def _binary_size(value: dict[str, Any], spec: TensorSpec) -> int:
    parameters = _parameters(value, f"input {shorten(spec.name)}", frozenset({"binary_data_size"}))
    size = parameters.get("binary_data_size")
    if type(size) is not int or size < 0:
        raise InvalidError(f"input {shorten(spec.name)}: binary_data_size is not a size")
    if "data" in value:
        raise InvalidError(f"input {shorten(spec.name)}: both data and binary data")
    return size


def _timeout_s(parameters: dict[str, Any]) -> float | None:
    """Microseconds, as Triton's clients send them."""
    value = parameters.get("timeout")
    if value is None:
        if "timeout" in parameters:
            raise InvalidError("request: timeout is not a number of microseconds")
        return None
    if type(value) is not int or not 1 <= value <= MAX_TIMEOUT_US:
        raise InvalidError("request: timeout is not a number of microseconds")
    return value / 1e6


def _count_quotes(text: bytes) -> int:
    """Return how many quotes of valid JSON begin or end a string.

    A parser keeps one of two equal names; the quotes of both are still there. So a request whose quotes
    are more than its names and strings need gave a name twice, however it spelled it.
    """
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return text.count(b'"')


def _is_plain(array: Array) -> bool:
    """Whether a whole batch can be turned to text at once."""
    kind = array.dtype.kind
    if array.ndim not in (1, 2) or kind not in _NUMERIC or not 0 < array.size <= MAX_JSON_ELEMENTS:
        return False
    return kind != "f" or np.count_nonzero(np.isfinite(array)) == array.size


def _render(array: Array) -> Column:
    """Turn a whole batch of one or two dimensions into text at once."""
    text = _dump(np.ascontiguousarray(array))
    if array.ndim == 1:
        return Column(text[1:-1].split(b","), b'],"data":[')
    return Column(text[2:-2].split(b"],["), b',%d],"data":[' % array.shape[1])


def _render_piece(name: str, array: Array, tail: list[bytes], *, binary: bool) -> bytes:
    """Return an output from its shape on; binary data is appended to ``tail``."""
    shape = ",".join(map(str, array.shape)).encode()
    if binary:
        data = to_binary(array)
        tail.append(data)
        return b'%b],"parameters":{"binary_data_size":%d}}' % (shape, len(data))
    if array.size > MAX_JSON_ELEMENTS:
        raise InvalidError(f"output {shorten(name)}: too large for JSON; ask for binary data")
    return b'%b],"data":%b}' % (shape, _dump(to_json(name, array)))


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
