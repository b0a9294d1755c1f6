"""Trees as XGBoost and LightGBM mean them, exactly, in the form that ONNX has for them.

ONNX compares float32 values with float32 thresholds and knows no sets of categories. Thresholds are rounded
so that every float32 value goes where it went; each set becomes a column of its own, looked up beforehand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from strongroom.errors import InvalidError

MAX_CATEGORY = 2**20
MAX_LOOKUP = 2**26
"""Cells of the table of one feature: highest category by the number of its splits."""

Array = np.ndarray[Any, Any]


@dataclass(slots=True)
class Forest:
    """Nodes of all trees, in columns as the operator wants them."""

    features: int
    targets: int
    mode: str
    """``BRANCH_LT`` or ``BRANCH_LEQ``: how a number is compared; true is left."""
    nodes: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: []
            for name in (
                *("treeids", "nodeids", "featureids", "modes", "values"),
                *("truenodeids", "falsenodeids", "missing_value_tracks_true"),
            )
        }
    )
    leaves: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    )
    lookups: list[tuple[int, tuple[int, ...], bool]] = field(default_factory=list)
    """A feature, the categories that go left, and whether a missing value does, for each such split."""
    lowest: float = -1.0
    """A category must be above it; what is behind the point is cut off."""
    trees: int = 0

    def begin_tree(self) -> int:
        self.trees += 1
        return self.trees - 1

    def add_split(
        self,
        tree: int,
        node: int,
        feature: int,
        threshold: float,
        left: int,
        right: int,
        *,
        missing_left: bool,
    ) -> None:
        """A number that compares true, or is missing and ``missing_left``, goes left."""
        self._add(tree, node, feature, self.mode, threshold, left, right, int(missing_left))

    def add_categories(
        self,
        tree: int,
        node: int,
        feature: int,
        categories: Sequence[int],
        left: int,
        right: int,
        *,
        missing_left: bool,
    ) -> None:
        """A value among ``categories`` goes left, any other right; a missing one as said."""
        if any(not 0 <= category <= MAX_CATEGORY for category in categories):
            raise InvalidError(f"original: has categories above {MAX_CATEGORY}")
        column = self.features + len(self.lookups)
        self.lookups.append((feature, tuple(categories), missing_left))
        self._add(tree, node, column, "BRANCH_GT", 0.5, left, right, 0)

    def add_leaf(self, tree: int, node: int, target: int, weight: float) -> None:
        self._add(tree, node, 0, "LEAF", 0.0, 0, 0, 0)
        for name, value in (("treeids", tree), ("nodeids", node), ("ids", target), ("weights", weight)):
            self.leaves[name].append(value)

    def attributes(self, base: Sequence[float], *, average: bool = False) -> dict[str, Any]:
        """Return those of TreeEnsembleRegressor; ``base`` is added, one for each target."""
        weights = np.asarray(self.leaves["weights"], np.float64)
        return {
            **{f"nodes_{name}": values for name, values in self.nodes.items()},
            "nodes_hitrates": [1.0] * len(self.nodes["nodeids"]),
            **{f"target_{name}": values for name, values in self.leaves.items() if name != "weights"},
            "target_weights": [float(value) for value in weights.astype(np.float32)],
            "n_targets": self.targets,
            "aggregate_function": "AVERAGE" if average else "SUM",
            "base_values": [float(np.float32(value)) for value in base],
            "post_transform": "NONE",
        }

    def tables(self) -> list[tuple[int, Array]]:
        """Return for each feature with categories a table: a row a category, a column a split.

        The last row but one is that of a category that no split names, the last that of a missing value.
        Columns are in the order of `lookups` once those of one feature stand together; see `order`.
        """
        tables = []
        for feature in sorted({feature for feature, _, _ in self.lookups}):
            sets = [(categories, missing) for one, categories, missing in self.lookups if one == feature]
            rows = max((max(categories, default=0) for categories, _ in sets), default=0) + 3
            if rows * len(sets) > MAX_LOOKUP:
                raise InvalidError("original: splits on more categories than can be looked up")
            table = np.zeros((rows, len(sets)), np.float32)
            for column, (categories, missing) in enumerate(sets):
                table[list(categories), column] = 1.0
                table[-1, column] = float(missing)
            tables.append((feature, table))
        return tables

    def order(self) -> None:
        """Number the looked-up columns as `tables` lays them out: feature by feature."""
        sequence = sorted(range(len(self.lookups)), key=lambda index: (self.lookups[index][0], index))
        place = {self.features + old: self.features + new for new, old in enumerate(sequence)}
        self.nodes["featureids"] = [place.get(column, column) for column in self.nodes["featureids"]]
        self.lookups = [self.lookups[old] for old in sequence]

    def _add(self, *values: Any) -> None:
        for name, value in zip(self.nodes, values, strict=True):
            self.nodes[name].append(value)


def floor_float32(threshold: float) -> float:
    """Return the largest float32 not above: a float32 is ``<=`` it if and only if ``<=`` the threshold."""
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
    if not np.isfinite(near):
        return float(np.finfo(np.float32).max) if threshold > 0 else float(near)
    return float(near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf)))
