"""From a fitted estimator to an ONNX graph, by skl2onnx and the converters of onnxmltools."""

import re
import warnings
from typing import Any

import numpy as np
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common import data_types, exceptions
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from strongroom.errors import InvalidError, shorten
from strongroom.serve.converter import libraries
from strongroom.serve.converter.layout import Kind, Layout, parts, steps, unwrap

OPSET = 18
ML_OPSET = 3
INPUT = "input"
_DEFAULT_WORDS = r"(?u)\b\w\w+\b"
_WORDS = r"[\p{L}\p{N}_][\p{L}\p{N}_]+"
"""The same in RE2, whose ``\\w`` is ASCII only."""
_PLAIN = ("LinearSVC", "RFE", "RFECV", "SelectFromModel")
"""What has no zipmap to switch off."""
_CLASS = re.compile(r"<class '([\w.]+)'>")
_TYPES: dict[Kind, Any] = {Kind.INTEGER: data_types.Int64TensorType, Kind.TEXT: data_types.StringTensorType}
_NUMBERS = {np.float32: data_types.FloatTensorType, np.float64: data_types.DoubleTensorType}
_CLASSIFIER_OPTIONS = {"zipmap": [False, True, "columns"], "nocl": [True, False], "raw_scores": [True, False]}


def export(model: Any, layout: Layout, number: type[np.floating[Any]]) -> Any:
    """Return the ModelProto; ``number`` is the type of inputs that are numbers.

    Raises:
        InvalidError: there is no converter for it, or the one there is cannot convert it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return convert_sklearn(
                unwrap(model),
                initial_types=_initial_types(layout, number),
                options=_options(model),
                target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            )
    except (exceptions.MissingShapeCalculator, exceptions.MissingConverter) as error:
        raise InvalidError(
            f"original: skl2onnx has no converter for {_named(error)}",
            hint="docs/convert.md lists what can be converted, and what to use instead",
        ) from None
    except MemoryError:
        raise
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise InvalidError(
            f"original: skl2onnx cannot convert {_name(model)}: {shorten(first, 200)}",
            hint="docs/convert.md lists what can be converted, and what to use instead",
        ) from None


def register() -> None:
    """Teach skl2onnx the estimators of XGBoost and LightGBM, so that they work inside pipelines too."""
    xgboost, lightgbm = libraries.find("xgboost"), libraries.find("lightgbm")
    if xgboost is not None and libraries.find("onnxmltools.convert.xgboost") is not None:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        _register(xgboost, "XGB", convert_xgboost, ("XGBClassifier", "XGBRFClassifier"))
        _register(xgboost, "XGB", convert_xgboost, ("XGBRegressor", "XGBRFRegressor", "XGBRanker"))
    if lightgbm is not None and libraries.find("onnxmltools.convert.lightgbm") is not None:
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        _register(lightgbm, "Lgbm", convert_lightgbm, ("LGBMClassifier", "LGBMRegressor", "LGBMRanker"))


def _register(module: Any, prefix: str, convert: Any, names: tuple[str, ...]) -> None:
    for name in names:
        classifies = name.endswith("Classifier")
        update_registered_converter(
            getattr(module, name),
            f"{prefix}{name}",
            calculate_linear_classifier_output_shapes
            if classifies
            else calculate_linear_regressor_output_shapes,
            convert,
            options=_CLASSIFIER_OPTIONS if classifies else {"split": None} if prefix == "Lgbm" else None,
        )


def _initial_types(layout: Layout, number: type[np.floating[Any]]) -> list[tuple[str, Any]]:
    types = {**_TYPES, Kind.NUMBER: _NUMBERS[number]}
    if layout.by_column:
        return [(column.name, types[column.kind]([None, 1])) for column in layout.columns]
    return [(INPUT, types[layout.kind]([None, len(layout.columns)]))]


def _options(model: Any) -> dict[Any, Any]:
    """Plain tensors for the classifier that ends the model; words as Python finds them."""
    options: dict[Any, Any] = {}
    for part in parts(model):
        if type(part).__name__ in ("CountVectorizer", "TfidfVectorizer"):
            default = getattr(part, "analyzer", "") == "word" and part.token_pattern == _DEFAULT_WORDS
            # No other locale is there in a sandbox, which has no files to read it from.
            options[id(part)] = {"tokenexp": _WORDS if default else None, "locale": "C"}
    last = [*steps(unwrap(model))][-1]
    if _is_classifier(last) and type(last).__name__ not in _PLAIN:
        options[id(last)] = {"zipmap": False}
    return options


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
