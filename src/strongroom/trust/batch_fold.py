"""Folds: ranges of batch heads under one root, so that the log needs one record for many batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from strongroom.errors import InvalidError
from strongroom.trust.batch import BatchHead
from strongroom.trust.merkle import path_in_levels, tree_levels


@dataclass(frozen=True, slots=True)
class Fold:
    """Consecutive batch heads of one journal under one Merkle root; its `detail` is what the log records."""

    journal: bytes
    first: int
    last: int
    root: bytes
    levels: Sequence[Sequence[bytes]]

    def path(self, number: int) -> list[bytes]:
        """The inclusion proof of batch ``number``: leaf ``number - first`` of ``last - first + 1``."""
        if not self.first <= number <= self.last:
            raise InvalidError(f"fold: holds batches {self.first} to {self.last}, not {number}")
        return path_in_levels(self.levels, number - self.first)

    def detail(self) -> dict[str, Any]:
        """The detail of the log's ``fold`` event."""
        return {
            "journal": self.journal.hex(),
            "first": self.first,
            "last": self.last,
            "root": self.root.hex(),
            "size": self.last - self.first + 1,
        }


def fold(heads: Sequence[BatchHead]) -> Fold:
    """Return the fold of ``heads``: at least one, of one journal, each the successor of the one before.

    Raises:
        InvalidError: they are not.
    """
    if not heads:
        raise InvalidError("fold: no batches")
    for before, after in pairwise(heads):
        if (after.journal, after.number, after.previous) != (before.journal, before.number + 1, before.hash):
            raise InvalidError(f"fold: batch {after.number} does not follow batch {before.number}")
    levels = tree_levels([head.hash for head in heads])
    return Fold(heads[0].journal, heads[0].number, heads[-1].number, levels[-1][0], levels)
