"""Check that arrays of child indices are a tree: predictors follow them blindly, even if they go round."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strongroom.errors import RejectedError


class TreeError(RejectedError):
    """A tree that a predictor cannot follow to a leaf."""


Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def parse_integers(value: object, what: str, low: int, high: int) -> Integers:
    """Return a list of integers (or an array of a UBJSON document) within ``low`` and ``high``."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "iu":
            raise RejectedError(f"{what} are not integers")
        found = value.astype(np.int64)
    else:
        if not isinstance(value, list) or not set(map(type, value)) <= {int, bool}:
            raise RejectedError(f"{what} are not a list of integers")
        try:
            found = np.array(value, dtype=np.int64)
        except OverflowError:
            raise RejectedError(f"{what} overflow 64 bits") from None
    if found.size and not (low <= int(found.min()) and int(found.max()) <= high):
        raise RejectedError(f"{what} are not all within {low} and {high}")
    return found


def parse_floats(value: object, what: str) -> Floats:
    """Return a list of numbers (or an array of a UBJSON document), NaN and infinity among them."""
    if isinstance(value, np.ndarray):
        with np.errstate(invalid="ignore"):  # a signalling NaN is NaN all the same
            return value.astype(np.float64)
    if not isinstance(value, list) or not set(map(type, value)) <= {int, float}:
        raise RejectedError(f"{what} are not a list of numbers")
    try:
        return np.array(value, dtype=np.float64)
    except OverflowError:
        raise RejectedError(f"{what} overflow a float") from None


def require_length(values: "np.ndarray[Any, Any]", count: int, what: str) -> None:
    if values.size != count:
        raise RejectedError(f"{what} are {values.size} where {count} belong")


def require_tree(parents: Integers, children: Integers, count: int) -> int:
    """Check that nodes 0 to ``count`` - 1 form a tree with root 0; return how many are not in it.

    ``children[i]`` is below ``parents[i]``. What is not in the tree has neither parent nor children.

    Raises:
        TreeError: an index out of bounds, a node below two, or a node below itself.
    """
    if children.size and not (int(children.min()) >= 1 and int(children.max()) < count):
        raise TreeError("a tree with a child that is the root, or that does not exist")
    above = np.arange(count, dtype=np.int64)
    above[children] = parents
    if np.unique(children).size != children.size:
        raise TreeError("a tree with a node below two others")
    lonely = above == np.arange(count)
    lonely[0] = False
    if bool(lonely[parents].any()):
        raise TreeError("a tree with a branch that nothing leads to")
    for _ in range(count.bit_length()):  # each round doubles how far up one looks
        above = above[above]
    if bool((above[~lonely] != 0).any()):
        raise TreeError("a tree that goes round: a node is below itself")
    return int(lonely.sum())
