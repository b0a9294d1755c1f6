"""One export asked the same rows as its original, and how far apart the two are."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from strongroom.errors import InvalidError, StrongroomError, shorten
from strongroom.serve.converter import answers, exporting, graph
from strongroom.serve.converter.answers import Method, Task
from strongroom.serve.converter.comparing import (
    OUTPUTS_FIRST,
    Agreement,
    Difference,
    align,
    differing_labels,
)
from strongroom.serve.converter.engine import run_onnx
from strongroom.serve.converter.layout import Layout
from strongroom.serve.converter.sampling import Sample
from strongroom.serve.converter.wish import (
    MAX_PROBABILITY_ERROR,
    MAX_RELATIVE_ERROR,
    MIN_AGREEMENT,
    Wish,
)

Array = np.ndarray[Any, Any]


@dataclass
class Measured:
    """One export and how far it is from its original."""

    proto: Any
    number: type[np.floating[Any]]
    outputs: list[str]
    left_out: list[str] = field(default_factory=list)
    agreement: Agreement | None = None
    difference: Difference | None = None
    is_probability: bool = False
    exact: bool | None = None
    """Whether texts or categories came out the same, for transformers that make them."""

    def excess(self, wish: Wish) -> str | None:
        """Say what is beyond its bound, or None."""
        if self.agreement is not None and self.agreement.share < MIN_AGREEMENT:
            return (
                f"labels agree in {self.agreement.share:.2%} of rows, "
                f"first differ in row {self.agreement.first_disagreement}"
            )
        if self.exact is False:
            return "its values differ"
        if self.difference is None:
            return None
        error, bound = self.error(), self.bound(wish)
        if not error <= bound:
            what = "absolute" if self.is_probability else "relative"
            return f"{what} error {error:.2e} is above {bound:.0e}, worst in row {self.difference.worst_row}"
        return None

    def error(self) -> float:
        if self.difference is None:
            return 0.0
        return self.difference.absolute if self.is_probability else self.difference.relative

    def bound(self, wish: Wish) -> float:
        if wish.max_error is not None:
            return wish.max_error
        return MAX_PROBABILITY_ERROR if self.is_probability else MAX_RELATIVE_ERROR


@dataclass(frozen=True)
class Asked:
    """What the original answered to the reference rows."""

    task: Task
    label: Array | None
    numbers: list[tuple[Method, Array]]


def ask(model: Any, task: Task, sample: Sample) -> Asked:
    """Ask with float64, as scikit-learn wants numbers, and with float32 if only that is understood."""
    failed: Exception | None = None
    for number in (np.float64, np.float32):
        try:
            with _quiet():
                asked = _ask_rows(model, task, sample.for_original(number))
            if asked.label is None and not asked.numbers:
                raise InvalidError("original: answers nothing that can be compared")
            return asked
        except (MemoryError, StrongroomError):
            raise
        except Exception as error:
            failed = failed or error
    raise InvalidError(
        f"original: does not answer the reference inputs: {type(failed).__name__}: {shorten(failed, 200)}",
        hint="give rows that it does take with --inputs rows.npz",
    )


def _ask_rows(model: Any, task: Task, rows: Any) -> Asked:
    label = answers.labels(model, task)
    told = None if label is None else np.asarray(label.ask(rows))
    numbers = []
    for method in answers.values(model, task):
        array = _try(method, rows, needed=label is None)
        if array is not None:
            numbers.append((method, array))
    return Asked(task, told, numbers)


def _try(method: Method, rows: Any, *, needed: bool) -> Array | None:
    """Some methods exist and do not work: ``predict_proba`` of an SVC without it, ``transform`` of others."""
    if needed:
        return answers.ask(method, rows)
    try:
        return answers.ask(method, rows)
    except MemoryError:
        raise
    except Exception:
        return None


def measure(
    model: Any, takes: Layout, sample: Sample, asked: Asked, number: type[np.floating[Any]], wish: Wish
) -> Measured:
    proto = exporting.export(model, takes, number)
    graph.keep_tensors(proto)
    graph.free_rows(proto)
    answered = run_onnx(proto, sample.for_onnx(number))
    measured = Measured(proto, number, [])
    left = dict(answered)
    if asked.label is not None:
        _measure_label(measured, left, asked, sample.rows, wish)
    _measure_numbers(measured, left, asked)
    measured.left_out = sorted(left)
    graph.keep(proto, measured.outputs)
    if not measured.outputs:
        raise InvalidError("converted: answers nothing that the original answers")
    _require_whole(measured, asked)
    return measured


def _require_whole(measured: Measured, asked: Asked) -> None:
    """A classifier that gives probabilities must not come out as one that gives labels only."""
    if measured.difference is None and any(method.is_probability for method, _ in asked.numbers):
        raise InvalidError("converted: has no probabilities, and the original has")


def _scores(asked: Asked) -> Array | None:
    """What the label is the highest of."""
    return next((array for method, array in asked.numbers), None)


def _measure_label(measured: Measured, left: dict[str, Array], asked: Asked, rows: int, wish: Wish) -> None:
    assert asked.label is not None  # noqa: S101 - asked by the caller
    name = next(iter(left))
    answered = left.pop(name)
    if asked.label.ndim == 1 and answered.ndim != 1 and answered.size == rows:
        graph.flatten(measured.proto, name)
        answered = answered.reshape(-1)
    if answered.shape != asked.label.shape:
        raise InvalidError(
            f"converted: its labels are of shape {list(answered.shape)}, not {list(asked.label.shape)}"
        )
    tie = wish.max_error if wish.max_error is not None else MAX_PROBABILITY_ERROR
    measured.agreement = Agreement.of(answered, asked.label, _scores(asked), tie)
    graph.set_shape(measured.proto, name, answered.shape)
    graph.rename(measured.proto, name, "label")
    measured.outputs.append("label")


@dataclass(frozen=True)
class _Match:
    """An output, the method that it may be the answer of, and how near it is."""

    difference: Difference
    name: str
    method: Method
    column: int | None
    shape: tuple[int, ...]
    same: bool | None = None


def _measure_numbers(measured: Measured, left: dict[str, Array], asked: Asked) -> None:
    """Find the output that answers what one of the original's methods answers, and compare the two."""
    found = [
        match
        for name, answered in left.items()
        for method, array in asked.numbers
        for match in _matches(name, answered, method, array)
    ]
    if not found:
        return
    best = min(
        [one for one in found if one.method.is_probability] or found, key=lambda one: one.difference.relative
    )
    measured.difference, measured.is_probability = best.difference, best.method.is_probability
    measured.exact = best.same
    del left[best.name]
    if best.column is None:
        graph.set_shape(measured.proto, best.name, best.shape)
    elif best.column == OUTPUTS_FIRST:
        graph.put_side_by_side(measured.proto, best.name, best.shape[0] * best.shape[2])
    else:
        graph.take_column(measured.proto, best.name, best.column)
    graph.rename(measured.proto, best.name, best.method.output)
    measured.outputs.append(best.method.output)


