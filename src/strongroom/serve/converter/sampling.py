"""Reference inputs: rows that the original and its ONNX form both answer, made from what the model learned.

Numbers are drawn as float32, the type that a served model receives, so that both see the same value.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from strongroom.errors import InvalidError, shorten
from strongroom.serve.converter import libraries
from strongroom.serve.converter.hints import read_hints
from strongroom.serve.converter.layout import Column, Kind, Layout, steps, unwrap
from strongroom.serve.converter.wish import SEED

_NOISE = ("Lorem", "ipsum,", "dolor.", "sit-amet", "x1", "42", "äöü", "naïve", "—", "e-mail", "UNKNOWN")
_UNSEEN = "unseen-category"
_MAX_WORDS = 24
_OF_POSITIVE = ("log", "log1p", "log2", "log10", "sqrt", "reciprocal")

Array = np.ndarray[Any, Any]


class Sample:
    """Rows in both forms."""

    def __init__(self, layout: Layout, columns: Mapping[str, Array]) -> None:
        self.layout = layout
        self._columns = columns
        self.rows = len(next(iter(columns.values())))

    def for_original(self, number: type[np.floating[Any]] = np.float64) -> Any:
        """The rows as the original takes them: a list, a table or a matrix."""
        layout = self.layout
        if layout.documents:
            return self._columns[layout.columns[0].name].tolist()
        if layout.is_frame:
            return self._table()
        if not layout.by_column:
            matrix = np.column_stack([self._columns[column.name] for column in layout.columns])
            return matrix.astype(number) if layout.kind is Kind.NUMBER else matrix
        return np.column_stack([self._columns[column.name].astype(object) for column in layout.columns])

    def for_onnx(self, number: type[np.floating[Any]] = np.float32) -> dict[str, Array]:
        """The rows as inputs by name; ``number`` is the type of those that are numbers."""
        types = {Kind.NUMBER: number, Kind.INTEGER: np.int64, Kind.TEXT: object}
        layout = self.layout
        if layout.by_column:
            return {
                column.name: self._columns[column.name].astype(types[column.kind]).reshape(-1, 1)
                for column in layout.columns
            }
        matrix = np.column_stack([self._columns[column.name] for column in layout.columns])
        return {"input": matrix.astype(types[layout.kind])}

    def only(self, rows: slice) -> "Sample":
        return Sample(self.layout, {name: values[rows] for name, values in self._columns.items()})

    def replaced(self, columns: Mapping[str, Array]) -> "Sample":
        return Sample(self.layout, {**self._columns, **columns})

    def column(self, name: str) -> Array:
        return self._columns[name]

    def to_bytes(self) -> bytes:
        """What the digest of the reference inputs is over: every column, in order, with its name."""
        parts = []
        for column in self.layout.columns:
            values = self._columns[column.name]
            kind = values.dtype.kind
            encoded = "\0".join(map(str, values.tolist())).encode() if kind == "O" else values.tobytes()
            parts += [column.name.encode(), b"\n", encoded, b"\n"]
        return b"".join(parts)

    def _table(self) -> Any:
        pandas = libraries.find("pandas")
        if pandas is None:
            raise InvalidError(
                "original: selects columns by name, which takes pandas", hint="pip install pandas"
            )
        unused = [name for name in self.layout.names if name not in self._columns]
        table = pandas.DataFrame({**self._columns, **{name: np.zeros(self.rows) for name in unused}})
        return table[list(self.layout.names)]


def draw(model: Any, layout: Layout, rows: int, seed: int = SEED) -> Sample:
    """Return ``rows`` rows that fit ``layout``; the same ones for the same model and seed."""
    random = np.random.default_rng(seed)
    if layout.documents:
        column = layout.columns[0]
        return Sample(layout, {column.name: _documents(column, rows, random)})
    matrix = None
    if not layout.by_column and layout.kind is Kind.NUMBER and not layout.columns[0].categories:
        matrix = _numbers(model, len(layout.columns), rows, random)
    drawn = {}
    for index, column in enumerate(layout.columns):
        if matrix is not None:
            drawn[column.name] = matrix[:, index]
        elif column.categories or column.kind is Kind.TEXT:
            drawn[column.name] = _categories(column, rows, random)
        else:
            centre, width = _scale_of(model, column.name, index)
            values = centre + width * random.standard_normal(rows)
            readers = [part for reader, _ in _readers(model, column.name, index) for part in steps(reader)]
            positive = any(map(_takes_logarithm, readers))
            drawn[column.name] = (np.abs(values) if positive else values).astype(np.float32)
    return Sample(layout, drawn)


def _numbers(model: Any, features: int, rows: int, random: np.random.Generator) -> Array:
    drawn = _draw_before(model, features, rows, random)
    if not np.isfinite(drawn).all():
        drawn = random.standard_normal((rows, features))
    if _only_positive(model) or _takes_logarithm(next(iter(steps(unwrap(model))), None)):
        drawn = np.abs(drawn)
    bounds = getattr(unwrap(model), "n_categories_", None)
    if isinstance(bounds, np.ndarray) and bounds.shape == (features,):
        drawn = np.floor(random.random((rows, features)) * bounds)
    return drawn.astype(np.float32)


def _draw_before(model: Any, features: int, rows: int, random: np.random.Generator) -> Array:
    """Draw where a model has seen values; through a scaler, from where its next step has."""
    model = unwrap(model)
    if type(model).__name__ != "Pipeline":
        return read_hints(model, features).draw(rows, random)
    listed = [step for _, step in model.steps if step is not None and not isinstance(step, str)]
    first, rest = listed[0], listed[1:]
    if rest and hasattr(first, "inverse_transform"):
        after = _width_after(first, features)
        try:
            drawn = np.asarray(
                first.inverse_transform(_draw_before(_chain(rest), after, rows, random)), float
            )
        except Exception:
            drawn = np.empty((0, 0))
        if drawn.shape == (rows, features) and np.isfinite(drawn).all():
            return drawn
    if rest and type(first).__name__ in ("SimpleImputer", "KNNImputer", "IterativeImputer"):
        return _draw_before(_chain(rest), features, rows, random)
    return _draw_before(first, features, rows, random)


def _width_after(step: Any, features: int) -> int:
    try:
        return len(step.get_feature_names_out())
    except Exception:
        return features


def _chain(listed: list[Any]) -> Any:
    if len(listed) == 1:
        return listed[0]
    from sklearn.pipeline import Pipeline

    return Pipeline([(str(index), step) for index, step in enumerate(listed)])


def _only_positive(model: Any) -> bool:
    try:
        from sklearn.utils import get_tags

        return bool(get_tags(unwrap(model)).input_tags.positive_only)
    except Exception:
        return False


def _takes_logarithm(step: Any) -> bool:
    """Whether a step is a function that only positive numbers have."""
    return getattr(getattr(step, "func", None), "__name__", "") in _OF_POSITIVE


def _scale_of(model: Any, name: str, index: int) -> tuple[float, float]:
    """Centre and width of one number among mixed columns, from the scaler or imputer that reads it."""
    for transformer, position in _readers(model, name, index):
        for part in steps(transformer):
            for middle, spread in (("mean_", "scale_"), ("center_", "scale_"), ("data_min_", "data_range_")):
                centre, width = _at(part, middle, position), _at(part, spread, position)
                if centre is not None and width is not None:
                    return centre, width or 1.0
            usual = _at(part, "statistics_", position)
            if usual is not None:
                return usual, abs(usual) or 1.0
    return 0.0, 1.0


def _at(part: Any, name: str, position: int) -> float | None:
    values = getattr(part, name, None)
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or position >= len(values):
        return None
    value = float(values[position])
    return value if np.isfinite(value) else None


def _readers(model: Any, name: str, index: int) -> list[tuple[Any, int]]:
    first = next(iter(steps(unwrap(model))), None)
    found = []
    for _, transformer, wanted in getattr(first, "transformers_", []):
        items = [wanted] if isinstance(wanted, str | int) else wanted
        if isinstance(items, slice) or isinstance(transformer, str):
            continue
        for position, item in enumerate(list(items)):
            if item in (name, index) and not isinstance(item, bool):
                found.append((transformer, position))
    return found


def _categories(column: Column, rows: int, random: np.random.Generator) -> Array:
    known = column.categories
    if column.kind is Kind.TEXT:
        texts = list(known) or [_UNSEEN]
        drawn = np.empty(rows, object)
        drawn[:] = [texts[index] for index in random.integers(0, len(texts), rows)]
        return drawn
    values = np.asarray(known, np.float32 if column.kind is Kind.NUMBER else np.int64)
    return values[random.integers(0, len(values), rows)]


def _documents(column: Column, rows: int, random: np.random.Generator) -> Array:
    """Texts of words that the model knows, some that it does not, with capitals and signs between."""
    known = [str(word) for word in column.categories][:4096]
    texts = np.empty(rows, object)
    for row in range(rows):
        words = []
        for _ in range(int(random.integers(1, _MAX_WORDS))):
            pool = known if known and random.random() < 0.8 else list(_NOISE)
            word = pool[int(random.integers(0, len(pool)))]
            words.append(word.upper() if word.isascii() and random.random() < 0.1 else word)
        texts[row] = " ".join(" ".join(words).split())
    return texts


def parse_given(layout: Layout, arrays: Mapping[str, Array]) -> Sample:
    """Return the rows that the user gave: one matrix, or an array for each column by its name.

    Raises:
        InvalidError: they do not fit what the original takes.
    """
    wanted = [column.name for column in layout.columns]
    if len(arrays) == 1 and not set(arrays) & set(wanted):
        matrix = next(iter(arrays.values()))
        if layout.documents:
            return Sample(layout, {wanted[0]: matrix.reshape(-1).astype(object)})
        if matrix.ndim != 2 or matrix.shape[1] != len(wanted):
            raise InvalidError(
                f"inputs: are of shape {list(matrix.shape)}, the original takes rows of {len(wanted)}"
            )
        arrays = {name: matrix[:, index] for index, name in enumerate(wanted)}
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise InvalidError(f"inputs: have no column {shorten(missing[0])}")
    columns = {}
    for column in layout.columns:
        values = arrays[column.name].reshape(-1)
        if (column.kind is Kind.TEXT) != (values.dtype.kind in "UO"):
            raise InvalidError(f"inputs: column {shorten(column.name)} is not of {column.kind}s")
        types = {Kind.NUMBER: np.float32, Kind.INTEGER: np.int64, Kind.TEXT: object}
        columns[column.name] = values.astype(types[column.kind])
    if len({len(values) for values in columns.values()}) != 1 or not len(next(iter(columns.values()))):
        raise InvalidError("inputs: the columns are not of one length, or empty")
    return Sample(layout, columns)
