"""Names and sizes of marks, the same wherever they are kept."""

import re

from strongroom.errors import InvalidError, shorten

MAX_MARK_BYTES = 64 * 2**10
_NAME = re.compile(r"[a-z][a-z-]{0,62}", re.ASCII)


def require_mark(name: str, data: bytes = b"") -> str:
    """Return ``name`` if a mark may be called so and hold ``data``. Raises InvalidError."""
    if _NAME.fullmatch(name) is None or len(data) > MAX_MARK_BYTES:
        raise InvalidError(f"mark: {shorten(name)} is no name of one, or holds too much")
    return name
