"""Check one tree of an XGBoost model: arrays of one length, indices within bounds, no way round.

Fields: doc/model.schema of XGBoost 1.0 to 3.2, and what those versions were seen to write.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from strongroom.artifact.forests import (
    Floats,
    Integers,
    TreeError,
    parse_floats,
    parse_integers,
    require_length,
    require_tree,
)
from strongroom.errors import RejectedError, shorten

MAX_NODES = 2**26
"""Of one tree."""
MAX_FEATURES = 2**31 - 1
MAX_LEAF_SIZE = 2**16
MAX_CATEGORY = 2**24
"""src/common/categorical.h, OutOfRangeCat: the last integer that a float holds exactly."""

_NONE = 2**31 - 1
"""Parent of a root, and feature of a node that was pruned."""
_REQUIRED = {
    "base_weights", "default_left", "id", "left_children", "parents", "right_children", "split_conditions",
    "split_indices", "tree_param",
}  # fmt: skip
_CATEGORIES = {"categories", "categories_nodes", "categories_segments", "categories_sizes"}
_OPTIONAL = {"leaf_child_counts", "leaf_weights", "loss_changes", "split_type", "sum_hessian", *_CATEGORIES}
_PARAMETERS = {"num_nodes", "num_feature", "size_leaf_vector"}


@dataclass(frozen=True, slots=True)
class TreeFacts:
    nodes: int
    features: int
    leaf_size: int


def read_tree(tree: object) -> TreeFacts:
    """Return the size of a tree. Raises RejectedError if a predictor could fail or not end on it."""
    fields = require_fields(tree, "a tree", _REQUIRED, _OPTIONAL)
    parameters = require_fields(fields["tree_param"], "tree_param", _PARAMETERS, {"num_deleted", "num_roots"})
    count = parse_number(parameters["num_nodes"], "num_nodes", MAX_NODES)
    features = parse_number(parameters["num_feature"], "num_feature", MAX_FEATURES)
    leaf_size = max(1, parse_number(parameters["size_leaf_vector"], "size_leaf_vector", MAX_LEAF_SIZE))
    if not count:
        raise RejectedError("a tree without nodes")
    if type(fields["id"]) is not int:
        raise RejectedError("the id of a tree is no integer")
    left = _per_node(fields, "left_children", count, -1, count - 1)
    right = _per_node(fields, "right_children", count, -1, count - 1)
    inner = np.flatnonzero(left != -1)
    lonely = _require_shape(left, right, inner, count, leaf_size)
    if lonely != parse_number(parameters.get("num_deleted", str(lonely)), "num_deleted", MAX_NODES):
        raise TreeError(f"a tree with {lonely} nodes that nothing leads to")
    _require_parents(_per_node(fields, "parents", count, -1, _NONE), left, right, inner)
    split = _per_node(fields, "split_indices", count, 0, _NONE)
    if inner.size and int(split[inner].max()) >= features:
        raise TreeError(f"a tree that splits on a feature beyond its {features}")
    _per_node(fields, "default_left", count, 0, 1)
    kinds = _kinds(fields, count)
    _require_values(fields, count, leaf_size, inner, kinds)
    _require_categories(fields, kinds, inner)
    return TreeFacts(count, features, leaf_size)


def require_fields(value: object, what: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    """Return an object that has all of the required fields and none that is not known."""
    if not isinstance(value, dict):
        raise RejectedError(f"{what} is not an object")
    unknown = value.keys() - required - optional
    if unknown:
        raise RejectedError(f"{what} has the unknown field {shorten(min(unknown))}")
    missing = required - value.keys()
    if missing:
        raise RejectedError(f"{what} has no {min(missing)}")
    return value


def parse_number(value: object, what: str, limit: int) -> int:
    """Return a count, which XGBoost writes as text."""
    if not isinstance(value, str) or not value.isdecimal() or not value.isascii() or len(value) > 12:
        raise RejectedError(f"{what} is not a number: {shorten(value)}")
    if int(value) > limit:
        raise RejectedError(f"{what} is {int(value)}, more than {limit}")
    return int(value)


def _per_node(fields: dict[str, Any], name: str, count: int, low: int, high: int) -> Integers:
    values = parse_integers(fields[name], name, low, high)
    require_length(values, count, name)
    return values


def _require_shape(left: Integers, right: Integers, inner: Integers, count: int, leaf_size: int) -> int:
    """Check that the nodes are a tree; return how many were pruned."""
    leaves = np.flatnonzero(left == -1)
    # A leaf of several values keeps where they are in place of its right child, from 3.2 on.
    if leaf_size == 1 and bool((right[leaves] != -1).any()):
        raise TreeError("a tree with a node that has only a right child")
    if inner.size and int(right[inner].min()) < 0:
        raise TreeError("a tree with a node that has only a left child")
    below = np.concatenate([left[inner], right[inner]])
    return require_tree(np.concatenate([inner, inner]), below, count)


def _require_parents(parents: Integers, left: Integers, right: Integers, inner: Integers) -> None:
    if bool((parents[left[inner]] != inner).any()) or bool((parents[right[inner]] != inner).any()):
        raise TreeError("a tree whose parents and children disagree")
    if int(parents[0]) not in (-1, _NONE):
        raise TreeError("a tree whose root has a parent")


def _kinds(fields: dict[str, Any], count: int) -> Integers:
    """0 for a split by number, 1 by category."""
    kinds = parse_integers(fields.get("split_type", []), "split_type", 0, 1)
    if not kinds.size:
        return np.zeros(count, dtype=np.int64)
    require_length(kinds, count, "split_type")
    return kinds


def _require_values(
    fields: dict[str, Any], count: int, leaf_size: int, inner: Integers, kinds: Integers
) -> None:
    conditions = parse_floats(fields["split_conditions"], "split_conditions")
    require_length(conditions, count, "split_conditions")
    thresholds = conditions[inner][kinds[inner] == 0]
    if bool(np.isnan(thresholds).any()):
        raise RejectedError("a threshold that is not a number")
    leaves = conditions[_others(inner, count)]
    if leaf_size == 1 and not bool(np.isfinite(leaves).all()):
        raise RejectedError("a leaf whose value is not a finite number")
    weights = parse_floats(fields["base_weights"], "base_weights")
    require_length(weights, count * leaf_size, "base_weights")
    for name in ("loss_changes", "sum_hessian"):
        _require_statistics(parse_floats(fields.get(name, []), name), count, name)
    counts = parse_integers(fields.get("leaf_child_counts", []), "leaf_child_counts", 0, _NONE)
    _require_statistics(counts, count, "leaf_child_counts")
    vectors = parse_floats(fields.get("leaf_weights", []), "leaf_weights")
    if vectors.size:
        require_length(vectors, (count - inner.size) * leaf_size, "leaf_weights")
    final = vectors if vectors.size else weights
    if leaf_size > 1 and not bool(np.isfinite(final).all()):
        raise RejectedError("a leaf whose value is not a finite number")


def _others(inner: Integers, count: int) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    chosen = np.ones(count, dtype=np.bool_)
    chosen[inner] = False
    return chosen


def _require_statistics(values: Floats | Integers, count: int, what: str) -> None:
    if values.size:
        require_length(values, count, what)


def _require_categories(fields: dict[str, Any], kinds: Integers, inner: Integers) -> None:
    """Each split by category has a segment of the list of categories."""
    values = parse_integers(fields.get("categories", []), "categories", 0, MAX_CATEGORY)
    nodes = parse_integers(fields.get("categories_nodes", []), "categories_nodes", 0, max(0, kinds.size - 1))
    starts = parse_integers(fields.get("categories_segments", []), "categories_segments", 0, values.size)
    sizes = parse_integers(fields.get("categories_sizes", []), "categories_sizes", 0, values.size)
    require_length(starts, nodes.size, "categories_segments")
    require_length(sizes, nodes.size, "categories_sizes")
    if nodes.size and int((starts + sizes).max()) > values.size:
        raise TreeError("a split whose categories lie beyond the end of their list")
    expected = inner[kinds[inner] == 1]
    if not np.array_equal(np.sort(nodes), expected):
        raise RejectedError("categories that belong to other nodes than those that split by category")
