"""One byte form per value: the JSON that is hashed and signed.

The subset of RFC 8785 that needs no float rules: UTF-8, keys sorted, no spaces, and only objects,
arrays, strings, booleans, null and integers within ±(2**53 - 1). Keys are restricted to ASCII so that
sorting by UTF-8 and by UTF-16 agree.
"""

from typing import Any

import orjson

from strongroom.errors import InvalidError

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 32


def encode(value: Any) -> bytes:
    """Return the canonical bytes of ``value``.

    Raises:
        InvalidError: a float, an integer out of range, a non-ASCII key, half a surrogate pair, or nesting
            beyond MAX_DEPTH.
    """
    _require_canonical(value, MAX_DEPTH)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise InvalidError("canonical json: a string is not Unicode text") from None


def decode(data: bytes) -> Any:
    """Return the value whose canonical form is exactly ``data``; any other spelling is refused.

    Comparing with the re-encoded form also refuses duplicate keys, floats and spare white space.

    Raises:
        InvalidError: ``data`` is not canonical JSON.
    """
    try:
        value = orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError):
        raise InvalidError("canonical json: cannot be parsed") from None
    if encode(value) != data:
        raise InvalidError("canonical json: not the canonical spelling")
    return value


def _require_canonical(value: Any, depth: int) -> None:
    if depth < 0:
        raise InvalidError(f"canonical json: nested deeper than {MAX_DEPTH}")
    match value:
        case None | bool() | str():
            return
        case int():
            if abs(value) > MAX_INTEGER:
                raise InvalidError("canonical json: integer out of range")
        case list() | tuple():
            for item in value:
                _require_canonical(item, depth - 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str) or not key.isascii():
                    raise InvalidError("canonical json: key is not an ASCII string")
                _require_canonical(item, depth - 1)
        case _:
            raise InvalidError(f"canonical json: {type(value).__name__} has no canonical form")
