"""Rows at which conversions are known to differ, tried beside the reference rows and only reported.

A value that lies exactly on a threshold goes one way in float64 and may go the other in float32; a missing
value takes a branch that not every converter writes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from strongroom.serve.converter.hints import Hints, read_hints
from strongroom.serve.converter.layout import Kind, unwrap
from strongroom.serve.converter.sampling import Sample
from strongroom.serve.converter.wish import SEED

ROWS = 64
_MISSING_SHARE = 0.1


@dataclass(frozen=True)
class Probe:
    """How many of some rows differ by more than the bound."""

    name: str
    rows: int
    differing: int


def probe(model: Any, sample: Sample, differing: Callable[[Sample], int | None]) -> tuple[Probe, ...]:
    """Try what applies to this model."""
    layout = sample.layout
    if layout.by_column or layout.documents or layout.kind is not Kind.NUMBER:
        return ()
    rows = min(ROWS, sample.rows)
    random = np.random.default_rng(SEED)
    tried = []
    if _takes_missing(model):
        tried.append(("missing-values", _with_missing(sample.only(slice(rows)), random)))
    hints = read_hints(unwrap(model), len(layout.columns))
    if hints.thresholds:
        tried.append(("at-thresholds", _at_thresholds(sample.only(slice(rows)), hints, random)))
    found = []
    for name, changed in tried:
        count = differing(changed)
        if count is not None:
            found.append(Probe(name, rows, count))
    return tuple(found)


def _takes_missing(model: Any) -> bool:
    try:
        from sklearn.utils import get_tags

        return bool(get_tags(unwrap(model)).input_tags.allow_nan)
    except Exception:
        return False


def _with_missing(sample: Sample, random: np.random.Generator) -> Sample:
    changed = {}
    for column in sample.layout.columns:
        values = sample.column(column.name).astype(np.float32).copy()
        values[random.random(len(values)) < _MISSING_SHARE] = np.nan
        changed[column.name] = values
    return sample.replaced(changed)


def _at_thresholds(sample: Sample, hints: Hints, random: np.random.Generator) -> Sample:
    changed, categories = {}, hints.categories
    for index, (column, known) in enumerate(zip(sample.layout.columns, hints.points, strict=True)):
        if known and index not in categories:
            changed[column.name] = random.choice(np.asarray(known), sample.rows).astype(np.float32)
    return sample.replaced(changed)
