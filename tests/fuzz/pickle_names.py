"""Which names Python itself asks for when it reads a pickle: a second opinion on what the scan accepted.

Nothing is imported or called: every name is given a class that swallows whatever is done with it.
"""

import io
import pickle
from contextlib import suppress
from typing import Any


class Inert:
    """Stands for whatever a pickle names."""

    def __new__(cls, *arguments: object, **named: object) -> "Inert":
        return object.__new__(cls)

    def __init__(self, *arguments: object, **named: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def __call__(self, *arguments: object, **named: object) -> "Inert":
        return self

    append = extend = add = update = __setstate__


class _Recorder(pickle._Unpickler):  # type: ignore[name-defined,misc]  # the one written in Python: no memory for a lying index
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.names: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.names.add((module, name))
        return Inert

    def get_extension(self, code: int) -> None:
        self.names.add(("copyreg", f"extension {code}"))
        raise pickle.UnpicklingError

    def persistent_load(self, name: object) -> object:
        return None


def names_asked_for(data: bytes) -> set[tuple[str, str]]:
    """Return the names of the first stream, as far as it can be read."""
    recorder = _Recorder(data)
    with suppress(Exception):
        recorder.load()
    return recorder.names
