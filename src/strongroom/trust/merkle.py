"""The Merkle tree of RFC 6962: hashes, roots, inclusion and consistency proofs.

Verification follows the algorithms of RFC 9162 2.1.3.2 and 2.1.4.2 step by step.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from strongroom.errors import InvalidError, RejectedError

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
MAX_TREE_SIZE = 2**53 - 1
"""Sizes travel in canonical JSON too, whose integers end here."""

HashReader = Callable[[int, int], bytes]
"""``read(level, index)``: the root over leaves ``index << level`` up to ``(index + 1) << level``."""


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of one leaf, apart from every inner node by its first byte (RFC 6962 2.1)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def tree_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes (or over the roots of equal, perfect subtrees)."""
    if not hashes:
        return EMPTY_ROOT
    return tree_levels(hashes)[-1][0]


def tree_levels(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Return the rows of the tree from ``hashes`` (at least one) to the root.

    A row of odd length hands its last hash up unchanged, which yields the tree of RFC 6962 2.1.
    """
    row = list(hashes)
    levels = [row]
    while len(row) > 1:
        above = [
            sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)
        ]
        if len(row) % 2:
            above.append(row[-1])
        levels.append(above)
        row = above
    return levels


def path_in_levels(levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """Return the inclusion proof of leaf ``index`` out of the rows that `tree_levels` made."""
    if not 0 <= index < len(levels[0]):
        raise InvalidError(f"merkle: no leaf {index} in a tree of {len(levels[0])}")
    path = []
    for row in levels[:-1]:
        sibling = index ^ 1
        if sibling < len(row):
            path.append(row[sibling])
        index >>= 1
    return path


def range_root(start: int, end: int, read: HashReader) -> bytes:
    """Return the root over leaves ``start`` to ``end``, a range that RFC 6962 splits off a tree."""
    size = end - start
    if size == 0:
        return EMPTY_ROOT
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return read(level, start >> level)
    middle = start + _split(size)
    return node_hash(range_root(start, middle, read), range_root(middle, end, read))


def inclusion_proof(index: int, size: int, read: HashReader) -> list[bytes]:
    """Return PATH(index, D[size]) of RFC 6962 2.1.1; reads O(log² size) hashes."""
    if not 0 <= index < size:
        raise InvalidError(f"merkle: no leaf {index} in a tree of {size}")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_root(middle, end, read))
            end = middle
        else:
            path.append(range_root(start, middle, read))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, read: HashReader) -> list[bytes]:
    """Return PROOF(old, D[new]) of RFC 6962 2.1.2; empty for ``old`` of 0 or ``new``."""
    if not 0 <= old <= new:
        raise InvalidError(f"merkle: no proof from size {old} to size {new}")
    if old in (0, new):
        return []
    path = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_root(middle, end, read))
            end = middle
        else:
            path.append(range_root(start, middle, read))
            start, whole = middle, False
    if not whole:
        path.append(range_root(start, end, read))
    return path[::-1]


def require_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf of hash ``leaf`` is number ``index`` of the tree ``size``, ``root``.

    RFC 9162 2.1.3.2.

    Raises:
        RejectedError: it is not, or the proof is too long, too short or malformed.
    """
    _require_hashes(proof)
    if not 0 <= index < size <= MAX_TREE_SIZE:
        raise RejectedError(f"inclusion proof: no leaf {index} in a tree of {size}")
    at, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise RejectedError("inclusion proof: too long")
        if at & 1 or at == last:
            computed = node_hash(sibling, computed)
            at, last = _to_next_right_child(at, last)
        else:
            computed = node_hash(computed, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise RejectedError("inclusion proof: too short")
    if computed != root:
        raise RejectedError(f"inclusion proof: leaf {index} is not in the tree of {size}")


def require_consistent(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the new tree begins with every leaf of the old one.

    RFC 9162 2.1.4.2, with the sizes 0 and equal, which it leaves out.

    Raises:
        RejectedError: it does not, or the proof is too long, too short or malformed.
    """
    _require_hashes(proof)
    if not 0 <= old_size <= new_size <= MAX_TREE_SIZE:
        raise RejectedError(f"consistency proof: size {new_size} does not extend size {old_size}")
    if old_size in (0, new_size):
        expected = EMPTY_ROOT if old_size == 0 else new_root
        if proof or old_root != expected:
            raise RejectedError(f"consistency proof: the trees of {old_size} and {new_size} differ")
        return
    if not proof:
        raise RejectedError("consistency proof: too short")
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_computed = new_computed = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise RejectedError("consistency proof: too long")
        if at & 1 or at == last:
            old_computed = node_hash(sibling, old_computed)
            new_computed = node_hash(sibling, new_computed)
            at, last = _to_next_right_child(at, last)
        else:
            new_computed = node_hash(new_computed, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise RejectedError("consistency proof: too short")
    if (old_computed, new_computed) != (old_root, new_root):
        raise RejectedError(f"consistency proof: size {new_size} does not extend size {old_size}")


class Frontier:
    """A growing tree of which only the roots of its perfect subtrees are kept, largest first."""

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self.size = size
        self._roots = list(roots)
        if len(self._roots) != size.bit_count():
            raise InvalidError(f"merkle: {len(self._roots)} roots cannot make a tree of {size}")

    def push(self, leaf: bytes, level: int = 0) -> None:
        """Add a leaf hash, or the root of a perfect subtree of ``1 << level`` leaves.

        ``size`` must be a multiple of the subtree's leaves.
        """
        if self.size & ((1 << level) - 1):
            raise InvalidError(f"merkle: a tree of {self.size} takes no subtree of level {level}")
        computed = leaf
        at = self.size >> level
        while at & 1:
            computed = node_hash(self._roots.pop(), computed)
            at >>= 1
        self._roots.append(computed)
        self.size += 1 << level

    def copy(self) -> "Frontier":
        return Frontier(self.size, self._roots)

    def root(self) -> bytes:
        if not self._roots:
            return EMPTY_ROOT
        computed = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            computed = node_hash(left, computed)
        return computed


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (RFC 6962 2.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _to_next_right_child(at: int, last: int) -> tuple[int, int]:
    """Climb past the levels at which the node has no sibling."""
    while not at & 1 and at:
        at, last = at >> 1, last >> 1
    return at, last


def _require_hashes(proof: Sequence[bytes]) -> None:
    # 2 * 64 covers the longest proof of either kind below MAX_TREE_SIZE.
    if len(proof) > 128 or any(len(item) != HASH_BYTES for item in proof):
        raise RejectedError("merkle proof: not a list of 32-byte hashes")
