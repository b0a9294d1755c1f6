"""Allow-lists as text: lines of ``module: Name Name``, which wrap behind two blanks."""

from collections.abc import Mapping


def parse_modules(text: str) -> Mapping[str, frozenset[str]]:
    """Return the names of each module."""
    lines = text.replace("\n  ", " ").split("\n")
    parts = (line.partition(": ") for line in lines if line)
    return {module: frozenset(names.split()) for module, _, names in parts}


def parse_names(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())
