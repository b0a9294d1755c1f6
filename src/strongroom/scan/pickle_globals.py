"""The names that a pickle may import, exactly, and what each may be used for. All others are refused."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources

_LIST = "pickle_globals.txt"

# Names of Python 2 (Lib/_compat_pickle.py) that pickles of protocols 0 to 2 have to this day.
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_OLD_BUILTINS = {"unicode": "str", "long": "int", "xrange": "range"}


class Use(StrEnum):
    """What may be done with a name."""

    OBJECT = "object"
    """A class: made without arguments, then given its state; or held as a value."""
    DICT = "dict"
    """As OBJECT, and items are set."""
    LIST = "list"
    """As OBJECT, and items are appended."""
    TUPLE = "tuple"
    """A named tuple or data class: made from any values."""
    ENUM = "enum"
    """Made from one literal value or name."""
    HOLD = "hold"
    """Held as a value; never called."""
    MAKE = "make"
    """A class that is made from arguments that are checked."""
    CALL = "call"
    """A function that is called with arguments that are checked, and never held."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """One line of the list. Compared by identity of the line, so small and shared."""

    use: Use
    check: str = ""
    """Name of the check of its arguments, for MAKE and CALL; see `pickle_calls`."""
    is_container: bool = False

    @property
    def is_class(self) -> bool:
        return self.use not in (Use.HOLD, Use.CALL)

    @property
    def sets_items(self) -> bool:
        return self.use is Use.DICT or self.check in _SETS_ITEMS

    @property
    def appends(self) -> bool:
        return self.use is Use.LIST or self.check in _APPENDS


_SETS_ITEMS = frozenset({"ordered-dict", "default-dict", "counter"})
_APPENDS = frozenset({"deque"})
_CONTAINERS = frozenset({"ordered-dict", "default-dict", "counter", "deque", "collection"})


def find_allowed(module: str, name: str) -> Allowed | None:
    """Return what this name may be used for; none means that it is refused."""
    return _load().get((module, name))


def modern(module: str, name: str) -> tuple[str, str]:
    """Return the name of today for one that Python 3 translates on loading."""
    if module == "__builtin__":
        name = _OLD_BUILTINS.get(name, name)
    return _OLD_MODULES.get(module, module), name


@cache
def _load() -> dict[tuple[str, str], Allowed]:
    text = resources.files("strongroom.scan").joinpath(_LIST).read_text("ascii")
    shared: dict[tuple[str, str], Allowed] = {}
    found: dict[tuple[str, str], Allowed] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        module, name, use, check = (*line.split(" "), "")[:4]
        allowed = shared.get((use, check))
        if allowed is None:
            container = check in _CONTAINERS or use in (Use.DICT, Use.LIST, Use.TUPLE)
            allowed = shared[(use, check)] = Allowed(Use(use), check, container)
        found[(module, name)] = allowed
    return found
