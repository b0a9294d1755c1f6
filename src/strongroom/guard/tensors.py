"""Tensors of the Open Inference Protocol 2, between their JSON or binary form and numpy.

Everything is checked before numpy sees it: rank, dimensions, their product, the amount of data, each value's
type and range. Errors name the tensor and the reason, nothing of the inside.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from strongroom.errors import InvalidError, shorten
from strongroom.guard.schema import FLOATS, INTEGERS, MAX_DIMENSION, MAX_RANK, TensorSpec

MAX_ELEMENTS = 2**26
"""Of one tensor; keeps the product of dimensions far from any overflow."""

MAX_STRINGS = 2**16
"""Of one tensor of strings: each is an object of its own."""

Array = np.ndarray[Any, np.dtype[Any]]

BFLOAT16 = np.dtype([("bf16", "<u2")])
"""BF16 as numpy, which has no such type: the raw 16 bits, told apart from UINT16."""

NUMPY: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": BFLOAT16,
    "BYTES": np.dtype(np.object_),
}
# With a byte-order sign, struct refuses what does not fit: integers out of range, floats that would overflow.
_PACK = {
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
_TYPES = {
    **dict.fromkeys(INTEGERS, frozenset({int})),
    **dict.fromkeys(FLOATS, frozenset({int, float})),
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str}),
}
_EXPECTED = {
    **{dtype: f"{dtype} integers" for dtype in INTEGERS},
    **{dtype: f"{dtype} numbers" for dtype in FLOATS},
    "BOOL": "true or false",
    "BYTES": "strings",
}
_LENGTH = struct.Struct("<I")


def require_shape(spec: TensorSpec, shape: object) -> tuple[tuple[int, ...], int]:
    """Return ``shape`` and its number of elements if it is one that ``spec`` allows.

    Raises:
        InvalidError: not a list of integers, a rank or dimension that differs, or too many elements.
    """
    if not isinstance(shape, list) or len(shape) > MAX_RANK:
        raise _refuse(spec, f"shape is not a list of at most {MAX_RANK} dimensions")
    if len(shape) != len(spec.shape):
        raise _refuse(spec, f"has {len(shape)} dimensions, expected {len(spec.shape)}")
    count = 1
    for dim, wanted in zip(shape, spec.shape, strict=True):
        if type(dim) is not int:
            raise _refuse(spec, "a dimension is not an integer")
        if dim != wanted and (wanted != -1 or not 1 <= dim <= MAX_DIMENSION):
            raise _refuse(
                spec, f"shape is {shorten(shape)}, expected {list(spec.shape)} with -1 for 1 or more"
            )
        count *= dim
    if spec.dtype == "BYTES" and count > MAX_STRINGS:
        raise _refuse(spec, f"has more than {MAX_STRINGS} strings")
    if count > MAX_ELEMENTS:
        raise _refuse(spec, f"has more than {MAX_ELEMENTS} elements")
    return tuple(shape), count


def from_json(spec: TensorSpec, shape: object, data: object, *, may_hold_bools: bool = True) -> Array:
    """Return the tensor of a parsed JSON ``data`` list, flat or nested, row-major.

    ``data`` must come from a strict JSON parser: floats are finite already. ``may_hold_bools=False`` promises
    that there is no true or false in the text it came from; packing refuses all else that is no number.

    Raises:
        InvalidError: shape, amount, type or range is wrong.
    """
    dims, count = require_shape(spec, shape)
    if not isinstance(data, list):
        raise _refuse(spec, "data is not a list")
    if len(dims) > 1 and data and isinstance(data[0], list):
        data = _flatten(spec, dims, data)
    if len(data) != count:
        raise _refuse(spec, f"data has {len(data)} elements, shape needs {count}")
    dtype = spec.dtype
    if dtype == "BF16":
        raise _refuse(spec, "BF16 has no JSON form; send it as binary data")
    unchecked = not may_hold_bools and dtype in _PACK
    if not unchecked and not _TYPES[dtype].issuperset({*map(type, data)}):
        raise _refuse(spec, f"data holds something other than {_EXPECTED[dtype]}")
    if dtype == "BYTES":
        return _strings(spec, dims, [item.encode() for item in data])
    if dtype == "BOOL":
        return np.array(data, np.bool_).reshape(dims)
    try:
        packed = _packer(dtype, count).pack(*data)
    except (struct.error, OverflowError):
        raise _refuse(spec, f"data holds something other than {_EXPECTED[dtype]} in its range") from None
    return np.ndarray(dims, NUMPY[dtype], packed)


def from_binary(spec: TensorSpec, shape: object, raw: bytes | memoryview) -> Array:
    """Return the tensor of little-endian ``raw`` bytes; a view of them where the type allows.

    Raises:
        InvalidError: shape or amount is wrong, or the bytes are no values of the type.
    """
    dims, count = require_shape(spec, shape)
    dtype = NUMPY[spec.dtype]
    if spec.dtype == "BYTES":
        return _strings(spec, dims, _split_strings(spec, raw, count))
    if len(raw) != count * dtype.itemsize:
        raise _refuse(spec, f"binary data has {len(raw)} bytes, shape needs {count * dtype.itemsize}")
    array: Array = np.ndarray(dims, dtype, raw)
    if spec.dtype == "BOOL" and np.ndarray((count,), np.uint8, raw).max() > 1:
        raise _refuse(spec, "a BOOL is neither 0 nor 1")
    return array


def require_values(spec: TensorSpec, array: Array) -> None:
    """Refuse values that the schema forbids: not finite, outside min and max, not a known category.

    ``array`` may hold the rows of several requests.

    Raises:
        InvalidError: names the tensor and what is wrong, not the value.
    """
    if spec.finite and spec.dtype in FLOATS and not _is_finite(array):
        raise _refuse(spec, "holds a value that is not finite")
    # Written so that NaN, which compares false with everything, is refused wherever a bound is set.
    if spec.minimum and np.count_nonzero(array >= _bound(spec.dtype, spec.minimum)) != array.size:
        raise _refuse(spec, "holds a value below the minimum")
    if spec.maximum and np.count_nonzero(array <= _bound(spec.dtype, spec.maximum)) != array.size:
        raise _refuse(spec, "holds a value above the maximum")
    if spec.categories is not None and not spec.categories.issuperset(array.ravel().tolist()):
        raise _refuse(spec, "holds a value that is not a known category")


def to_json(name: str, array: Array) -> Any:
    """Return what a JSON encoder that knows numpy can write as the flat ``data`` list of an output.

    Raises:
        InvalidError: the values have no JSON form; the caller can ask for binary data.
    """
    if array.dtype == BFLOAT16:
        raise InvalidError(f"output {shorten(name)}: BF16 has no JSON form; ask for binary data")
    if array.dtype == NUMPY["BYTES"]:
        try:
            return [item.decode() for item in array.ravel().tolist()]
        except UnicodeDecodeError:
            raise InvalidError(f"output {shorten(name)}: not UTF-8; ask for binary data") from None
    if array.dtype.kind == "f" and not _is_finite(array):
        raise InvalidError(f"output {shorten(name)}: not finite, so without JSON form; ask for binary data")
    return np.ascontiguousarray(array).reshape(-1)


def to_binary(array: Array) -> bytes:
    """Return the little-endian bytes of an output; strings each behind their u32 length."""
    if array.dtype == NUMPY["BYTES"]:
        return b"".join(chain.from_iterable((_LENGTH.pack(len(s)), s) for s in array.ravel().tolist()))
    return array.tobytes()


def _refuse(spec: TensorSpec, reason: str) -> InvalidError:
    return InvalidError(f"input {shorten(spec.name)}: {reason}")


def _flatten(spec: TensorSpec, dims: Sequence[int], data: list[Any]) -> list[Any]:
    """Return nested lists as one; every list must be as long as its dimension says."""
    level = data
    for dim, size in zip(dims[1:], _sizes(dims), strict=True):
        if len(level) != size or any(type(item) is not list or len(item) != dim for item in level):
            raise _refuse(spec, "nested data does not have the shape it names")
        level = list(chain.from_iterable(level))
    return level


def _sizes(dims: Sequence[int]) -> list[int]:
    return [prod(dims[: depth + 1]) for depth in range(len(dims) - 1)]


@lru_cache(maxsize=256)
def _packer(dtype: str, count: int) -> struct.Struct:
    return struct.Struct(f"<{count}{_PACK[dtype]}")


@lru_cache(maxsize=256)
def _bound(dtype: str, bounds: tuple[int | float, ...]) -> Array:
    """Return bounds in the type itself, so that a bound is inclusive and 64-bit integers stay exact."""
    with np.errstate(over="ignore"):
        return np.array(bounds, NUMPY[dtype])


def _is_finite(array: Array) -> bool:
    if array.dtype == BFLOAT16:
        # BF16 is the upper half of FP32: all ones in the exponent is infinite or not a number.
        return bool(np.all((array["bf16"] & 0x7F80) != 0x7F80))
    return bool(np.count_nonzero(np.isfinite(array)) == array.size)


def _split_strings(spec: TensorSpec, raw: bytes | memoryview, count: int) -> list[bytes]:
    if count * _LENGTH.size > len(raw):
        raise _refuse(spec, f"binary data has {len(raw)} bytes, too few for {count} strings")
    found = []
    cursor = 0
    for _ in range(count):
        start = cursor + _LENGTH.size
        if start > len(raw):
            raise _refuse(spec, "binary data ends within a string")
        cursor = start + _LENGTH.unpack_from(raw, start - _LENGTH.size)[0]
        if cursor > len(raw):
            raise _refuse(spec, "binary data ends within a string")
        found.append(bytes(raw[start:cursor]))
    if cursor != len(raw):
        raise _refuse(spec, "binary data is longer than its strings")
    return found


def _strings(spec: TensorSpec, dims: tuple[int, ...], items: list[bytes]) -> Array:
    if max(map(len, items)) > spec.max_bytes:
        raise _refuse(spec, f"a string is longer than {spec.max_bytes} bytes")
    for item in items:
        if not item.isascii():
            _require_utf8(spec, item)
    array = np.empty(len(items), np.object_)
    array[:] = items
    return array.reshape(dims)


def _require_utf8(spec: TensorSpec, item: bytes) -> None:
    try:
        item.decode()
    except UnicodeDecodeError:
        raise _refuse(spec, "a string is not UTF-8") from None
