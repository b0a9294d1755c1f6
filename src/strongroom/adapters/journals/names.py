"""What is the same for every place of journals: their names, and what is refused."""

import re

from strongroom.errors import InvalidError, RejectedError, shorten

_NAME = re.compile(r"[0-9a-f]{32}", re.ASCII)


def is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def require_name(name: str) -> str:
    if not is_name(name):
        raise RejectedError(f"journal: {shorten(name)} is not a journal's name")
    return name


def require_range(name: str, offset: int, limit: int) -> None:
    if offset < 0 or limit < 0:
        raise InvalidError(f"journal {name}: a negative range")


def missing(name: str) -> RejectedError:
    return RejectedError(f"journal {name}: is missing")
