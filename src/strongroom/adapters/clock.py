"""The wall clock, and one that stands still until told otherwise."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's own clock. It can be set back: flows ask `Authority.moment`, not this."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class FixedClock:
    """A clock for tests and frozen vectors."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        """Move by ``by``, which may be negative: a clock that was set back."""
        self.at += by