def _matches(name: str, answered: Array, method: Method, array: Array) -> Iterator[_Match]:
    if answered.dtype.kind in "OU" and answered.shape == array.shape and array.dtype.kind in "OU":
        same = bool((answered.astype(object) == array.astype(object)).all())
        yield _Match(Difference(0.0, 0.0, 0), name, method, None, answered.shape, same)
    for aligned, column in align(answered, array):
        yield _Match(Difference.of(aligned, array), name, method, column, answered.shape)


def differing(model: Any, measured: Measured, sample: Sample, wish: Wish) -> int | None:
    """Count the rows on which the two differ by more than the bound; None if one does not answer them."""
    try:
        task = answers.find_task(model)
        asked = ask(model, task, sample)
        answered = run_onnx(measured.proto, sample.for_onnx(measured.number))
    except StrongroomError:
        return None
    differing = np.zeros(sample.rows, bool)
    for name, array in answered.items():
        if name == "label" and asked.label is not None:
            differing |= differing_labels(array, asked.label, _scores(asked), measured.bound(wish))
            continue
        for method, other in asked.numbers:
            aligned = align(array, other) if method.output == name else []
            if aligned:
                differing |= _rows_beyond(aligned[0][0], other, measured, wish)
                break
    return int(differing.sum())


def _rows_beyond(converted: Array, original: Array, measured: Measured, wish: Wish) -> Array:
    rows = len(original)
    one, other = converted.reshape(rows, -1).astype(float), original.reshape(rows, -1).astype(float)
    known = np.where(np.isfinite(other), other, 0.0)
    scale = 1.0 if measured.is_probability else np.maximum(np.abs(known), np.sqrt(np.mean(known**2, axis=0)))
    with np.errstate(invalid="ignore"):
        near = np.abs(one - other) <= measured.bound(wish) * scale
    same = near | (one == other) | (np.isnan(one) & np.isnan(other))
    return np.asarray(~same.all(axis=1))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
