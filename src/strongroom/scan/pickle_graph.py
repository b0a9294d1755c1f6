"""How deep and how large what a pickle builds would be, if every reference were written out."""

from collections.abc import Iterable

from strongroom.errors import RejectedError
from strongroom.scan.pickle_values import Node

MAX_NESTING = 1000
"""Python refuses to pickle, compare or print deeper ones (sys.getrecursionlimit)."""
MAX_EXPANDED = 50_000_000
"""Containers reached from one container over all paths, as repr, == and hash walk them."""

_OPEN = -1


class DeepError(RejectedError):
    """Nested deeper than data is."""

    def __init__(self) -> None:
        super().__init__(f"nested more than {MAX_NESTING} deep")


def require_bounded(nodes: Iterable[Node]) -> None:
    """Raise RejectedError for nesting or sharing that no data has; linear in the number of references.

    References back to something that is still open are cycles, which Python stops at, and count as one.
    """
    for root in nodes:
        if root.depth:
            continue
        root.depth = _OPEN
        todo: list[tuple[Node, int]] = [(root, 0)]
        while todo:
            node, at = todo[-1]
            if at == len(node.kids):
                todo.pop()
                _close(node)
                continue
            todo[-1] = (node, at + 1)
            kid = node.kids[at]
            if isinstance(kid, Node) and not kid.depth:
                kid.depth = _OPEN
                todo.append((kid, 0))


def _close(node: Node) -> None:
    deepest, total = 0, 1
    for kid in node.kids:
        if isinstance(kid, Node):
            deepest = max(deepest, kid.depth)
            total += kid.weight
    if deepest >= MAX_NESTING:
        raise DeepError
    if total > MAX_EXPANDED:
        raise RejectedError("refers to the same containers so often that printing it would never end")
    node.depth = deepest + 1
    node.weight = total if node.is_container else 1
