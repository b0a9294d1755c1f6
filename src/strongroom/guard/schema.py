"""What a model's callers may send and what it may answer: the schema inside the signed seal statement.

Format: docs/formats/schema.md. Parsing is strict: an unknown or missing name stops the load of the model.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from strongroom.errors import InvalidError, shorten

PLATFORM = "onnxruntime_onnx"
MAX_TENSORS = 256
MAX_NAME_BYTES = 256
"""In UTF-8, as the frames to the worker carry names."""
MAX_RANK = 8
MAX_DIMENSION = 2**31 - 1
MAX_COLUMNS = 65_536
MAX_CATEGORIES = 65_536
MAX_STRING_BYTES = 2**20
DEFAULT_STRING_BYTES = 65_536
MAX_ROWS = 65_536
DEFAULT_MAX_ROWS = 4096

FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})
INTEGERS = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
DTYPES = FLOATS | INTEGERS | {"BOOL", "BYTES"}

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_INPUT_KEYS = frozenset({"name", "dtype", "shape", "min", "max", "categories", "max_bytes", "finite"})
_OUTPUT_KEYS = frozenset({"name", "dtype", "shape"})
_SCHEMA_KEYS = frozenset({"platform", "inputs", "outputs", "batching", "max_rows"})

Number = int | float


class NamedTensor(Protocol):
    """What an inspection knows of a tensor: enough to begin a schema from."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output. ``shape`` holds -1 where the caller chooses; the first -1 counts rows."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    minimum: tuple[Number, ...] = ()
    """Inclusive lower bound: none, one for all elements, or one per column (last dimension)."""
    maximum: tuple[Number, ...] = ()
    categories: frozenset[Any] | None = None
    """The only values allowed: integers, or UTF-8 bytes for BYTES."""
    max_bytes: int = DEFAULT_STRING_BYTES
    finite: bool = True

    @classmethod
    def parse_input(cls, value: object, where: str) -> Self:
        fields = _require_object(value, where, _INPUT_KEYS, {"name", "dtype", "shape"})
        name, dtype, shape = _parse_identity(fields, where)
        where = f"schema: input {shorten(name)}"
        minimum = _parse_bounds(fields.get("min"), f"{where} min", dtype, shape)
        maximum = _parse_bounds(fields.get("max"), f"{where} max", dtype, shape)
        if any(low > high for low, high in _paired(minimum, maximum)):
            raise InvalidError(f"{where}: min is above max")
        return cls(
            name,
            dtype,
            shape,
            minimum,
            maximum,
            _parse_categories(fields.get("categories"), where, dtype),
            _require_integer(
                fields.get("max_bytes", DEFAULT_STRING_BYTES), f"{where} max_bytes", 0, MAX_STRING_BYTES
            ),
            _require_bool(fields.get("finite", True), f"{where} finite"),
        )

    @classmethod
    def parse_output(cls, value: object, where: str) -> Self:
        fields = _require_object(value, where, _OUTPUT_KEYS, _OUTPUT_KEYS)
        return cls(*_parse_identity(fields, where))

    def to_dict(self) -> dict[str, Any]:
        """The canonical form: defaults left out, numbers that are not integers as decimal strings."""
        value: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        for key, bounds in (("min", self.minimum), ("max", self.maximum)):
            if bounds:
                spelled = [_spell(number) for number in bounds]
                value[key] = spelled[0] if len(spelled) == 1 else spelled
        if self.categories is not None:
            known = sorted(self.categories)
            value["categories"] = [item.decode() for item in known] if self.dtype == "BYTES" else known
        if self.max_bytes != DEFAULT_STRING_BYTES:
            value["max_bytes"] = self.max_bytes
        if not self.finite:
            value["finite"] = False
        return value


