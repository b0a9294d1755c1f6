"""What a lock may be called."""

import re

from strongroom.errors import InvalidError, shorten

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,127}", re.ASCII)


def parse_lock_name(text: str) -> str:
    """Return ``text`` if it names a lock: 1 to 128 of a-z, 0-9, '.' and '-', no dot first."""
    if _NAME.fullmatch(text) is None:
        raise InvalidError(f"lock: {shorten(text)} is not a lock's name")
    return text
