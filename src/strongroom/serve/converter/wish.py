"""What is asked of a conversion, and the bounds that hold where nothing else is asked."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from strongroom.errors import InvalidError, RejectedError, StrongroomError

MIN_AGREEMENT = 0.999
MAX_PROBABILITY_ERROR = 1e-4
"""Absolute, of a probability."""
MAX_RELATIVE_ERROR = 1e-4
"""Of any other number, as `Difference.relative`."""
MAX_INPUT_ARRAYS = 4096
SEED = 20_260_401

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Wish:
    """What is asked of a conversion."""

    rows: int
    seed: int = SEED
    features: int | None = None
    max_error: float | None = None
    """Instead of both bounds on numbers."""
    entry: str | None = None
    """Name of the class in the module that was given."""

    @classmethod
    def parse(cls, value: dict[str, Any]) -> "Wish":
        match value:
            case {
                "rows": int(rows),
                "seed": int(seed),
                "features": None | int() as features,
                "max_error": None | float() as max_error,
                "entry": None | str() as entry,
            } if len(value) == 5 and rows > 0:
                return cls(rows, seed, features, max_error, entry)
        raise RejectedError("control channel: not a conversion request")


def read_arrays(given: bytes) -> dict[str, Array]:
    try:
        with np.load(io.BytesIO(given), allow_pickle=False) as archive:
            if isinstance(archive, np.ndarray):
                return {"": archive}
            if len(archive.files) > MAX_INPUT_ARRAYS:
                raise InvalidError(f"inputs: more than {MAX_INPUT_ARRAYS} arrays")
            return {name: archive[name] for name in archive.files}
    except StrongroomError:
        raise
    except MemoryError:
        raise RejectedError("inputs: take more memory than a conversion may") from None
    except Exception:
        raise InvalidError("inputs: are not a NumPy .npz or .npy of numbers and texts") from None


def example_arrays() -> bytes:
    """What `read_arrays` reads once before the locks: NumPy imports what it needs for it only then."""
    file = io.BytesIO()
    np.savez(file, rows=np.zeros((2, 3), np.float32))
    return file.getvalue()