@dataclass(frozen=True, slots=True)
class Schema:
    """The whole contract of one model version."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    by_rows: bool
    """Rows are independent of each other: requests may be answered in one batch along dimension 0."""
    max_rows: int = DEFAULT_MAX_ROWS
    platform: str = PLATFORM

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the schema a signed statement carries.

        Raises:
            InvalidError: a name missing, unknown, repeated or out of its bounds.
        """
        fields = _require_object(value, "schema", _SCHEMA_KEYS, {"platform", "inputs", "outputs", "batching"})
        if fields["platform"] != PLATFORM:
            raise InvalidError(f"schema: platform {shorten(fields['platform'])} is not {PLATFORM}")
        if fields["batching"] not in ("rows", "none"):
            raise InvalidError(f"schema: batching {shorten(fields['batching'])} is neither rows nor none")
        schema = cls(
            tuple(
                TensorSpec.parse_input(item, f"schema: input {index}")
                for index, item in enumerate(_require_tensors(fields["inputs"], "inputs"))
            ),
            tuple(
                TensorSpec.parse_output(item, f"schema: output {index}")
                for index, item in enumerate(_require_tensors(fields["outputs"], "outputs"))
            ),
            fields["batching"] == "rows",
            _require_integer(fields.get("max_rows", DEFAULT_MAX_ROWS), "schema: max_rows", 1, MAX_ROWS),
        )
        schema._require_consistent()
        return schema

    @classmethod
    def auto(
        cls,
        inputs: Iterable[NamedTensor | Mapping[str, Any]],
        outputs: Iterable[NamedTensor | Mapping[str, Any]],
        *,
        max_rows: int = DEFAULT_MAX_ROWS,
        by_rows: bool | None = None,
    ) -> Self:
        """Return the schema that an inspection supports: names, types and shapes, no value bounds.

        Rows are taken as independent when the first dimension of every input and output is free, unless
        ``by_rows`` says otherwise: a model that mixes rows (say, a softmax over dimension 0) needs False.
        """
        described_in = [_describe(tensor) for tensor in inputs]
        described_out = [_describe(tensor) for tensor in outputs]
        if by_rows is None:
            by_rows = all(t["shape"][:1] == [-1] for t in (*described_in, *described_out))
        return cls.parse(
            {
                "platform": PLATFORM,
                "inputs": described_in,
                "outputs": described_out,
                "batching": "rows" if by_rows else "none",
                "max_rows": max_rows,
            }
        )

    def without_batching(self) -> "Schema":
        """The same schema for a model whose rows must not be answered together."""
        return replace(self, by_rows=False)

    def require_fits(
        self,
        inputs: Iterable[NamedTensor | Mapping[str, Any]],
        outputs: Iterable[NamedTensor | Mapping[str, Any]],
    ) -> None:
        """Refuse a schema that is not about this model: it may narrow what the model takes, never differ.

        Raises:
            InvalidError: a tensor is missing, unknown, or of another type or shape.
        """
        for kind, specs, tensors in (("input", self.inputs, inputs), ("output", self.outputs, outputs)):
            described = {item["name"]: item for item in map(_describe, tensors)}
            for spec in specs:
                tensor = described.pop(spec.name, None)
                if tensor is None:
                    raise InvalidError(f"schema: {kind} {shorten(spec.name)} is not in the model")
                if tensor["dtype"] != spec.dtype or not _fits(spec.shape, tensor["shape"]):
                    found = f"{tensor['dtype']} {tensor['shape']}"
                    raise InvalidError(
                        f"schema: {kind} {shorten(spec.name)} is {shorten(found)} in the model"
                    )
            for name in described:
                raise InvalidError(f"schema: {kind} {shorten(name)} of the model is missing")

    def to_dict(self) -> dict[str, Any]:
        """The form that `parse` reads and that the statement signs."""
        return {
            "platform": self.platform,
            "inputs": [spec.to_dict() for spec in self.inputs],
            "outputs": [
                {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)} for spec in self.outputs
            ],
            "batching": "rows" if self.by_rows else "none",
            "max_rows": self.max_rows,
        }

    def _require_consistent(self) -> None:
        for kind, specs in (("inputs", self.inputs), ("outputs", self.outputs)):
            if len({spec.name for spec in specs}) != len(specs):
                raise InvalidError(f"schema: {kind} share a name")
            if self.by_rows and any(spec.shape[:1] != (-1,) for spec in specs):
                raise InvalidError(f"schema: batching by rows needs a free first dimension in all {kind}")


