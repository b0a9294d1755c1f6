"""Walk a parsed configuration: every key with its value, once, however deep."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from strongroom.errors import RejectedError

MAX_NODES = 2_000_000


@dataclass(frozen=True, slots=True)
class Node:
    """A value at its place."""

    trail: str
    """Keys and indexes on the way, as a reader would write them: ``model.layers[3].target``."""
    key: str
    """The last key on the way; items of a list have that of the list."""
    value: Any
    parent: dict[str, Any]
    """Mapping that holds the value; empty at the top and for items of lists."""
    is_item: bool = False


def walk(value: Any, trail: str = "", key: str = "") -> Iterator[Node]:
    """Yield every mapping, list and scalar. What is shared by aliases is seen at one of its places.

    Raises:
        RejectedError: more than MAX_NODES.
    """
    seen: set[int] = set()
    count = 0
    pending = [Node(trail, key, value, {})]
    while pending:
        node = pending.pop()
        count += 1
        if count > MAX_NODES:
            raise RejectedError(f"has more than {MAX_NODES} values")
        yield node
        if isinstance(node.value, dict | list):
            if id(node.value) in seen:
                continue
            seen.add(id(node.value))
            pending += _children(node)


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node.value, dict):
        dot = "." if node.trail else ""
        for key, value in reversed(node.value.items()):
            yield Node(f"{node.trail}{dot}{key}", str(key), value, node.value)
    else:
        for index in range(len(node.value) - 1, -1, -1):
            value = node.value[index]
            if value is not None and not isinstance(value, int | float):
                yield Node(f"{node.trail}[{index}]", node.key, value, {}, True)
