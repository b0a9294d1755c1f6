"""Object names, the same for every store: what one accepts all accept."""

import re

from strongroom.errors import InvalidError, RejectedError, shorten

MAX_NAME_CHARS = 512
MAX_SEGMENTS = 8
MAX_SMALL_BYTES = 16 * 2**20
"""Largest object for `put_new`, `replace` and `read`."""

_SEGMENT = r"[A-Za-z0-9@-][A-Za-z0-9.@-]{0,127}"
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*", re.ASCII)


def require_name(name: str) -> str:
    """Return ``name`` if it names an object: segments of ``[A-Za-z0-9.@-]``, none led by a dot."""
    fits = len(name) <= MAX_NAME_CHARS and name.count("/") < MAX_SEGMENTS
    if not fits or _NAME.fullmatch(name) is None:
        raise InvalidError(f"blob: {shorten(name)} is not an object name")
    return name


def require_prefix(prefix: str) -> str:
    """Return the prefix as whole segments without a slash at the end; empty means everything."""
    return require_name(prefix.removesuffix("/")) if prefix else ""


def require_small(name: str, data: bytes) -> bytes:
    """Return ``data`` if it may be written in one piece."""
    if len(data) > MAX_SMALL_BYTES:
        raise InvalidError(f"blob {name}: more than {MAX_SMALL_BYTES} bytes in one piece")
    return data


def missing(name: str) -> RejectedError:
    return RejectedError(f"blob {name}: there is no such object")


def taken(name: str) -> InvalidError:
    return InvalidError(f"blob {name}: exists already and is immutable")


def too_large(name: str, limit: int) -> RejectedError:
    return RejectedError(f"blob {name}: larger than {limit} bytes")
