"""JSON of frameworks that has one meaning: no key twice, no depth that stops a parser."""

import json
import re
from typing import Any

from strongroom.errors import RejectedError, shorten

MAX_DEPTH = 200

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def parse_json(data: bytes, what: str) -> Any:
    """Return what the text holds.

    Raises:
        RejectedError: not UTF-8, not JSON, a key given twice in an object, deeper than MAX_DEPTH.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise RejectedError(f"{what}: is not UTF-8") from None
    _require_shallow(text, what)
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        raise RejectedError(f"{what}: is not JSON") from None
    except _TwiceError as error:
        raise RejectedError(f"{what}: key {shorten(error.key)} is given twice") from None


class _TwiceError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _TwiceError(key)
            seen.add(key)
    return found


def _require_shallow(text: str, what: str) -> None:
    depth = 0
    for match in _BRACKETS.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise RejectedError(f"{what}: is nested deeper than {MAX_DEPTH}")
        elif mark in "]}":
            depth -= 1