def _describe(tensor: NamedTensor | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(tensor, Mapping):
        name, dtype, shape = (tensor.get(key) for key in ("name", "dtype", "shape"))
        if not isinstance(shape, Sequence):
            raise InvalidError("schema: a tensor without a shape")
    else:
        name, dtype, shape = tensor.name, tensor.dtype, tensor.shape
    return {"name": name, "dtype": dtype, "shape": list(shape)}


def _fits(spec: Sequence[int], model: Sequence[int]) -> bool:
    return len(spec) == len(model) and all(
        theirs in (-1, ours) for ours, theirs in zip(spec, model, strict=True)
    )


def _parse_identity(fields: Mapping[str, Any], where: str) -> tuple[str, str, tuple[int, ...]]:
    name = fields["name"]
    if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name.encode()) <= MAX_NAME_BYTES:
        raise InvalidError(f"{where}: name is not 1 to {MAX_NAME_BYTES} bytes of printable characters")
    where = f"{where} {shorten(name)}"
    dtype = fields["dtype"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise InvalidError(f"{where}: dtype {shorten(dtype)} is not one of the protocol's")
    shape = fields["shape"]
    if not isinstance(shape, list) or len(shape) > MAX_RANK:
        raise InvalidError(f"{where}: shape is not a list of at most {MAX_RANK} dimensions")
    dims = tuple(_require_integer(dim, f"{where} shape", -1, MAX_DIMENSION) for dim in shape)
    if 0 in dims:
        raise InvalidError(f"{where}: a dimension of 0 can hold nothing")
    return name, dtype, dims


def _parse_bounds(value: object, where: str, dtype: str, shape: tuple[int, ...]) -> tuple[Number, ...]:
    if value is None:
        return ()
    if dtype in ("BOOL", "BYTES", "BF16"):
        raise InvalidError(f"{where}: {dtype} takes no bounds")
    if not isinstance(value, list):
        return (_parse_number(value, where, dtype),)
    columns = shape[-1] if shape else 0
    if not 1 <= len(value) <= MAX_COLUMNS or len(value) != columns:
        raise InvalidError(f"{where}: needs one number, or one for each of a fixed last dimension")
    return tuple(_parse_number(item, where, dtype) for item in value)


def _parse_number(value: object, where: str, dtype: str) -> Number:
    if isinstance(value, int) and not isinstance(value, bool):
        number: Number = value
    elif isinstance(value, str) and _DECIMAL.fullmatch(value) is not None:
        whole = value.lstrip("-").isdigit()
        number = int(value) if whole else float(value)
    else:
        raise InvalidError(f"{where}: {shorten(value)} is not an integer or a decimal string")
    if dtype in INTEGERS:
        if isinstance(number, float):
            raise InvalidError(f"{where}: {dtype} takes an integer")
        _require_in_type(number, where, dtype)
    if not math.isfinite(number):
        raise InvalidError(f"{where}: out of range")
    return number


def _require_in_type(number: int, where: str, dtype: str) -> None:
    bits = int(dtype.lstrip("UINT"))
    low, high = (0, 2**bits - 1) if dtype[0] == "U" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not low <= number <= high:
        raise InvalidError(f"{where}: out of range for {dtype}")


def _parse_categories(value: object, where: str, dtype: str) -> frozenset[Any] | None:
    if value is None:
        return None
    if dtype not in INTEGERS and dtype != "BYTES":
        raise InvalidError(f"{where}: categories need an integer type or BYTES")
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CATEGORIES:
        raise InvalidError(f"{where}: categories are not a list of 1 to {MAX_CATEGORIES}")
    wanted = str if dtype == "BYTES" else int
    if any(type(item) is not wanted for item in value):
        raise InvalidError(f"{where}: categories are not all of type {dtype}")
    known = frozenset(item.encode() if isinstance(item, str) else item for item in value)
    if len(known) != len(value):
        raise InvalidError(f"{where}: a category is repeated")
    return known


def _paired(low: tuple[Number, ...], high: tuple[Number, ...]) -> Iterable[tuple[Number, Number]]:
    if len(low) == 1 and high:
        low *= len(high)
    if len(high) == 1 and low:
        high *= len(low)
    return zip(low, high, strict=False)


def _spell(number: Number) -> int | str:
    if isinstance(number, int) and abs(number) < 2**53:
        return number
    return repr(number)


def _require_object(
    value: object, where: str, known: frozenset[str], needed: Iterable[str]
) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidError(f"{where}: not an object")
    for key in value:
        if key not in known:
            raise InvalidError(f"{where}: unknown name {shorten(key)}")
    for key in needed:
        if key not in value:
            raise InvalidError(f"{where}: {key} is missing")
    return value


def _require_tensors(value: object, where: str) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_TENSORS:
        raise InvalidError(f"schema: {where} is not a list of 1 to {MAX_TENSORS}")
    return value


def _require_integer(value: object, where: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise InvalidError(f"{where}: not an integer from {low} to {high}")
    return value


def _require_bool(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidError(f"{where}: not true or false")
    return value
