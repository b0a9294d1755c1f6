"""What an original takes: one matrix of numbers, one of texts, documents, or columns of a table."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from strongroom.errors import InvalidError, shorten

MAX_FEATURES = 65_536
MAX_PARTS = 20_000
"""Estimators within one model: forests of a thousand trees and more are usual."""
MAX_NAMED = 3
"""``(name, transformer, columns)`` is the longest entry of a composition."""
_SEARCHES = ("best_estimator_",)
_HOLDERS = ("estimator_", "base_estimator_", "regressor_", "classifier_", "transformer_", "estimator")


class Kind(StrEnum):
    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"


@dataclass(frozen=True)
class Column:
    """One feature, and what is known of its values."""

    name: str
    kind: Kind = Kind.NUMBER
    categories: tuple[Any, ...] = ()
    """The values that it was fitted on, where an encoder remembers them."""


@dataclass(frozen=True)
class Layout:
    """How rows are handed to the original, and in which inputs to its ONNX form."""

    columns: tuple[Column, ...]
    by_column: bool = False
    """An input of its own for each column, named after it."""
    is_frame: bool = False
    """The original wants a table whose columns have names."""
    documents: bool = False
    """One column of texts, which the original takes as a flat list."""
    names: tuple[str, ...] = field(default=())
    """All columns of the table, unused ones too."""

    @property
    def kind(self) -> Kind:
        """Of the one matrix."""
        return self.columns[0].kind


def unwrap(model: Any) -> Any:
    """Return what a finished search found best, or the model itself."""
    for name in _SEARCHES:
        inner = getattr(model, name, None)
        if inner is not None:
            return unwrap(inner)
    return model


def find_layout(model: Any, features: int | None = None) -> Layout:
    """Return what ``model`` takes; ``features`` if its author has to say how many.

    Raises:
        InvalidError: it does not tell, or takes what no tensor holds.
    """
    first = _first(model)
    kind = type(first).__name__
    if kind in ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"):
        words = tuple(getattr(first, "vocabulary_", {}))
        return Layout((Column("input", Kind.TEXT, words),), documents=True)
    if kind in ("DictVectorizer", "FeatureHasher", "PatchExtractor"):
        raise InvalidError(
            f"original: {kind} takes dictionaries, which no request to a served model can hold",
            hint="train with columns: OneHotEncoder in a ColumnTransformer",
        )
    if kind == "ColumnTransformer":
        return _of_table(first)
    count = features or _count(model) or _count(first)
    if not count:
        raise InvalidError(
            "original: does not say how many features it takes",
            hint="fit it before saving it, or say --inputs N",
        )
    if count > MAX_FEATURES:
        raise InvalidError(f"original: takes {count} features, more than {MAX_FEATURES}")
    columns = tuple(_of_encoder(first, count) or [Column(f"x{index}") for index in range(count)])
    mixed = len({column.kind for column in columns}) > 1
    return Layout(columns, by_column=mixed)


def steps(model: Any) -> Iterator[Any]:
    """Yield the steps of a pipeline, nested ones too, without those that do nothing."""
    if type(model).__name__ == "Pipeline":
        for _, step in model.steps:
            if step is not None and not isinstance(step, str):
                yield from steps(unwrap(step))
    else:
        yield model


def parts(model: Any) -> Iterator[Any]:
    """Yield the model and every estimator inside it, each once.

    Raises:
        InvalidError: there are more than `MAX_PARTS`.
    """
    waiting, seen = [unwrap(model)], set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if len(seen) > MAX_PARTS:
            raise InvalidError(f"original: has more than {MAX_PARTS} parts")
        yield part
        for value in list(getattr(part, "__dict__", {}).values()):
            waiting += _held(value)


def _held(value: Any) -> list[Any]:
    """The estimators in an attribute: itself, in a list or dictionary, or named in pairs."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.ravel().tolist()
    listed = list(value) if isinstance(value, list | tuple) else [value]
    found = []
    for item in listed[:MAX_PARTS]:
        pair = item if isinstance(item, tuple | list) and len(item) <= MAX_NAMED else [item]
        found += [one for one in pair if _is_estimator(one)]
    return found


def _is_estimator(value: Any) -> bool:
    return not isinstance(value, type) and hasattr(value, "get_params")


def _first(model: Any) -> Any:
    """The step that sees what the caller sends."""
    model = unwrap(model)
    for step in steps(model):
        for name in _HOLDERS:
            inner = getattr(step, name, None)
            if type(inner).__name__ in ("Pipeline", "ColumnTransformer"):
                return _first(inner)
        if type(step).__name__ == "FeatureUnion" and step.transformer_list:
            return _first(step.transformer_list[0][1])
        several = getattr(step, "estimators_", None)
        if isinstance(several, list) and several and type(several[0]).__name__ == "Pipeline":
            return _first(several[0])
        return step
    return model


