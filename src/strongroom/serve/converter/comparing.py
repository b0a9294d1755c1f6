"""How far the converted model is from its original, on the reference rows: measured, never assumed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Difference:
    """Between two answers of the same shape."""

    absolute: float
    """Largest, over all rows and columns."""
    relative: float
    """Largest relative to the original's value, or to the root mean square of its column if that is more."""
    worst_row: int

    @classmethod
    def of(cls, converted: Array, original: Array) -> "Difference":
        """Compare numbers; what is not a number must not be one on both sides."""
        rows = len(original)
        one, other = converted.reshape(rows, -1).astype(float), original.reshape(rows, -1).astype(float)
        if not other.size:
            return cls(0.0, 0.0, 0)
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        apart = np.where(same, 0.0, np.abs(one - other))
        apart = np.where(np.isnan(apart), np.inf, apart)
        finite = np.where(np.isfinite(other), other, 0.0)
        scale = np.maximum(np.abs(finite), np.sqrt(np.mean(finite**2, axis=0)))
        relative = np.divide(apart, scale, out=np.where(apart > 0, np.inf, 0.0), where=scale > 0)
        return cls(float(apart.max()), float(relative.max()), int(relative.max(axis=1).argmax()))


@dataclass(frozen=True)
class Agreement:
    """Between the labels of two models."""

    rows: int
    """Compared, without ties."""
    agreed: int
    ties: int
    """Rows on which the original itself cannot tell its best two classes apart: left out."""
    first_disagreement: int | None

    @property
    def share(self) -> float:
        return self.agreed / self.rows if self.rows else 1.0

    @classmethod
    def of(cls, converted: Array, original: Array, scores: Array | None, tie: float) -> "Agreement":
        """``scores``: the original's, whose best two are a tie if no more than ``tie`` apart."""
        apart = _apart(converted, original)
        tied = apart & _ties(scores, len(original), tie)
        counted = ~tied
        first = np.flatnonzero(apart & counted)
        return cls(
            int(counted.sum()),
            int((counted & ~apart).sum()),
            int(tied.sum()),
            int(first[0]) if len(first) else None,
        )


def differing_labels(converted: Array, original: Array, scores: Array | None, tie: float) -> Array:
    """Return which rows have another label, without ties."""
    apart = _apart(converted, original)
    return np.asarray(apart & ~_ties(scores, len(original), tie))


def _apart(converted: Array, original: Array) -> Array:
    pairs = zip(_rows(converted), _rows(original), strict=True)
    return np.asarray([_spell(one) != _spell(other) for one, other in pairs], bool)


OUTPUTS_FIRST = -1
"""In place of a column: the answer has one matrix for each output, which belong side by side."""


def align(converted: Array, original: Array) -> list[tuple[Array, int | None]]:
    """Return the converted answer in the original's shape, and the column that was taken for it if any.

    A score of two classes is one number in scikit-learn, and often two in ONNX, of which one is meant.
    """
    if converted.dtype.kind not in "fiub" or original.dtype.kind not in "fiub":
        return []
    if converted.shape == original.shape:
        return [(converted, None)]
    if converted.size == original.size and original.ndim == 2 and original.shape[1] == 1:
        return [(converted.reshape(original.shape), None)]
    if converted.ndim == 2 and converted.shape[1] == 2 and original.shape == (len(converted), 1):
        return [(converted[:, 1:], 1), (converted[:, :1], 0)]
    if converted.ndim == 3 and converted.size == original.size and converted.shape[1] == len(original):
        return [(side_by_side(converted), OUTPUTS_FIRST)]
    return []


def side_by_side(matrices: Array) -> Array:
    """Return one row a row of what is one matrix an output."""
    return matrices.transpose(1, 0, 2).reshape(matrices.shape[1], -1)


def _rows(values: Array) -> list[Any]:
    listed: list[Any] = values.tolist()
    return listed


def _spell(value: Any) -> Any:
    """One spelling for a label however it is typed: 1, 1.0 and True, or a text."""
    if isinstance(value, list):
        return [_spell(item) for item in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return float(value) if isinstance(value, int | float | bool) else value


def _ties(scores: Array | None, rows: int, tie: float) -> Array:
    if scores is None or scores.ndim != 2 or len(scores) != rows or scores.dtype.kind != "f":
        return np.zeros(rows, bool)
    if scores.shape[1] == 1:
        return np.asarray(np.abs(scores[:, 0]) <= tie)
    best = np.sort(scores, axis=1)
    return np.asarray(best[:, -1] - best[:, -2] <= tie)
