"""How long the killers go on: a few deaths in `make test`, hundreds in `make faults`, which counts them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE = float(os.environ.get("STRONGROOM_FAULTS", "1"))
"""`make faults` has more of it."""
COUNT_IN = os.environ.get("STRONGROOM_FAULTS_COUNT")
"""A file that each loop writes its deaths to."""


class Killer:
    """Decides whether there is another death; counts them."""

    def __init__(self, what: str, *, budget_s: float, least: int, most: int) -> None:
        self._what = what
        self._end = time.monotonic() + budget_s * PATIENCE
        self._least, self._most = least, round(most * max(1.0, PATIENCE))
        self.deaths = 0

    def goes_on(self) -> bool:
        """Never fewer than ``least``, and as many as fit into the time, up to ``most``."""
        late = time.monotonic() > self._end
        if self.deaths < self._least or (not late and self.deaths < self._most):
            return True
        if COUNT_IN:
            with Path(COUNT_IN).open("a") as file:
                file.write(f"{self.deaths} {self._what}\n")
        return False

    def rounds(self) -> Iterator[int]:
        """One number a death, from 1 on."""
        while self.goes_on():
            self.deaths += 1
            yield self.deaths
