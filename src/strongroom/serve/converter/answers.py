"""What an original answers: a label, numbers, or both, in the order in which its ONNX form answers them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from strongroom.errors import InvalidError, shorten
from strongroom.serve.converter.layout import steps, unwrap

Array = np.ndarray[Any, Any]


_SELECTORS = ("RFE", "RFECV", "SelectFromModel", "SequentialFeatureSelector")
"""They predict with what they selected by; as a model of their own they select."""


class Task(StrEnum):
    """What a model is for; decides what its outputs are called and how they are compared."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    CLUSTERING = "clustering"
    OUTLIERS = "outliers"
    TRANSFORMATION = "transformation"


@dataclass(frozen=True)
class Method:
    """One thing that a model can be asked, and the name of the output that holds the answer."""

    output: str
    ask: Callable[[Any], Any]
    is_probability: bool = False


def find_task(model: Any) -> Task:
    """Raises InvalidError: it can neither predict nor transform."""
    declared = getattr(model, "task", None)
    if isinstance(declared, Task):
        return declared
    last = unwrap([*steps(unwrap(model))][-1])
    if not hasattr(last, "predict") or type(last).__name__ in _SELECTORS:
        if hasattr(last, "transform"):
            return Task.TRANSFORMATION
        raise InvalidError(
            f"original: is {shorten(type(model).__name__)}, which can neither predict nor transform",
            hint="save the fitted estimator or pipeline itself",
        )
    from sklearn import base

    for is_kind, task in (
        (base.is_classifier, Task.CLASSIFICATION),
        (base.is_regressor, Task.REGRESSION),
        (base.is_outlier_detector, Task.OUTLIERS),
        (base.is_clusterer, Task.CLUSTERING),
    ):
        try:
            if is_kind(last):
                return task
        except Exception:  # noqa: S112 - an estimator without tags is none of these
            continue
    return Task.CLUSTERING if hasattr(last, "predict_proba") else Task.REGRESSION


def labels(model: Any, task: Task) -> Method | None:
    """How to ask for the label, where there is one."""
    if task in (Task.REGRESSION, Task.TRANSFORMATION):
        return None
    return Method("label", lambda rows: np.asarray(model.predict(rows)))


def values(model: Any, task: Task) -> Iterator[Method]:
    """The ways to ask for numbers; its ONNX form answers one of them."""
    if task is Task.REGRESSION:
        yield Method("prediction", model.predict)
        return
    if task is Task.TRANSFORMATION:
        yield Method("output", model.transform)
        return
    asked = [
        ("probabilities", "predict_proba"),
        ("scores", "decision_function"),
        ("scores", "score_samples"),
    ]
    if task is Task.CLUSTERING:
        asked.append(("distances", "transform"))
    for output, name in asked:
        ask = _find(model, name)
        if ask is not None:
            yield Method(output, ask, is_probability=name == "predict_proba")


def ask(method: Method, rows: Any) -> Array | None:
    """Return the answer as an array of rows, or None where it is not one."""
    answer = method.ask(rows)
    if hasattr(answer, "toarray"):
        answer = answer.toarray()
    if isinstance(answer, list):
        # One matrix for each of several outputs, side by side as in the ONNX form.
        if not all(np.ndim(part) == 2 and len(part) == len(answer[0]) for part in answer):
            return None
        answer = np.concatenate(answer, axis=1)
    array = np.asarray(answer)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def _find(model: Any, name: str) -> Callable[[Any], Any] | None:
    """A method that the model has; some only say when asked that they have not."""
    try:
        found = getattr(model, name, None)
    except Exception:
        return None
    return found if callable(found) else None
