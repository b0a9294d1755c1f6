"""A LightGBM model as trees, a base and a link, from its own dump."""

from typing import Any

import numpy as np

from strongroom.errors import InvalidError, shorten
from strongroom.serve.converter.forest import Forest, floor_float32
from strongroom.serve.converter.xgboost_trees import Boosted, Link

_ZERO = float(np.float32(1e-35))
_LINKS = {
    **dict.fromkeys(("binary", "multiclassova", "cross_entropy"), Link.SIGMOID),
    "multiclass": Link.SOFTMAX,
    "cross_entropy_lambda": Link.LOG1P_EXP,
    **dict.fromkeys(("poisson", "gamma", "tweedie"), Link.EXP),
    **dict.fromkeys(
        (
            *("regression", "regression_l1", "huber", "fair", "quantile", "mape", "l1", "l2"),
            *("lambdarank", "rank_xendcg", "custom", "none"),
        ),
        Link.IDENTITY,
    ),
}


def read_lightgbm(estimator: Any) -> Boosted:
    """Return what a LightGBM estimator answers with.

    Raises:
        InvalidError: it has trees or an objective of a kind that has no ONNX form here.
    """
    booster = estimator.booster_
    best = int(getattr(estimator, "best_iteration_", 0) or 0)
    dumped = booster.dump_model(num_iteration=best if best > 0 else -1)
    words = str(dumped.get("objective", "none")).split(" ")
    link = _LINKS.get(words[0])
    if link is None:
        raise InvalidError(f"original: LightGBM objective {shorten(words[0])} is not converted")
    if words[0].startswith("regression") and "sqrt" in words[1:]:
        link = Link.SQUARE
    options = dict(word.split(":", 1) for word in words[1:] if ":" in word)
    targets = int(dumped["num_tree_per_iteration"])
    average = bool(dumped.get("average_output", False))
    forest = Forest(int(dumped["max_feature_idx"]) + 1, targets, "BRANCH_LEQ")
    rounds = max(1, len(dumped["tree_info"]) // targets)
    for index, tree in enumerate(dumped["tree_info"]):
        # A forest answers the mean of its rounds; the operator's own mean would be over all trees.
        _add_tree(forest, tree["tree_structure"], index % targets, 1.0 / rounds if average else 1.0)
    return Boosted(link, [0.0] * targets, forest, scale=float(options.get("sigmoid", "1")))


def _add_tree(forest: Forest, root: dict[str, Any], target: int, weight: float) -> None:
    number = forest.begin_tree()
    waiting, count = [(root, 0)], 1
    while waiting:
        node, name = waiting.pop()
        if "split_feature" not in node:
            if node.get("leaf_coeff"):
                raise InvalidError("original: LightGBM trees with linear leaves are not converted")
            forest.add_leaf(number, name, target, float(node["leaf_value"]) * weight)
            continue
        left, right = count, count + 1
        count += 2
        waiting += [(node["left_child"], left), (node["right_child"], right)]
        _add_split(forest, number, name, node, left, right)


def _add_split(forest: Forest, tree: int, name: int, node: dict[str, Any], left: int, right: int) -> None:
    feature, missing = int(node["split_feature"]), node.get("missing_type", "None")
    if node["decision_type"] == "==":
        categories = [int(part) for part in str(node["threshold"]).split("||") if part]
        # A missing value is in no set (Tree::CategoricalDecision).
        forest.add_categories(tree, name, feature, categories, left, right, missing_left=False)
        return
    threshold = float(node["threshold"])
    if missing == "Zero":
        raise InvalidError("original: LightGBM takes 0 for a missing value, which is not converted")
    # Without missing values in training, one that is missing later counts as 0 (Tree::NumericalDecision).
    default_left = bool(node["default_left"]) if missing == "NaN" else threshold >= 0
    forest.add_split(tree, name, feature, _effective(threshold), left, right, missing_left=default_left)


def _effective(threshold: float) -> float:
    """The float32 that divides the same values; LightGBM reads the tiniest as 0 (kZeroThreshold)."""
    if 0 <= threshold < _ZERO:
        return _ZERO
    if -_ZERO <= threshold < 0:
        return float(np.nextafter(np.float32(-_ZERO), np.float32(-1)))
    return floor_float32(threshold)
