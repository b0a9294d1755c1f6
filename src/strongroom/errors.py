"""The failures, grouped by what the caller can do about them.

The family fixes retry, HTTP status and exit code; messages are one lower-case sentence with the
thing first and never carry a secret. What escapes this tree is a bug.
"""

from typing import ClassVar

_MAX_UNTRUSTED_CHARS = 120


def shorten(text: object, limit: int = _MAX_UNTRUSTED_CHARS) -> str:
    """Return untrusted text safe for a message: printable ASCII, quoted, at most ``limit`` characters."""
    shown = ascii(str(text)[: limit + 1])
    return shown if len(shown) <= limit + 2 else shown[: limit - 1] + "…'"


class StrongroomError(Exception):
    """Base of every failure that this package raises on purpose."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    family: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidError(StrongroomError):
    """The input or a setting is wrong; the same call will fail again."""

    exit_code = 2
    http_status = 400
    family = "invalid"


class DeniedError(StrongroomError):
    """This caller may not do this now."""

    exit_code = 3
    http_status = 403
    family = "denied"


class RejectedError(StrongroomError):
    """The evidence does not hold: tampered, forged, revoked or unverifiable. Never retry."""

    exit_code = 4
    http_status = 422
    family = "rejected"


class OutageError(StrongroomError):
    """Something outside is silent or full; the same call may succeed later."""

    exit_code = 5
    http_status = 503
    family = "outage"
    retryable = True
