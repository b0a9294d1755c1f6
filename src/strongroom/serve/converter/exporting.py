"""From a fitted estimator to an ONNX graph, by skl2onnx and converters of our own for boosted trees."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common import _registration, data_types, exceptions
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
)

from strongroom.errors import InvalidError, shorten
from strongroom.serve.converter import extra_converters, graph, libraries, tree_corrections
from strongroom.serve.converter.boosted_nodes import converter_of
from strongroom.serve.converter.histogram_trees import read_histogram
from strongroom.serve.converter.layout import Kind, Layout, parts, steps, unwrap
from strongroom.serve.converter.lightgbm_trees import read_lightgbm
from strongroom.serve.converter.xgboost_trees import read_xgboost

OPSET = 18
ML_OPSET = 3
INPUT = "input"
_DEFAULT_WORDS = r"(?u)\b\w\w+\b"
_WORDS = r"[\p{L}\p{N}_][\p{L}\p{N}_]+"
"""The same in RE2, whose ``\\w`` is ASCII only."""
_NEVER = "\0missing"
"""A text that no request can hold: the engine refuses NUL."""
_CLASS = re.compile(r"<class '([\w.]+)'>")
_TYPES: dict[Kind, Any] = {Kind.INTEGER: data_types.Int64TensorType, Kind.TEXT: data_types.StringTensorType}
_NUMBERS = {np.float32: data_types.FloatTensorType, np.float64: data_types.DoubleTensorType}
_BOOSTED = {
    "xgboost": ("XGBClassifier", "XGBRFClassifier", "XGBRegressor", "XGBRFRegressor", "XGBRanker"),
    "lightgbm": ("LGBMClassifier", "LGBMRegressor", "LGBMRanker"),
    "sklearn.ensemble": ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"),
}
_CLASSIFIER_OPTIONS = {"zipmap": [False, True, "columns"], "nocl": [True, False], "raw_scores": [True, False]}


def export(model: Any, layout: Layout, number: type[np.floating[Any]]) -> Any:
    """Return the ModelProto; ``number`` is the type of inputs that are numbers.

    Raises:
        InvalidError: there is no converter for it, or the one there is cannot convert it.
    """
    try:
        with warnings.catch_warnings(), _adapted(model):
            warnings.simplefilter("ignore")
            return _export(unwrap(model), layout, number)
    except (exceptions.MissingShapeCalculator, exceptions.MissingConverter) as error:
        raise InvalidError(
            f"original: skl2onnx has no converter for {_named(error)}",
            hint="docs/convert.md lists what can be converted, and what to use instead",
        ) from None
    except (MemoryError, InvalidError):
        raise
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise InvalidError(
            f"original: skl2onnx cannot convert {_name(model)}: {shorten(first, 200)}",
            hint="docs/convert.md lists what can be converted, and what to use instead",
        ) from None


def _export(model: Any, layout: Layout, number: type[np.floating[Any]]) -> Any:
    last = [*steps(model)][-1]
    if type(last).__name__ == "TransformedTargetRegressor":
        undone = extra_converters.invert_target(last.transformer_)
        inner = last.regressor_
        if type(model).__name__ == "Pipeline":
            inner = type(model)([*model.steps[:-1], ("inner", inner)])
        proto = _export(unwrap(inner), layout, number)
        graph.apply(proto, undone)
        return proto
    return convert_sklearn(
        model,
        initial_types=_initial_types(layout, number),
        options=_options(model),
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )


def register() -> None:
    """Teach skl2onnx the estimators of XGBoost and LightGBM, so that they work inside pipelines too."""
    tree_corrections.correct()
    extra_converters.register()
    # Pipelines tell every classifier of zipmap, and this one refuses to hear of it.
    _registration.get_converter("SklearnLinearSVC").get_allowed_options()["zipmap"] = [False, True]
    for library, read in (
        ("xgboost", read_xgboost),
        ("lightgbm", read_lightgbm),
        ("sklearn.ensemble", read_histogram),
    ):
        module = libraries.find(library)
        for name in _BOOSTED[library] if module is not None else ():
            classifies = name.endswith("Classifier")
            shapes = calculate_linear_classifier_output_shapes if classifies else _set_regression_shape
            options = _CLASSIFIER_OPTIONS if classifies else None
            update_registered_converter(
                getattr(module, name), f"Strongroom{name}", shapes, converter_of(read), options=options
            )


def _set_regression_shape(operator: Any) -> None:
    """One column for each target; known only once the model is taken apart, so left free."""
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = data_types.FloatTensorType([rows, None])


def _initial_types(layout: Layout, number: type[np.floating[Any]]) -> list[tuple[str, Any]]:
    types = {**_TYPES, Kind.NUMBER: _NUMBERS[number]}
    if layout.by_column:
        return [(column.name, types[column.kind]([None, 1])) for column in layout.columns]
    return [(INPUT, types[layout.kind]([None, len(layout.columns)]))]


def _options(model: Any) -> dict[Any, Any]:
    """Plain tensors for classifiers; words as Python finds them."""
    options: dict[Any, Any] = {}
    for part in parts(model):
        if type(part).__name__ in ("CountVectorizer", "TfidfVectorizer"):
            default = getattr(part, "analyzer", "") == "word" and part.token_pattern == _DEFAULT_WORDS
            # No other locale is there in a sandbox, which has no files to read it from.
            options[id(part)] = {"tokenexp": _WORDS if default else None, "locale": "C"}
        elif _is_classifier(part):
            options[id(part)] = {"zipmap": False} if _has_zipmap(part) else {}
    return options


def _has_zipmap(part: Any) -> bool:
    try:
        allowed = _registration.get_converter(sklearn_operator_name_map[type(part)]).get_allowed_options()
    except (KeyError, ValueError, AttributeError):
        return False
    return isinstance(allowed, dict) and "zipmap" in allowed


@contextmanager
def _adapted(model: Any) -> Iterator[None]:
    """For the time of an export: what ONNX cannot say, said as nearly as it can."""
    changed: list[tuple[Any, str, Any]] = []
    for part in parts(model):
        if type(part).__name__ == "SimpleImputer" and not isinstance(part.missing_values, str):
            known = getattr(part, "statistics_", None)
            if known is not None and known.dtype.kind in "OU":
                # A text is never missing in ONNX, so nothing is to be put in its place.
                changed.append((part, "missing_values", part.missing_values))
                part.missing_values = _NEVER
        if type(part).__name__ == "KBinsDiscretizer" and part.encode == "onehot":
            changed.append((part, "encode", part.encode))
            part.encode = "onehot-dense"
    try:
        yield
    finally:
        for part, name, value in changed:
            setattr(part, name, value)


def _is_classifier(part: Any) -> bool:
    from sklearn.base import is_classifier

    try:
        return bool(is_classifier(part))
    except Exception:
        return False


def _named(error: Exception) -> str:
    found = _CLASS.search(str(error))
    return found[1].rpartition(".")[2] if found else "a part of it"


def _name(model: Any) -> str:
    return type([*steps(unwrap(model))][-1]).__name__
