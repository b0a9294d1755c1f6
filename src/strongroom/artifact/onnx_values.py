"""The parts of ONNX that describe values: types with shapes, stored tensors, where external data lies."""

import re
from dataclasses import dataclass

from strongroom.artifact.protobuf import NO_SPAN, Span, Wire, signed
from strongroom.artifact.tensors import ELEMENT_TYPES, MAX_ELEMENTS, MAX_RANK, ElementType, Kind, TensorSpec
from strongroom.errors import RejectedError, shorten

MAX_TYPE_DEPTH = 4
MAX_OFFSET = 2**40

PAIR = {1: "b", 2: "b"}
_VALUE_INFO = {1: "b", 2: "b", 3: "b", 4: "b*"}
_TYPE = {1: "b", 4: "b", 5: "b", 6: "b", 7: "b", 8: "b", 9: "b"}
_TENSOR_TYPE = {1: "v", 2: "b"}
_SEQUENCE = {1: "b"}
_MAP = {1: "v", 2: "b"}
_SHAPE = {1: "b*"}
_DIMENSION = {1: "v", 2: "b", 3: "b"}
_TENSOR = {
    1: "v*", 2: "v", 3: "b", 4: "f+", 5: "v+", 6: "b+", 7: "v+", 8: "b", 9: "b", 10: "d+", 11: "v+", 12: "b",
    13: "b*", 14: "v", 16: "b*",
}  # fmt: skip
_TYPED_DATA = frozenset({4, 5, 6, 7, 10, 11})
_SPARSE = {1: "b", 2: "b", 3: "v*"}
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_EXTERNAL_KEYS = frozenset({"location", "offset", "length", "checksum"})
_DIMS, _DATA_TYPE, _SEGMENT, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 3, 8, 9, 13, 14
_EXTERNAL = 1
_SCORES = re.compile(r"seq\(map\((int64|string),float\)\)")


class ShapeError(RejectedError):
    """A stored tensor whose shape overflows, or whose data has another size than its shape says."""


@dataclass(frozen=True, slots=True)
class ExternalData:
    """Where a tensor's bytes lie in another entry; ``location`` is relative to the model's folder."""

    tensor: str
    location: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    name: str
    external: ExternalData | None
    form: str = ""
    """Element type and shape in words: ``float32[3,4]``."""


def read_value(wire: Wire, span: Span) -> TensorSpec:
    """Return what a ValueInfoProto says of one input or output."""
    name, described = "", NO_SPAN
    for number, _, part in wire.message(span, _VALUE_INFO):
        if number == 1:
            name = wire.text(part)
        elif number == 2:
            described = part
    if not name or described == NO_SPAN:
        raise wire.reject("an input or output has no name or no type")
    text, element, shape = _read_type(wire, described, 0)
    if element is not None and element.wire and shape is not None:
        return TensorSpec(name, element.wire, shape)
    if _SCORES.fullmatch(text):
        return TensorSpec(name, "FP32", (-1, -1), Kind.CLASS_SCORES, text)
    return TensorSpec(name, "", (), Kind.OTHER, text if shape is not None else f"{text} of unknown rank")


def read_tensor(wire: Wire, span: Span) -> StoredTensor:
    """Return name and place of a TensorProto whose shape, type and size agree.

    Raises:
        RejectedError: unknown type, negative or overflowing shape, raw data of another size, external data
            that is not described exactly once.
    """
    dims: list[int] = []
    pairs: list[tuple[str, str]] = []
    scalars: dict[int, int] = {}
    parts: dict[int, Span] = {}
    for number, value, part in wire.message(span, _TENSOR):
        if number == _DIMS:
            dims += wire.integers(value, part, MAX_RANK)
        elif number == _EXTERNAL_DATA:
            pairs.append(read_pair(wire, part))
        else:
            scalars[number], parts[number] = value, part
    name = wire.text(parts[_NAME]) if _NAME in parts else ""
    if _SEGMENT in parts:
        raise wire.reject(f"tensor {shorten(name)} is in segments")
    data_type, location = scalars.get(_DATA_TYPE, 0), scalars.get(_DATA_LOCATION, 0)
    size = _size_bytes(wire, name, dims, data_type)
    form = f"{ELEMENT_TYPES[data_type].name}[{','.join(map(str, dims))}]"
    typed = not _TYPED_DATA.isdisjoint(parts)
    if location not in (0, _EXTERNAL) or bool(pairs) != (location == _EXTERNAL):
        raise wire.reject(f"tensor {shorten(name)} is not clear about where its data is")
    if pairs:
        if _RAW_DATA in parts or typed or not ELEMENT_TYPES[data_type].bits:
            raise wire.reject(f"tensor {shorten(name)} has data in two places, or external text")
        return StoredTensor(name, _read_external(wire, name, pairs, size), form)
    start, end = parts.get(_RAW_DATA, (0, size))
    if end - start != size or (_RAW_DATA in parts and typed):
        raise ShapeError(f"{wire.what}: tensor {shorten(name)} has other data than its shape says")
    return StoredTensor(name, None, form)


