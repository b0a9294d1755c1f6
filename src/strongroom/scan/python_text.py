"""Parse Python without running it, within bounds."""

import ast
import warnings
from collections.abc import Iterator

MAX_CHARS = 2**17
"""Some 3,000 lines; parsed, they take two hundred times the memory of their text."""


def parse_python(text: str) -> ast.AST | None:
    """Return the syntax tree; nothing for what is no Python, or too long to be looked at."""
    if len(text) > MAX_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one line each about odd numbers, as many as the author likes
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def walk_python(text: str) -> Iterator[ast.AST]:
    tree = parse_python(text)
    return iter(()) if tree is None else ast.walk(tree)
