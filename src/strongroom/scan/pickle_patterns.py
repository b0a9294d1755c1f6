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
    constant: bytes | Long | Global | None = None
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


def is_made(value: object, name: str) -> bool:
    return isinstance(value, Made) and value.maker is not None and str(value.maker) == name


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


_OWN_NAMES = frozenset({"__doc__", "__module__", "__name__", "__qualname__", "__orig_class__", "__wrapped__"})
"""Those of the names with two underscores that say nothing about what an object does."""


def check_names(state: object) -> str:
    """Return why the attributes of this state may not be set: one could make another class of the object.

    Loaders set a dictionary, a tuple of dictionaries, or what either of them holds for their class to set.
    """
    parts = state.items if isinstance(state, Tuple) else [state]
    for part in parts:
        if isinstance(part, Tuple) and part is not state:
            parts = [*parts, *(item for item in part.items if isinstance(item, Dict))]
    for part in parts:
        if isinstance(part, Made) and part.is_container and _sets_items(part):
            return "with attributes that are not a plain dictionary"
        if not isinstance(part, Dict):
            continue
        if part.is_partial:
            return "with attributes whose names are not written out"
        if any(name.startswith("__") and name.endswith("__") for name in part.entries.keys() - _OWN_NAMES):
            return "by attributes that belong to its class"
        if any(opens_files(value) for value in part.entries.values()):
            return "to something that opens a file when it is called"
    return ""


def opens_files(value: object) -> bool:
    """Classes that objects are of, and that nobody keeps; what an object keeps, its class may call."""
    if not isinstance(value, Global) or value.allowed is None:
        return False
    return value.name == "memmap" or value.allowed.check in ("xgboost-booster", "lightgbm-booster")


def _sets_items(made: Made) -> bool:
    return made.maker is not None and made.maker.allowed is not None and made.maker.allowed.sets_items