def read_sparse(wire: Wire, span: Span) -> list[StoredTensor]:
    """Return the values and indices of a SparseTensorProto."""
    return [read_tensor(wire, part) for number, _, part in wire.message(span, _SPARSE) if number in (1, 2)]


def read_pair(wire: Wire, span: Span) -> tuple[str, str]:
    """Return key and value of a StringStringEntryProto."""
    texts = {number: wire.text(part) for number, _, part in wire.message(span, PAIR)}
    return texts.get(1, ""), texts.get(2, "")


def _size_bytes(wire: Wire, name: str, dims: list[int], data_type: int) -> int:
    element = ELEMENT_TYPES.get(data_type)
    if element is None:
        raise wire.reject(f"tensor {shorten(name)} is of the unknown type {data_type}")
    if len(dims) > MAX_RANK:
        raise wire.reject(f"tensor {shorten(name)} has more than {MAX_RANK} dimensions")
    elements = 1
    for dim in map(signed, dims):
        elements *= dim
        if dim < 0 or elements > MAX_ELEMENTS:
            raise ShapeError(f"{wire.what}: tensor {shorten(name)} has a negative or overflowing shape")
    return -(-elements * element.bits // 8)


def _read_external(wire: Wire, name: str, pairs: list[tuple[str, str]], size: int) -> ExternalData:
    keys = dict(pairs)
    if len(keys) != len(pairs) or not keys.keys() <= _EXTERNAL_KEYS or "location" not in keys:
        raise wire.reject(f"tensor {shorten(name)}: external data with missing, repeated or unknown keys")
    offset = _parse_decimal(wire, name, keys.get("offset", "0"))
    if _parse_decimal(wire, name, keys.get("length", str(size))) != size:
        raise wire.reject(f"tensor {shorten(name)}: external data of another length than its shape")
    return ExternalData(name, keys["location"], offset, size)


def _parse_decimal(wire: Wire, name: str, text: str) -> int:
    if _DECIMAL.fullmatch(text) is None or int(text) > MAX_OFFSET:
        raise wire.reject(f"tensor {shorten(name)}: {shorten(text)} is not an offset or length")
    return int(text)


def _read_type(wire: Wire, span: Span, depth: int) -> tuple[str, ElementType | None, tuple[int, ...] | None]:
    """Return a TypeProto in words and, for a dense tensor, its element type and shape (None: no rank)."""
    if depth > MAX_TYPE_DEPTH:
        raise wire.reject("a type is nested too deep")
    found = [(number, part) for number, _, part in wire.message(span, _TYPE) if number != 6]
    if len(found) != 1:
        raise wire.reject("an input or output has no type, or several")
    number, part = found[0]
    match number:
        case 1:
            element, shape = _read_tensor_type(wire, part)
            return element.name if depth else f"tensor({element.name})", element, shape
        case 4:
            return f"seq({_read_inner(wire, part, _SEQUENCE, depth)})", None, ()
        case 9:
            return f"optional({_read_inner(wire, part, _SEQUENCE, depth)})", None, ()
        case 5:
            return f"map({_read_inner(wire, part, _MAP, depth)})", None, ()
        case _:
            return "sparse tensor" if number == 8 else "opaque type", None, ()


def _read_inner(wire: Wire, span: Span, fields: dict[int, str], depth: int) -> str:
    words = []
    for _, value, part in wire.message(span, fields):
        if part == NO_SPAN:
            words.append(_element(wire, value).name)
        else:
            words.append(_read_type(wire, part, depth + 1)[0])
    return ",".join(words)


def _read_tensor_type(wire: Wire, span: Span) -> tuple[ElementType, tuple[int, ...] | None]:
    element_type, shape = 0, None
    for number, value, part in wire.message(span, _TENSOR_TYPE):
        if number == 1:
            element_type = value
        else:
            shape = tuple(_read_dimension(wire, each) for _, _, each in wire.message(part, _SHAPE))
    if shape is not None and len(shape) > MAX_RANK:
        raise wire.reject(f"a shape of more than {MAX_RANK} dimensions")
    return _element(wire, element_type), shape


def _read_dimension(wire: Wire, span: Span) -> int:
    """A number, or -1 for a named or unknown one; exporters also write -1 as a number."""
    size = -1
    for number, value, _ in wire.message(span, _DIMENSION):
        if number == 1:
            size = signed(value)
    return max(size, -1)


def _element(wire: Wire, number: int) -> ElementType:
    element = ELEMENT_TYPES.get(number)
    if element is None:
        raise wire.reject(f"the unknown element type {number}")
    return element
