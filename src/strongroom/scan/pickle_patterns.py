"""Calls of a pickle, and shapes of arguments written as text: ``int,array,num?`` or ``str*``."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from strongroom.scan.pickle_arrays import ArrayFact, fact_dtype
from strongroom.scan.pickle_values import Dict, Global, List, Long, Made, Set, Tuple, is_data, is_text

OTHER_ARGUMENTS = "with arguments that no library writes"


@dataclass(slots=True)
class Call:
    """A call to be judged. A check may set what the result is known to be."""

    callee: Global
    args: list[object]
    fact: object = None
    maker: Global | None = None
    """The class of the result, where it is not the callee."""
    constant: bytes | Long | None = None
    inside: tuple[str, object] | None = None
    """A kind of content and a string of bytes that the call reads as such."""


@dataclass(frozen=True, slots=True)
class Data:
    """Fact of a byte array: what it was made of."""

    value: object


Check = Callable[[Call], str]
"""Returns why not, or an empty text."""
StateCheck = Callable[[Made, object], str]


def is_refused(value: object) -> bool:
    """The result of a call that was reported already."""
    return isinstance(value, Made) and value.maker is None


KINDS: dict[str, Callable[[object], bool]] = {
    "any": lambda value: True,
    "none": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool) or value in (0, 1),
    "int": lambda value: isinstance(value, int) or is_global_call(value, "scalar"),
    "num": lambda value: isinstance(value, int | float) or is_global_call(value, "scalar"),
    "str": is_text,
    "bytes": lambda value: is_data(value) or is_text(value) or isinstance(fact_of(value), Data),
    "const": lambda value: value is None or isinstance(value, bool | int | float | str | bytes | Long),
    "tuple": lambda value: isinstance(value, Tuple),
    "list": lambda value: isinstance(value, List),
    "dict": lambda value: isinstance(value, Dict) or is_global_call(value, "ordered-dict"),
    "set": lambda value: isinstance(value, Set),
    "array": lambda value: isinstance(fact_of(value), ArrayFact),
    "dtype": lambda value: fact_dtype(value) is not None,
    "class": lambda value: isinstance(value, Global) and value.allowed is not None and value.allowed.is_class,
    "object": lambda value: isinstance(value, Made),
    "name": lambda value: (
        isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/ -]*", value) is not None
    ),
}


def fact_of(value: object) -> object:
    return value.fact if isinstance(value, Made) else None


def is_global_call(value: object, check: str) -> bool:
    """Say whether a value was made by a name whose arguments are checked in this way."""
    return (
        isinstance(value, Made)
        and value.maker is not None
        and value.maker.allowed is not None
        and value.maker.allowed.check == check
    )


@cache
def _parse(pattern: str) -> tuple[tuple[tuple[Callable[[object], bool], ...], ...], int, bool]:
    """Return kinds for each position, how many are needed, and whether the last repeats."""
    words = [] if pattern in ("", "()") else pattern.split(",")
    repeats = bool(words) and words[-1].endswith("*")
    needed = sum(not word.endswith(("?", "*")) for word in words)
    kinds = tuple(tuple(KINDS[kind] for kind in word.rstrip("?*").split("|")) for word in words)
    return kinds, needed, repeats


def fits(args: list[object], pattern: str) -> bool:
    kinds, needed, repeats = _parse(pattern)
    if len(args) < needed or (len(args) > len(kinds) and not repeats):
        return False
    for at, value in enumerate(args):
        allowed = kinds[min(at, len(kinds) - 1)]
        if not any(kind(value) for kind in allowed) and not is_refused(value):
            return False
    return True
