"""What an original may name: the static scan's list, and nothing else."""

import sys
from typing import Any

from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.scan.pickle_globals import find_allowed, modern
from strongroom.serve.converter import libraries

_MAY_LACK = ("sklearn",)
HINT = "save only the fitted model, without functions of your own"


def is_allowed(module: str, name: str) -> bool:
    """Whether a model may name it. Read once before the locks: the list is a file."""
    return find_allowed(*modern(module, name)) is not None


def find_global(module: str, name: str) -> Any:
    """Return what an original names, if it may and its library was imported before the locks.

    Raises:
        RejectedError: no model needs it.
        InvalidError: the library, or the version of it, is not here.
    """
    module, name = modern(module, name)
    if not is_allowed(module, name):
        raise RejectedError(f"original: names {shorten(f'{module}.{name}')}, which no model needs", hint=HINT)
    loaded = sys.modules.get(module)
    found = None if loaded is None else loaded.__dict__.get(name)
    if found is not None:
        return found
    if module.partition(".")[0] in _MAY_LACK:
        return _stand_in(module, name)
    raise InvalidError(
        f"original: needs {shorten(f'{module}.{name}')}, which the libraries installed here have not",
        hint="convert with the versions that it was written with, see docs/convert.md",
    )


class StandIn:
    """In place of something that a library has no longer; what is asked of it fails."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes what the real one took."""

    def __setstate__(self, state: Any) -> None:
        """Forgets it."""


_stood_in: list[str] = []


def _stand_in(module: str, name: str) -> type[StandIn]:
    """A search remembers how it scored, and old scorers are gone: its model needs none of them."""
    _stood_in.append(f"{module}.{name}")
    return type(name, (StandIn,), {})


def stood_in() -> list[str]:
    """Return what was stood in for since the last call."""
    found = list(dict.fromkeys(_stood_in))
    _stood_in.clear()
    return found


def import_listed() -> None:
    """Import every module on the list whose library is here, so that its names can be found later."""
    from strongroom.scan import pickle_globals

    for module in {module for module, _ in pickle_globals._load()}:  # noqa: SLF001
        if module.partition(".")[0] in sys.modules:
            libraries.find(module)
