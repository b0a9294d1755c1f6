"""Asking a store again until it answers or a deadline has passed."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from strongroom.errors import OutageError, shorten

_Answer = TypeVar("_Answer")

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
"""So that a store which comes back is noticed within seconds."""
CONNECT_TIMEOUT_S = 5.0
ATTEMPT_TIMEOUT_S = 30.0
"""For one attempt, its body included; never longer than the deadline."""


class SilentError(OutageError):
    """The store did not answer this once; asking again may help."""


def attempt_timeout_s(deadline_s: float) -> float:
    return min(ATTEMPT_TIMEOUT_S, deadline_s)


def insist(
    ask: Callable[[], _Answer],
    place: str,
    deadline_s: float,
    *,
    now: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> _Answer:
    """Return what ``ask`` returns; when it raises SilentError, ask again until ``deadline_s`` has passed.

    Raises:
        OutageError: it was silent all that time; the place is named.
    """
    end = now() + deadline_s
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return ask()
        except SilentError as error:
            if now() + pause_s > end:
                raise OutageError(
                    f"{place}: no answer within {deadline_s:g} s ({shorten(error.message)})",
                    hint="is the store reachable, and its endpoint right? then try again",
                ) from None
        # Full jitter: many machines that lost one store must not come back in step.
        wait(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret depends on it
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
