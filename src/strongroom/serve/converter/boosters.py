"""Boosters without their scikit-learn shell get one, so that one way to convert serves both."""

import json
from typing import Any

import numpy as np

from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.serve.converter import libraries

_XGBOOST_CLASSES = ("binary:logistic", "binary:logitraw", "binary:hinge", "multi:softmax", "multi:softprob")
_LIGHTGBM_CLASSES = ("binary", "multiclass", "multiclassova")


def load_xgboost(data: bytes) -> Any:
    """Return the estimator for an XGBoost model, JSON or UBJSON.

    Raises:
        RejectedError: XGBoost does not read it.
    """
    xgboost = _require("xgboost")
    try:
        return wrap(xgboost.Booster(model_file=bytearray(data)))
    except (ValueError, TypeError, KeyError, xgboost.core.XGBoostError) as error:
        first = str(error).strip().rpartition("\n")[2]
        raise RejectedError(f"original: xgboost refuses it: {shorten(first, 200)}") from None


def load_lightgbm(data: bytes) -> Any:
    """Return the estimator for a LightGBM text model. Raises RejectedError: LightGBM does not read it."""
    lightgbm = _require("lightgbm")
    try:
        return wrap(lightgbm.Booster(model_str=data.decode()))
    except (UnicodeDecodeError, ValueError, lightgbm.basic.LightGBMError) as error:
        raise RejectedError(f"original: lightgbm refuses it: {shorten(error, 200)}") from None


def wrap(model: Any) -> Any:
    """Return ``model``, or the scikit-learn shell of a bare booster."""
    kind = type(model)
    if (kind.__module__, kind.__name__) == ("xgboost.core", "Booster"):
        return _wrap_xgboost(model)
    if (kind.__module__, kind.__name__) == ("lightgbm.basic", "Booster"):
        return _wrap_lightgbm(model)
    return model


def _wrap_xgboost(booster: Any) -> Any:
    xgboost = _require("xgboost")
    learner = json.loads(booster.save_config())["learner"]
    objective = learner["objective"]["name"]
    shell = xgboost.XGBClassifier if objective in _XGBOOST_CLASSES else xgboost.XGBRegressor
    estimator = shell(objective=objective, n_jobs=1)
    estimator.load_model(bytearray(booster.save_raw("ubj")))
    return estimator


def _wrap_lightgbm(booster: Any) -> Any:
    lightgbm = _require("lightgbm")
    lines = booster.model_to_string(num_iteration=1).partition("\nTree=0")[0].splitlines()
    facts = dict(line.split("=", 1) for line in lines if "=" in line)
    objective = facts.get("objective", "regression").split(" ")[0]
    classes = max(2, int(facts.get("num_class", "1")))
    classifies = objective in _LIGHTGBM_CLASSES
    estimator = (lightgbm.LGBMClassifier if classifies else lightgbm.LGBMRegressor)(
        objective=objective, n_jobs=1
    )
    estimator.__dict__.update(
        _Booster=booster,
        fitted_=True,
        _objective=objective,
        _n_features=booster.num_feature(),
        _n_features_in=booster.num_feature(),
        _best_iteration=booster.best_iteration,
    )
    if "average_output" in lines:
        estimator.set_params(boosting_type="rf")
    if classifies:
        from sklearn.preprocessing import LabelEncoder

        labels = np.arange(classes)
        estimator.__dict__.update(_n_classes=classes, _classes=labels, _le=LabelEncoder().fit(labels))
    return estimator


def _require(name: str) -> Any:
    module = libraries.find(name)
    if module is None:
        raise InvalidError(
            f"original: is of {name}, which is not installed", hint="pip install 'strongroom[serve,convert]'"
        )
    return module
