"""Where the values of a model's features plausibly lie, read from what it learned.

Random numbers far from every threshold of a tree would all take one path and show nothing.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from strongroom.serve.converter.layout import steps, unwrap

MAX_TREES = 200
MAX_POINTS = 4096
"""Per feature; enough to sample around, however large the forest."""
_SPLIT = re.compile(r"\[([^<>\]\n]{1,256})<([-+0-9.eE]+)\]")
_SPLIT_SET = re.compile(r"\[([^:\]\n]{1,256}):\{([0-9,]*)\}\]")
_LEARNED_ROWS = ("cluster_centers_", "support_vectors_", "_fit_X", "means_", "theta_", "X_train_", "X_fit_")
_PARTS = (
    "estimators_",
    "calibrated_classifiers_",
    "estimator_",
    "estimator",
    "final_estimator_",
    "regressor_",
)

Array = np.ndarray[Any, Any]


class Hints:
    """For each feature: thresholds to be near to, and a centre with a width."""

    def __init__(self, features: int) -> None:
        self.points: list[list[float]] = [[] for _ in range(features)]
        self.categories: dict[int, set[int]] = {}
        self.centre = np.zeros(features)
        self.width = np.ones(features)

    @property
    def thresholds(self) -> bool:
        return any(self.points)

    def draw(self, rows: int, random: np.random.Generator) -> Array:
        """Half around the thresholds, half from the whole range that they span."""
        drawn = self.centre + self.width * random.standard_normal((rows, len(self.points)))
        for feature, points in enumerate(self.points):
            if feature in self.categories:
                named = sorted(self.categories[feature])
                drawn[:, feature] = random.choice([*named, named[-1] + 1], rows)
                continue
            if not points:
                continue
            known = np.asarray(points)
            low, high = float(known.min()), float(known.max())
            width = (high - low) or abs(low) or 1.0
            near = random.choice(known, rows) + 0.05 * width * random.standard_normal(rows)
            wide = random.uniform(low - 0.25 * width, high + 0.25 * width, rows)
            drawn[:, feature] = np.where(random.random(rows) < 0.5, near, wide)
        return drawn


def read_hints(model: Any, features: int) -> Hints:
    """Return what ``model`` and its parts say of ``features`` features that they see themselves."""
    hints = Hints(features)
    for part in _parts(unwrap(model), depth=4):
        _read_scale(part, hints)
        for feature, threshold in _known_thresholds(part):
            if 0 <= feature < features and np.isfinite(threshold):
                points = hints.points[feature]
                if len(points) < MAX_POINTS:
                    points.append(threshold)
        for feature, named in _known_categories(part):
            if 0 <= feature < features:
                hints.categories.setdefault(feature, {0}).update(named[:MAX_POINTS])
    return hints


def _parts(model: Any, depth: int) -> Iterator[Any]:
    """The model and those of its parts that see the same features."""
    yield model
    if depth == 0:
        return
    for name in _PARTS:
        inner = getattr(model, name, None)
        listed = inner.ravel().tolist() if isinstance(inner, np.ndarray) else inner
        for part in (listed if isinstance(listed, list) else [listed])[:MAX_TREES]:
            if hasattr(part, "get_params") or hasattr(part, "tree_"):
                first = next(iter(steps(part)), None)
                yield from _parts(first, depth - 1)


def _read_scale(part: Any, hints: Hints) -> None:
    count = len(hints.points)
    for centre, width in (("mean_", "scale_"), ("center_", "scale_"), ("data_min_", "data_range_")):
        middle, spread = getattr(part, centre, None), getattr(part, width, None)
        if _fits(middle, count):
            hints.centre = np.asarray(middle, float)
            if isinstance(spread, np.ndarray) and _fits(spread, count):
                hints.width = np.where(spread > 0, spread, 1.0)
            return
    for name in _LEARNED_ROWS:
        rows = getattr(part, name, None)
        if rows is not None and _are_rows(rows, count):
            deviation = rows.std(axis=0)
            hints.centre, hints.width = rows.mean(axis=0), np.where(deviation > 0, deviation, 1.0)
            return


def _are_rows(values: Any, count: int) -> bool:
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind != "f" or not values.size:
        return False
    return values.shape[1] == count and bool(np.isfinite(values).all())


def _fits(values: Any, count: int) -> bool:
    if not isinstance(values, np.ndarray) or values.shape != (count,) or values.dtype.kind != "f":
        return False
    return bool(np.isfinite(values).all())


def _known_thresholds(part: Any) -> list[tuple[int, float]]:
    """None of what was never fitted, as the template that an ensemble keeps."""
    try:
        return list(_thresholds(part))
    except MemoryError:
        raise
    except Exception:
        return []


def _known_categories(part: Any) -> list[tuple[int, list[int]]]:
    module = type(part).__module__
    try:
        if module.startswith("xgboost"):
            booster = part.get_booster() if hasattr(part, "get_booster") else part
            return [
                (_feature(name, booster), [int(item) for item in listed.split(",") if item])
                for tree in booster.get_dump()[:MAX_TREES]
                for name, listed in _SPLIT_SET.findall(tree)
            ]
        if module.startswith("lightgbm"):
            return [
                (
                    int(node["split_feature"]),
                    [int(item) for item in str(node["threshold"]).split("||") if item],
                )
                for node in _lightgbm_splits(part)
                if node["decision_type"] == "=="
            ]
    except MemoryError:
        raise
    except Exception:
        return []
    return []


def _thresholds(part: Any) -> Iterator[tuple[int, float]]:
    tree = getattr(part, "tree_", None)
    if tree is not None:
        yield from zip(tree.feature.tolist(), tree.threshold.tolist(), strict=False)
    for stage in getattr(part, "_predictors", None) or []:
        for predictor in stage if isinstance(stage, list) else []:
            nodes = predictor.nodes
            inner = nodes[nodes["is_leaf"] == 0]
            yield from zip(inner["feature_idx"].tolist(), inner["num_threshold"].tolist(), strict=True)
    module = type(part).__module__
    if module.startswith("xgboost"):
        yield from _of_xgboost(part)
    elif module.startswith("lightgbm"):
        yield from _of_lightgbm(part)


def _of_xgboost(part: Any) -> Iterator[tuple[int, float]]:
    booster = part.get_booster() if hasattr(part, "get_booster") else part
    for tree in booster.get_dump()[:MAX_TREES]:
        for name, threshold in _SPLIT.findall(tree):
            yield _feature(name, booster), float(threshold)


def _feature(name: str, booster: Any) -> int:
    """Its place; a name that looks like a number may be one, if features have no names."""
    names = booster.feature_names or []
    if name in names:
        return int(names.index(name))
    bare = name.removeprefix("f")
    return int(bare) if bare.isdigit() and not names else -1


def _of_lightgbm(part: Any) -> Iterator[tuple[int, float]]:
    for node in _lightgbm_splits(part):
        if isinstance(node["threshold"], float | int):
            yield int(node["split_feature"]), float(node["threshold"])


def _lightgbm_splits(part: Any) -> Iterator[dict[str, Any]]:
    booster = getattr(part, "booster_", part)
    waiting = [tree["tree_structure"] for tree in booster.dump_model(num_iteration=MAX_TREES)["tree_info"]]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            yield node
            waiting += [node["left_child"], node["right_child"]]
