"""Random bytes of the operating system, and repeatable ones that protect nothing."""

import os
from hashlib import shake_256


class SystemEntropy:
    """The kernel's random bytes."""

    def bytes(self, size: int) -> bytes:
        return os.urandom(size)


class FixedEntropy:
    """The same bytes in every run, never the same twice in one: for tests and frozen vectors only."""

    def __init__(self, seed: str = "strongroom") -> None:
        self._seed = seed
        self._drawn = 0

    def bytes(self, size: int) -> bytes:
        self._drawn += 1
        return shake_256(f"{self._seed}/{self._drawn}".encode()).digest(size)
