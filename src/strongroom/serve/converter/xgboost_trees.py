"""An XGBoost model as trees, a base and a link, from its own JSON (doc/model.schema of XGBoost)."""

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from strongroom.errors import InvalidError, shorten
from strongroom.serve.converter.forest import Forest

Array = np.ndarray[Any, Any]


class Link(StrEnum):
    """From the sum of a model's trees to what it answers."""

    IDENTITY = "identity"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    EXP = "exp"
    STEP = "step"
    LOG1P_EXP = "log1p-exp"
    SQUARE = "signed-square"


_LOWEST = -1e-30
"""Anything negative is no category to XGBoost; the nearest to that which no engine takes for 0."""
_LINKS = {
    **dict.fromkeys(("binary:logistic", "reg:logistic"), Link.SIGMOID),
    **dict.fromkeys(("multi:softprob", "multi:softmax"), Link.SOFTMAX),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"), Link.EXP),
    **dict.fromkeys(
        (
            *("reg:squarederror", "reg:linear", "reg:absoluteerror", "reg:pseudohubererror"),
            *("reg:squaredlogerror", "reg:quantileerror", "binary:logitraw"),
            *("rank:pairwise", "rank:ndcg", "rank:map"),
        ),
        Link.IDENTITY,
    ),
    "binary:hinge": Link.STEP,
}


@dataclass(frozen=True)
class Boosted:
    """What any boosted model is made of."""

    link: Link
    base: list[float]
    forest: Forest | None = None
    average: bool = False
    """The trees vote instead of adding up."""
    weights: Array | None = None
    """Of a linear model, features by targets, instead of trees."""
    scale: float = 1.0
    """Within the sigmoid."""


def read_xgboost(estimator: Any) -> Boosted:
    """Return what an XGBoost estimator answers with.

    Raises:
        InvalidError: it has trees or an objective of a kind that has no ONNX form here.
    """
    learner = json.loads(bytes(estimator.get_booster().save_raw("json")))["learner"]
    objective = learner["objective"]["name"]
    link = _LINKS.get(objective)
    if link is None:
        raise InvalidError(f"original: XGBoost objective {shorten(objective)} is not converted")
    facts = learner["learner_model_param"]
    features = int(facts["num_feature"])
    targets = max(1, int(facts.get("num_class", "0")), int(facts.get("num_target", "1")))
    base = _base(facts["base_score"], link, targets)
    booster = learner["gradient_booster"]
    if booster["name"] == "gblinear":
        weights = np.asarray(booster["model"]["weights"], np.float32).reshape(features + 1, targets)
        shifted = [first + float(last) for first, last in zip(base, weights[-1], strict=True)]
        return Boosted(link, shifted, weights=weights[:-1])
    drops = booster.get("weight_drop")
    trees = booster["gbtree"]["model"] if booster["name"] == "dart" else booster["model"]
    forest = Forest(features, targets, "BRANCH_LT", lowest=_LOWEST)
    last = _last_tree(estimator, trees)
    for index, tree in enumerate(trees["trees"][:last]):
        _add_tree(forest, tree, int(trees["tree_info"][index]), 1.0 if drops is None else float(drops[index]))
    return Boosted(link, base, forest)


def _base(text: str, link: Link, targets: int) -> list[float]:
    """The base score before the link; a list since XGBoost 3, one number before."""
    read = json.loads(text)
    scores = [float(score) for score in (read if isinstance(read, list) else [read])]
    scores = scores * targets if len(scores) == 1 else scores
    match link:
        case Link.SIGMOID:
            return [_logit(score) for score in scores]
        case Link.EXP:
            return [math.log(score) if score > 0 else -math.inf for score in scores]
        case _:
            return scores


def _logit(score: float) -> float:
    return math.log(score / (1.0 - score)) if 0 < score < 1 else math.copysign(math.inf, score - 0.5)


def _last_tree(estimator: Any, trees: dict[str, Any]) -> int:
    """How many trees count: those up to the best round, if training was stopped early."""
    try:
        best = int(estimator.best_iteration)
    except (AttributeError, ValueError, TypeError):
        return len(trees["trees"])
    rounds = trees.get("iteration_indptr")
    if not rounds or best + 1 >= len(rounds):
        return len(trees["trees"])
    return int(rounds[best + 1])


def _add_tree(forest: Forest, tree: dict[str, Any], target: int, weight: float) -> None:
    if int(tree["tree_param"].get("size_leaf_vector", "1")) > 1:
        raise InvalidError("original: XGBoost trees with a vector in each leaf are not converted")
    number = forest.begin_tree()
    sets = _categories(tree)
    kinds = tree.get("split_type") or []
    for node, left in enumerate(tree["left_children"]):
        if left == -1:
            value = float(np.float32(tree["split_conditions"][node]))
            forest.add_leaf(number, node, target, value * weight)
            continue
        right, feature = tree["right_children"][node], tree["split_indices"][node]
        default_left = bool(tree["default_left"][node])
        if node < len(kinds) and kinds[node] == 1:
            # The set goes right in XGBoost. What it does not name goes left, what cannot be a category too.
            forest.add_categories(
                number, node, feature, sets[node], right, left, missing_left=not default_left
            )
            continue
        threshold = float(np.float32(tree["split_conditions"][node]))
        forest.add_split(number, node, feature, threshold, left, right, missing_left=default_left)


def _categories(tree: dict[str, Any]) -> dict[int, list[int]]:
    sets = {}
    for index, node in enumerate(tree.get("categories_nodes") or []):
        start, size = tree["categories_segments"][index], tree["categories_sizes"][index]
        sets[node] = tree["categories"][start : start + size]
    return sets
