"""What all models that take tensors share: reference inputs, comparing, names in the result, what is told."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from strongroom import __version__
from strongroom.artifact.formats import Format
from strongroom.errors import InvalidError, RejectedError
from strongroom.serve.converter import graph
from strongroom.serve.converter.comparing import Difference
from strongroom.serve.converter.engine import run_onnx
from strongroom.serve.converter.wish import MAX_RELATIVE_ERROR, Wish, read_arrays

OPSET = 18
MAX_DRAWN_ELEMENTS = 2**21
"""Of all reference inputs that are made up: large inputs come in fewer rows."""
MIN_ROWS = 2
MAX_BATCHES = 8
"""Of a model that takes a fixed number of rows, and is asked so many times."""
BELOW = 8
"""Whole numbers are drawn under it where the original does not say more."""
HINT = "give rows that it does take with --inputs rows.npz"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Original:
    """What is told of a model that takes tensors."""

    format: Format
    name: str
    versions: Mapping[str, str]
    fixed_rows: int | None = None
    """So many rows and no other number."""
    module: str | None = None
    """SHA-256 of the code that came with it."""
    notes: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Slot:
    """An input: what a model says of it. Its first dimension are the rows."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    """Behind the rows; None: any."""
    below: int | None = None
    """Whole numbers are drawn under it."""


def draw(slots: Sequence[Slot], wish: Wish, fixed_rows: int | None) -> dict[str, Array]:
    """Return made-up inputs by name. Raises InvalidError: an input does not say its size."""
    shapes = []
    for slot in slots:
        known = [extent for extent in slot.shape if extent is not None]
        if len(known) != len(slot.shape) and not (len(slots) == len(slot.shape) == 1 and wish.features):
            raise InvalidError(
                f"original: input {slot.name[:60]} takes any size", hint="give rows with --inputs rows.npz"
            )
        shapes.append(tuple(known) if len(known) == len(slot.shape) else (wish.features or 1,))
    a_row = sum(_elements(shape) for shape in shapes)
    rows = max(MIN_ROWS, min(wish.rows, MAX_DRAWN_ELEMENTS // max(1, a_row)))
    if fixed_rows:
        rows = fixed_rows * max(1, min(MAX_BATCHES, rows // fixed_rows))
    random = np.random.default_rng(wish.seed)
    return {slot.name: _draw(slot, (rows, *shape), random) for slot, shape in zip(slots, shapes, strict=True)}


def _elements(shape: Sequence[int]) -> int:
    product = 1
    for extent in shape:
        product *= extent
    return product


def _draw(slot: Slot, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if slot.dtype.kind == "f" and slot.below is None:
        return random.standard_normal(shape, np.float32).astype(slot.dtype)
    if slot.dtype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    return random.integers(0, max(1, slot.below or BELOW), shape).astype(slot.dtype)


def parse_given(slots: Sequence[Slot], given: bytes, fixed_rows: int | None) -> dict[str, Array]:
    """Return inputs that were given, for the slots of the same names, or in the same order."""
    arrays = read_arrays(given)
    if len(arrays) != len(slots):
        raise InvalidError(f"inputs: {len(arrays)} arrays, and the original takes {len(slots)}")
    named = {slot.name for slot in slots} == arrays.keys()
    found = {}
    for slot, array in zip(slots, arrays.values(), strict=True):
        taken = arrays[slot.name] if named else array
        if taken.dtype.kind not in "fiub" or taken.ndim != len(slot.shape) + 1 or not len(taken):
            raise InvalidError(
                f"inputs: {slot.name[:60]} is no array of numbers with {len(slot.shape) + 1} dimensions"
            )
        wrong = [
            one for one, other in zip(taken.shape[1:], slot.shape, strict=True) if other not in (None, one)
        ]
        if wrong or len(taken) % (fixed_rows or 1):
            raise InvalidError(
                f"inputs: {slot.name[:60]} has shape {list(taken.shape)}, not that of the input"
            )
        found[slot.name] = np.ascontiguousarray(taken.astype(slot.dtype))
    if len({len(array) for array in found.values()}) != 1:
        raise InvalidError("inputs: the arrays have different numbers of rows")
    return found


def in_batches(
    ask: Callable[[dict[str, Array]], list[Array]], inputs: Mapping[str, Array], fixed_rows: int | None
) -> list[Array]:
    """Return the answers to all rows, asked as many at once as the model takes."""
    rows = len(next(iter(inputs.values())))
    size = fixed_rows or rows
    answers = [
        ask({name: array[start : start + size] for name, array in inputs.items()})
        for start in range(0, rows, size)
    ]
    if len(answers) == 1:
        return answers[0]
    return [np.concatenate([np.atleast_1d(part) for part in parts]) for parts in zip(*answers, strict=True)]


def measure(
    proto: Any,
    inputs: Mapping[str, Array],
    expected: Sequence[Array],
    wish: Wish,
    fixed_rows: int | None = None,
) -> Difference:
    """Return how far the converted model's answers are from the original's, as they will be served.

    Raises:
        RejectedError: it answers in other shapes or types, or beyond the bound.
    """
    names = [value.name for value in proto.graph.input]
    if len(names) != len(inputs):
        raise InvalidError(f"converted: takes {len(names)} inputs, {len(inputs)} were given")

    def ask(batch: dict[str, Array]) -> list[Array]:
        return list(run_onnx(proto, dict(zip(names, batch.values(), strict=True))).values())

    answers = in_batches(ask, inputs, fixed_rows)
    if [(array.shape, array.dtype.kind) for array in answers] != [
        (array.shape, array.dtype.kind) for array in expected
    ]:
        raise RejectedError("converted: answers in other shapes than the original, or for other rows")
    found = [Difference.of(one, other) for one, other in zip(answers, expected, strict=True)]
    if not found:
        raise InvalidError("original: answers nothing")
    worst = max(found, key=lambda one: one.relative)
    if not worst.relative <= bound(wish):
        raise RejectedError(
            f"converted: differs from the original: relative error {worst.relative:.2e} is above "
            f"{bound(wish):.0e}, worst in row {worst.worst_row}",
            hint="give rows that the model will see with --inputs, or accept more with --max-error",
        )
    return Difference(max(one.absolute for one in found), worst.relative, worst.worst_row)


def bound(wish: Wish) -> float:
    return wish.max_error if wish.max_error is not None else MAX_RELATIVE_ERROR


def finish(
    original: Original, proto: Any, inputs: Mapping[str, Array], difference: Difference, wish: Wish
) -> tuple[bytes, dict[str, Any]]:
    """Name inputs and outputs, free the rows; return the model and what is told of it."""
    for value, name in zip(list(proto.graph.input), inputs, strict=True):
        graph.rename(proto, value.name, name)
    outputs = graph.outputs(proto)
    names = ["output"] if len(outputs) == 1 else [f"output_{index}" for index in range(len(outputs))]
    for old, name in zip(outputs, names, strict=True):
        graph.rename(proto, old, name)
    if original.fixed_rows is None:
        graph.free_rows(proto)
    return graph.finish(proto, __version__), _facts(original, inputs, proto, difference, wish)


def _facts(
    original: Original, inputs: Mapping[str, Array], proto: Any, difference: Difference, wish: Wish
) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name, array in inputs.items():
        digest.update(name.encode() + b"\n" + array.tobytes() + b"\n")
    notes = [*original.notes]
    if original.fixed_rows is not None:
        notes.append("takes a fixed number of rows")
    return {
        "format": str(original.format),
        "estimator": original.name[:200],
        "task": "transformation",
        "features": sum(int(np.prod(array.shape[1:])) for array in inputs.values()),
        "number": "FP32",
        "outputs": graph.outputs(proto),
        "left_out": [],
        "rows": len(next(iter(inputs.values()))),
        "seed": wish.seed,
        "inputs": digest.hexdigest(),
        "label": None,
        "absolute": f"{difference.absolute:.3e}",
        "relative": f"{difference.relative:.3e}",
        "bound": f"{bound(wish):.3e}",
        "probes": {},
        "versions": dict(original.versions),
        "opsets": {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import},
        "globals": [],
        "globals_count": 0,
        "notes": notes,
        "module": original.module,
    }
