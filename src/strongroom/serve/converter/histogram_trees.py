"""HistGradientBoosting as trees, a base and a link."""

from typing import Any

from strongroom.errors import InvalidError, shorten
from strongroom.serve.converter.forest import Forest, floor_float32
from strongroom.serve.converter.xgboost_trees import Boosted, Link

_LINKS = {
    "LogitLink": Link.SIGMOID,
    "MultinomialLogit": Link.SOFTMAX,
    "LogLink": Link.EXP,
    "IdentityLink": Link.IDENTITY,
}


def read_histogram(estimator: Any) -> Boosted:
    """Return what a HistGradientBoosting estimator answers with.

    Raises:
        InvalidError: it encodes categories itself, or has a loss that has no ONNX form here.
    """
    if getattr(estimator, "_preprocessor", None) is not None:
        raise InvalidError(
            "original: HistGradientBoosting that encodes categories itself is not converted",
            hint="put an OrdinalEncoder before it in a pipeline",
        )
    name = type(estimator._loss.link).__name__  # noqa: SLF001 - scikit-learn tells it nowhere else
    link = _LINKS.get(name)
    if link is None:
        raise InvalidError(f"original: HistGradientBoosting with {shorten(name)} is not converted")
    base = [float(value) for value in estimator._baseline_prediction.ravel()]  # noqa: SLF001
    forest = Forest(int(estimator.n_features_in_), len(base), "BRANCH_LEQ")
    for stage in estimator._predictors:  # noqa: SLF001
        for target, predictor in enumerate(stage):
            _add_tree(forest, predictor.nodes, target)
    return Boosted(link, base, forest)


def _add_tree(forest: Forest, nodes: Any, target: int) -> None:
    number = forest.begin_tree()
    for name, node in enumerate(nodes):
        if node["is_leaf"]:
            forest.add_leaf(number, name, target, float(node["value"]))
            continue
        if node["is_categorical"]:
            raise InvalidError("original: HistGradientBoosting with splits on categories is not converted")
        forest.add_split(
            number,
            name,
            int(node["feature_idx"]),
            floor_float32(float(node["num_threshold"])),
            int(node["left"]),
            int(node["right"]),
            missing_left=bool(node["missing_go_to_left"]),
        )
