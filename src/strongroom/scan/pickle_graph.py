"""How deep and how large what a pickle builds would be, if every reference were written out."""

from collections.abc import Iterable

from strongroom.errors import RejectedError
from strongroom.scan.pickle_values import Node

MAX_NESTING = 1000
"""Python refuses to pickle, compare or print deeper ones (sys.getrecursionlimit)."""
MAX_EXPANDED = 50_000_000
"""Items reached from one container over all paths, as repr, == and hash walk them."""


def require_bounded(nodes: Iterable[Node]) -> None:
    """Raise RejectedError for nesting or sharing that no data has; linear in the number of references.

    References back to something that is still open are cycles, which Python stops at, and count as one.
    """
    depth: dict[int, int] = {}
    size: dict[int, int] = {}
    open_now: set[int] = set()
    for root in nodes:
        if id(root) in depth:
            continue
        todo: list[tuple[Node, int]] = [(root, 0)]
        while todo:
            node, at = todo[-1]
            if at == 0:
                open_now.add(id(node))
            if at < len(node.kids):
                todo[-1] = (node, at + 1)
                kid = node.kids[at]
                if isinstance(kid, Node) and id(kid) not in depth and id(kid) not in open_now:
                    todo.append((kid, 0))
                continue
            todo.pop()
            open_now.discard(id(node))
            _close(node, depth, size)


def _close(node: Node, depth: dict[int, int], size: dict[int, int]) -> None:
    deepest, total = 0, 1
    for kid in node.kids:
        deepest = max(deepest, depth.get(id(kid), 0))
        total += size.get(id(kid), 1)
    if deepest >= MAX_NESTING:
        raise RejectedError(f"nested more than {MAX_NESTING} deep")
    if total > MAX_EXPANDED:
        raise RejectedError("refers to the same containers so often that printing it would never end")
    depth[id(node)] = deepest + 1
    size[id(node)] = total if node.is_container else 1
