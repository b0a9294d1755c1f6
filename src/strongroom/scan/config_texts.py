"""The text of a configuration for the search for credentials: names beside values, encodings undone."""

import json
from collections.abc import Iterator
from typing import Any

from strongroom.scan.config_nodes import walk
from strongroom.scan.documents import LONG_WORD, Vocabulary

_MAX_TOGETHER = 200
"""Longer strings, and those with quotes or of several lines, are looked at for themselves."""
_MAX_DEPTH = 60

Piece = tuple[str, str]
"""Where, and what."""


def texts_of(value: Any) -> Iterator[Piece]:
    """Yield the text by top-level key; plain values of the top level together, as they belong together."""
    alone: list[Piece] = []
    if isinstance(value, dict):
        inside = {key: each for key, each in value.items() if isinstance(each, dict | list | Vocabulary)}
        yield from _piece("", {key: each for key, each in value.items() if key not in inside}, alone)
        for key, each in inside.items():
            yield from _piece(str(key), {key: each}, alone)
    else:
        yield from _piece("", value, alone)
    yield from alone


def hidden_texts_of(value: Any) -> Iterator[Piece]:
    """Yield what escapes may hide in a notation whose text is looked at as it stands."""
    for node in walk(value):
        if isinstance(node.value, str) and len(node.value) >= LONG_WORD:
            yield node.trail, f"{node.key}: {node.value}"


def _piece(name: str, value: Any, alone: list[Piece]) -> Iterator[Piece]:
    plain = _plain(value, "" if isinstance(value, dict) else name, alone, 0)
    if plain:
        yield name, json.dumps(plain, ensure_ascii=False, default=str)


def _plain(value: Any, trail: str, alone: list[Piece], depth: int) -> Any:
    """Return a copy without numbers' lists and vocabularies; long strings are put aside."""
    match value:
        case str() if len(value) > _MAX_TOGETHER or "\n" in value or '"' in value:
            alone.append((trail, f"{trail.rpartition('.')[2]}: {value}"))
            return ""
        case dict() | list() if depth >= _MAX_DEPTH:
            return str(value)
        case dict():
            dot = "." if trail else ""
            return {key: _plain(each, f"{trail}{dot}{key}", alone, depth + 1) for key, each in value.items()}
        case list():
            words = (each for each in value if not isinstance(each, int | float))
            return [_plain(each, trail, alone, depth + 1) for each in words]
        case Vocabulary(long_words=words):
            return list(words)
    return value
