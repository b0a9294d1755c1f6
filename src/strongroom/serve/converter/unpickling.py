"""Pickles and joblib files, opened with an exact list of what they may name.

This is the second wall: the static scan refused what is not on the list before this process was started.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import numpy_pickle

from strongroom.errors import InvalidError, RejectedError, shorten

MAX_GLOBALS = 4096
MAX_DIMENSIONS = 32

FindGlobal = Callable[[str, str], Any]
_Unpickler: Any = pickle._Unpickler  # noqa: SLF001 - the one in Python, which can be narrowed


def load(data: bytes, find_global: FindGlobal) -> tuple[Any, frozenset[str]]:
    """Return the object and the globals that it named.

    Raises:
        RejectedError: it names something that is not allowed, or is cut, corrupt or goes on after its end.
        InvalidError: it is of a version of its library that the one installed here cannot read.
    """
    reader = _Reader(data, find_global)
    try:
        loaded = reader.load()
    except (RejectedError, InvalidError, MemoryError):
        raise
    except (ImportError, AttributeError) as error:
        raise _other_version(error) from None
    except (pickle.UnpicklingError, EOFError, IndexError, KeyError, OSError) as error:
        raise RejectedError(f"original: is not a whole pickle: {shorten(error)}") from None
    except RecursionError:
        raise RejectedError("original: is nested too deeply") from None
    except Exception as error:
        raise _other_version(error) from None
    if reader.file_handle.read(1):
        raise RejectedError("original: goes on after the end of its pickle")
    return loaded, frozenset(reader.named)


def _other_version(error: Exception) -> InvalidError:
    return InvalidError(
        f"original: cannot be read by the libraries installed here: {shorten(error, 200)}",
        hint="convert with the versions that it was written with, see docs/convert.md",
    )


class _Reader(numpy_pickle.NumpyUnpickler):  # type: ignore[misc]  # joblib has no types
    """joblib's reader, which takes plain pickles as well; arrays of objects are read as carefully."""

    dispatch = numpy_pickle.NumpyUnpickler.dispatch.copy()

    def __init__(self, data: bytes, find_global: FindGlobal, named: set[str] | None = None) -> None:
        super().__init__("original", io.BytesIO(data), ensure_native_byte_order=True)
        self._find_global = find_global
        self.named: set[str] = set() if named is None else named

    def find_class(self, module: str, name: str) -> Any:
        if len(self.named) >= MAX_GLOBALS:
            raise RejectedError(f"original: names more than {MAX_GLOBALS} globals")
        found = self._find_global(module, name)
        self.named.add(f"{module}.{name}")
        return found

    def load_build(self) -> None:
        _Unpickler.load_build(self)
        top = self.stack[-1]
        if isinstance(top, numpy_pickle.NDArrayWrapper):
            raise RejectedError(
                "original: keeps its arrays in files beside it, as joblib before 0.10 did",
                hint="load it and save it again with a current joblib",
            )
        if isinstance(top, numpy_pickle.NumpyArrayWrapper):
            self.stack[-1] = self._read_array(top)

    dispatch[pickle.BUILD[0]] = load_build

    def _read_array(self, wrapper: Any) -> Any:
        shape, dtype = getattr(wrapper, "shape", None), getattr(wrapper, "dtype", None)
        if (
            not isinstance(dtype, np.dtype)
            or not isinstance(shape, tuple)
            or len(shape) > MAX_DIMENSIONS
            or not all(isinstance(extent, int) and extent >= 0 for extent in shape)
            or getattr(wrapper, "order", None) not in ("C", "F")
        ):
            raise RejectedError("original: an array's description is not one that joblib writes")
        if dtype.hasobject:
            # joblib up to 1.5 read these with an unrestricted unpickler.
            nested = _Reader(b"", self._find_global, self.named)
            nested.__dict__.update(file_handle=self.file_handle)
            _Unpickler.__init__(nested, self.file_handle)
            return nested.load()
        size = dtype.itemsize
        for extent in shape:
            size *= extent
        if size > len(self.file_handle.getbuffer()):
            raise RejectedError("original: an array is said to be larger than the file")
        wrapper.subclass, wrapper.allow_mmap = np.ndarray, False
        return wrapper.read_array(self, True)
