"""Read the few Python literals that headers are made of: strings, numbers, lists, tuples and dicts."""

import re
from collections.abc import Iterator
from typing import Any

from strongroom.errors import RejectedError

MAX_LITERAL_DEPTH = 16

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^'\\\n]*'|\"[^\"\\\n]*\")|(?P<number>-?[0-9]{1,19}L?)|(?P<word>True|False)|(?P<sign>[(){}\[\],:]))"
)
_END = ""


def parse_literal(text: str) -> Any:
    """Return a string, integer, truth, list, tuple or dict, nested up to MAX_LITERAL_DEPTH.

    The caller bounds the length of ``text``.

    Raises:
        RejectedError: anything else; a key that is no string or is given twice; escapes in a string.
    """
    parser = _Parser(_tokens(text.rstrip(" \n")))
    value = parser.value(parser.take(), 0)
    if parser.take() != _END:
        raise _malformed()
    return value


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _malformed()
        yield match[0].strip()
        at = match.end()


class _Parser:
    def __init__(self, tokens: Iterator[str]) -> None:
        self._tokens = tokens

    def take(self) -> str:
        return next(self._tokens, _END)

    def value(self, word: str, depth: int) -> Any:
        if depth > MAX_LITERAL_DEPTH:
            raise RejectedError(f"a header nested deeper than {MAX_LITERAL_DEPTH}")
        match word[:1]:
            case "(":
                values, has_comma = self._values(")", depth)
                return tuple(values) if has_comma or not values else values[0]
            case "[":
                return self._values("]", depth)[0]
            case "{":
                return self._pairs(depth)
            case "'" | '"':
                return word[1:-1]
            case "T" | "F":
                return word == "True"
            case "" | ")" | "]" | "}" | "," | ":":
                raise _malformed()
            case _:
                return int(word.removesuffix("L"))

    def _values(self, end: str, depth: int) -> tuple[list[Any], bool]:
        values: list[Any] = []
        has_comma = False
        while (word := self.take()) != end:
            values.append(self.value(word, depth + 1))
            word = self.take()
            has_comma = has_comma or word == ","
            if word == end:
                break
            if word != ",":
                raise _malformed()
        return values, has_comma

    def _pairs(self, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while (word := self.take()) != "}":
            key = self.value(word, depth + 1)
            if not isinstance(key, str) or key in values or self.take() != ":":
                raise _malformed()
            values[key] = self.value(self.take(), depth + 1)
            word = self.take()
            if word == "}":
                break
            if word != ",":
                raise _malformed()
        return values


def _malformed() -> RejectedError:
    return RejectedError("a header that is not the Python literal it should be")
