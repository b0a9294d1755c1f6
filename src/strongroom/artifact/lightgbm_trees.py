"""Check one tree of a LightGBM model: arrays of one length, indices within bounds, no way round.

Fields: src/io/tree.cpp of LightGBM, Tree::ToString, 2.2 to 4.7.
"""

import re
from collections.abc import Mapping

import numpy as np

from strongroom.artifact.forests import Floats, Integers, TreeError, require_length, require_tree
from strongroom.errors import RejectedError, shorten

MAX_LEAVES = 2**24
MAX_FEATURES = 2**31 - 1

_REQUIRED = {
    "num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child",
    "leaf_value", "shrinkage",
}  # fmt: skip
_CATEGORIES = {"cat_boundaries", "cat_threshold"}
_LINEAR = {"leaf_const", "num_features", "leaf_features", "leaf_coeff"}
_PER_LEAF = {"leaf_weight", "leaf_count"}
_PER_NODE = {"split_gain", "internal_value", "internal_weight", "internal_count"}
FIELDS = _REQUIRED | _CATEGORIES | _LINEAR | _PER_LEAF | _PER_NODE | {"is_linear", "leaf_parent"}

_NUMBERS = re.compile(r"(?:[-+0-9.einfaNI]{1,32}(?: +|$))*", re.ASCII)
_INTEGERS = re.compile(r"(?:-?[0-9]{1,10}(?: +|$))*", re.ASCII)
_CATEGORICAL = 1
_MAX_DECISION = 0b1111
"""Categorical, default left, and two bits of how a missing value is told (tree.h)."""


def read_tree(fields: Mapping[str, str], features: int) -> int:
    """Return the number of leaves. Raises RejectedError if a predictor could fail or not end on the tree."""
    missing = _REQUIRED - fields.keys()
    if missing:
        raise RejectedError(f"a tree has no {min(missing)}")
    leaves = parse_count(fields["num_leaves"], "num_leaves", 1, MAX_LEAVES)
    inner = leaves - 1
    split = _integers(fields, "split_feature", inner)
    if inner and not (int(split.min()) >= 0 and int(split.max()) < features):
        raise TreeError(f"a tree that splits on a feature beyond its {features}")
    left, right = _integers(fields, "left_child", inner), _integers(fields, "right_child", inner)
    _require_shape(left, right, leaves)
    thresholds = _floats(fields, "threshold", inner)
    if bool(np.isnan(thresholds).any()):
        raise RejectedError("a threshold that is not a number")
    if not bool(np.isfinite(_floats(fields, "leaf_value", leaves)).all()):
        raise RejectedError("a leaf whose value is not a finite number")
    decisions = _integers(fields, "decision_type", inner)
    if inner and not (int(decisions.min()) >= 0 and int(decisions.max()) <= _MAX_DECISION):
        raise RejectedError("a decision of an unknown type")
    _require_categories(fields, thresholds[(decisions & _CATEGORICAL) != 0])
    _require_linear(fields, leaves, features)
    for name, count in [*((name, leaves) for name in _PER_LEAF), *((name, inner) for name in _PER_NODE)]:
        if fields.get(name):
            _floats(fields, name, count)
    parse_floats(fields["shrinkage"], "shrinkage", 1)
    return leaves


def parse_count(text: str, what: str, low: int, high: int) -> int:
    if re.fullmatch(r"-?[0-9]{1,10}", text, re.ASCII) is None or not low <= int(text) <= high:
        raise RejectedError(f"{what} is not a number from {low} to {high}: {shorten(text)}")
    return int(text)


def parse_integers(text: str, what: str) -> Integers:
    if _INTEGERS.fullmatch(text) is None:
        raise RejectedError(f"{what} are not a list of integers")
    return np.fromiter(map(int, text.split()), dtype=np.int64)


def parse_floats(text: str, what: str, count: int) -> Floats:
    """Return ``count`` numbers, NaN and infinity among them."""
    if _NUMBERS.fullmatch(text) is None:
        raise RejectedError(f"{what} are not a list of numbers")
    try:
        values = np.fromiter(map(float, text.split()), dtype=np.float64)
    except ValueError:
        raise RejectedError(f"{what} are not a list of numbers") from None
    require_length(values, count, what)
    return values


def _integers(fields: Mapping[str, str], name: str, count: int) -> Integers:
    values = parse_integers(fields[name], name)
    require_length(values, count, name)
    return values


def _floats(fields: Mapping[str, str], name: str, count: int) -> Floats:
    return parse_floats(fields[name], name, count)


def _require_shape(left: Integers, right: Integers, leaves: int) -> None:
    """Nodes are numbered from 0, leaves from -1 downwards; here leaves follow the nodes."""
    inner = leaves - 1
    children = np.concatenate([left, right])
    if children.size and not (int(children.min()) >= -leaves and int(children.max()) < inner):
        raise TreeError("a tree with a child that does not exist")
    below = np.where(children < 0, inner - 1 - children, children)
    order = np.arange(inner, dtype=np.int64)
    if require_tree(np.concatenate([order, order]), below, inner + leaves):
        raise TreeError("a tree with nodes that nothing leads to")


def _require_categories(fields: Mapping[str, str], used: Floats) -> None:
    """Each split by category names a stretch of bits; the stretches follow one another."""
    count = parse_count(fields["num_cat"], "num_cat", 0, MAX_LEAVES)
    if not count:
        if used.size or _CATEGORIES & fields.keys():
            raise RejectedError("a tree that splits by category and has none")
        return
    if not fields.keys() >= _CATEGORIES:
        raise RejectedError("a tree that splits by category and has none")
    starts = _integers(fields, "cat_boundaries", count + 1)
    bits = parse_integers(fields["cat_threshold"], "cat_threshold")
    if int(starts[0]) != 0 or int(starts[-1]) != bits.size or bool((np.diff(starts) < 0).any()):
        raise RejectedError("categories that do not follow one another")
    if bits.size and not (int(bits.min()) >= 0 and int(bits.max()) < 2**32):
        raise RejectedError("categories that are not 32 bits each")
    if not np.array_equal(np.sort(used), np.arange(count)):
        raise RejectedError("a tree whose splits by category are not the categories that it has")


def _require_linear(fields: Mapping[str, str], leaves: int, features: int) -> None:
    """Linear trees have a small linear model in each leaf."""
    if fields.get("is_linear", "0") not in ("0", "1"):
        raise RejectedError("is_linear is neither 0 nor 1")
    if fields.get("is_linear", "0") == "0":
        if _LINEAR & fields.keys():
            raise RejectedError("a tree with linear models that says it has none")
        return
    if not fields.keys() >= _LINEAR:
        raise RejectedError("a linear tree without its linear models")
    if not bool(np.isfinite(_floats(fields, "leaf_const", leaves)).all()):
        raise RejectedError("a leaf whose value is not a finite number")
    sizes = _integers(fields, "num_features", leaves)
    if int(sizes.min()) < 0:
        raise RejectedError("a linear model with less than no features")
    used = parse_integers(fields["leaf_features"].strip(), "leaf_features")
    require_length(used, int(sizes.sum()), "leaf_features")
    if used.size and not (int(used.min()) >= 0 and int(used.max()) < features):
        raise TreeError(f"a linear model of a feature beyond its {features}")
    if not bool(np.isfinite(parse_floats(fields["leaf_coeff"].strip(), "leaf_coeff", used.size)).all()):
        raise RejectedError("a coefficient that is not a finite number")
