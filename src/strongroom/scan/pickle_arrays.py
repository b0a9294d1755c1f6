"""What a pickle says about NumPy arrays: element types and shapes, as far as sizes follow from them."""

import re
from dataclasses import dataclass

from strongroom.scan.pickle_values import Dict, Made, Tuple, is_data, is_global, is_text, size_of

MAX_DIMENSIONS = 64
MAX_ARRAY_BYTES = 2**40

_TYPE = re.compile(r"[<>|=]?([?biufcmMOSUVa])([0-9]{0,9})", re.ASCII)
_NAMED = {"?": 1, "b1": 1}
MAX_FIELDS = 1024


@dataclass(frozen=True, slots=True)
class Dtype:
    """The type of an element."""

    size_bytes: int
    holds_objects: bool = False


@dataclass(slots=True)
class ArrayFact:
    """An array that is to receive its state."""

    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class JoblibArray:
    """A wrapper after which joblib wrote the bytes of an array."""

    dtype: Dtype
    count: int
    is_padded: bool


def new_dtype(spec: object) -> Dtype | None:
    """Return the type that ``numpy.dtype(spec)`` makes, before its state is set."""
    if is_global(spec, "numpy.record", "numpy.void"):
        return Dtype(0)
    if not isinstance(spec, str):
        return None
    match = _TYPE.fullmatch(spec)
    if match is None:
        return None
    kind, digits = match.groups()
    size = int(digits or 0)
    if kind == "O":
        return Dtype(8, True)
    if kind == "U":
        return Dtype(size * 4)
    return Dtype(size or (8 if kind in "mM" else 1 if kind in "?b" else 0))


def state_dtype(old: Dtype, state: object) -> Dtype | None:
    """Return the type after ``__setstate__``: (version, order, subtype, names, fields, size, align...)."""
    if not isinstance(state, Tuple) or not 5 <= len(state.items) <= 9:
        return None
    version, order, subtype, names, fields, *rest = state.items
    if not isinstance(version, int) or not (order is None or isinstance(order, str | bytes)):
        return None
    size = rest[0] if rest else -1
    if isinstance(size, bool) or not isinstance(size, int) or not -1 <= size < MAX_ARRAY_BYTES:
        return None
    if not all(part is None or isinstance(part, int | Tuple | Dict) for part in rest):
        return None
    holds = old.holds_objects
    if fields is not None:
        within = _fields(fields)
        if within is None or size < 0 or not isinstance(names, Tuple):
            return None
        holds = holds or within
    elif names is not None:
        return None
    if subtype is not None:
        inner = subtype.items[0] if isinstance(subtype, Tuple) and len(subtype.items) == 2 else None
        fact = fact_dtype(inner)
        if fact is None or size < 0:
            return None
        holds = holds or fact.holds_objects
    return Dtype(size if size >= 0 else old.size_bytes, holds)


def _fields(fields: object) -> bool | None:
    """Say whether any field holds objects; none if it is not a table of fields at all."""
    if not isinstance(fields, Dict) or fields.is_partial or len(fields.entries) > MAX_FIELDS:
        return None
    holds = False
    for entry in fields.entries.values():
        dtype = fact_dtype(entry.items[0]) if isinstance(entry, Tuple) and entry.items else None
        if dtype is None:
            return None
        holds = holds or dtype.holds_objects
    return holds


def fact_dtype(value: object) -> Dtype | None:
    return value.fact if isinstance(value, Made) and isinstance(value.fact, Dtype) else None


def read_shape(value: object) -> tuple[int, ...] | None:
    """Return the shape that a tuple of numbers states, if it is one of an array that can exist."""
    items: list[object] = value.items if isinstance(value, Tuple) else [value]
    shape = tuple(
        item for item in items if isinstance(item, int) and not isinstance(item, bool) and item >= 0
    )
    if len(shape) != len(items) or len(shape) > MAX_DIMENSIONS or count_of(shape) > MAX_ARRAY_BYTES:
        return None
    return shape


def count_of(shape: tuple[int, ...]) -> int:
    """Return the number of elements; dimensions beside a zero count as well, since readers multiply them."""
    count = 1
    for size in shape:
        count *= size
        if count > MAX_ARRAY_BYTES:
            return count
    return count


def fits_data(shape: tuple[int, ...] | None, dtype: Dtype | None, data: object) -> bool:
    """Say whether a string can be the content of such an array."""
    if shape is None or dtype is None or dtype.holds_objects:
        return False
    size = size_of(data)
    if not is_data(data) or size < 0:
        return is_text(data) or is_data(data)  # of Python 2 or protocol 0: NumPy itself compares the sizes
    return size == count_of(shape) * dtype.size_bytes