def _count(model: Any) -> int | None:
    for name in ("n_features_in_", "n_features_", "_n_features"):
        try:
            count = getattr(model, name, None)
        except Exception:  # noqa: S112 - a property of an unfitted part
            continue
        if isinstance(count, int | np.integer) and count > 0:
            return int(count)
    return None


def _of_encoder(step: Any, count: int) -> list[Column] | None:
    """The columns of an encoder, from the categories that it has seen."""
    seen = getattr(step, "categories_", None)
    if not isinstance(seen, list) or len(seen) != count:
        return None
    return [_of_categories(f"x{index}", values) for index, values in enumerate(seen)]


def _of_categories(name: str, values: Any) -> Column:
    array = np.asarray(values)
    if array.dtype.kind in "iub":
        return Column(name, Kind.INTEGER, tuple(int(value) for value in array))
    if array.dtype.kind == "f":
        return Column(name, Kind.NUMBER, tuple(float(value) for value in array if np.isfinite(value)))
    texts = [value for value in array.tolist() if isinstance(value, str)]
    if array.dtype.kind == "O" and not texts:
        numbers = [value for value in array.tolist() if isinstance(value, int | float) and value == value]
        if numbers:
            whole = all(isinstance(value, int) for value in numbers)
            return Column(name, Kind.INTEGER if whole else Kind.NUMBER, tuple(numbers))
    return Column(name, Kind.TEXT, tuple(texts))


def _of_table(table: Any) -> Layout:
    """The columns of a ColumnTransformer, each after the transformer that reads it."""
    names = [str(name) for name in getattr(table, "feature_names_in_", ())]
    width = _count(table) or len(names)
    if not 0 < width <= MAX_FEATURES:
        raise InvalidError("original: its ColumnTransformer does not say how many columns it takes")
    found: dict[int, Column] = {}
    by_name = False
    for _, transformer, wanted in table.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        indices, named = _indices(wanted, names, width)
        by_name = by_name or named
        for column in _of_part(transformer, indices):
            index = int(column.name)
            known = found.get(index)
            if known is None or (known.kind is Kind.NUMBER and not known.categories):
                found[index] = column
    shown = names or [f"x{index}" for index in range(width)]
    used = sorted(found) if by_name else range(width)
    columns = tuple(
        Column(shown[index], found[index].kind, found[index].categories)
        if index in found
        else Column(shown[index])
        for index in used
    )
    mixed = len({column.kind for column in columns}) > 1
    if by_name and not names:
        raise InvalidError("original: selects columns by name and does not know their names")
    return Layout(columns, by_column=mixed or by_name, is_frame=by_name, names=tuple(shown))


def _of_part(transformer: Any, indices: list[int]) -> Iterator[Column]:
    for step in [] if isinstance(transformer, str) else steps(unwrap(transformer)):
        if type(step).__name__ in ("CountVectorizer", "TfidfVectorizer"):
            for index in indices:
                yield Column(str(index), Kind.TEXT, tuple(step.vocabulary_))
            return
        columns = _of_encoder(step, len(indices))
        if (
            columns is None
            and getattr(getattr(step, "statistics_", None), "dtype", np.dtype(int)).kind == "O"
        ):
            columns = [Column("", Kind.TEXT, (str(value),)) for value in step.statistics_]
        if columns is not None and len(columns) == len(indices):
            for index, column in zip(indices, columns, strict=True):
                yield Column(str(index), column.kind, column.categories)
            return
    for index in indices:
        yield Column(str(index))


def _indices(wanted: Any, names: list[str], width: int) -> tuple[list[int], bool]:
    """Which columns a selection means, and whether it names them."""
    if isinstance(wanted, str):
        return [names.index(wanted)], True
    if isinstance(wanted, slice):
        if isinstance(wanted.start, str) or isinstance(wanted.stop, str):
            start = names.index(wanted.start) if wanted.start is not None else 0
            stop = names.index(wanted.stop) + 1 if wanted.stop is not None else width
            return list(range(start, stop)), True
        return list(range(width))[wanted], False
    items = [wanted] if isinstance(wanted, int | np.integer) else list(np.asarray(wanted).tolist())
    named = [item for item in items if isinstance(item, str)]
    if named:
        unknown = [item for item in named if item not in names]
        if unknown:
            raise InvalidError(f"original: selects column {shorten(unknown[0])}, which it has not seen")
        return [names.index(item) for item in named], True
    if items and all(isinstance(item, bool) for item in items):
        return [index for index, chosen in enumerate(items) if chosen], False
    return [int(item) % width for item in items], False
