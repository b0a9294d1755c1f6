"""The wall clock with the uptime beside it, and one that stands still until told otherwise."""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from strongroom.values import Uptime

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """The machine's own clock. It can be set back: flows ask `Authority.moment`, not this."""

    def __init__(self) -> None:
        self._boot = _find_boot()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def uptime(self) -> Uptime:
        return Uptime(self._boot, _elapsed_ns() // 1_000_000)


@dataclass
class FixedClock:
    """A clock for tests and frozen vectors."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    boot: str = "first"
    elapsed: timedelta = timedelta()

    def now(self) -> datetime:
        return self.at

    def uptime(self) -> Uptime:
        return Uptime(self.boot, self.elapsed // timedelta(milliseconds=1))

    def advance(self, by: timedelta) -> None:
        """Set the clock ``by`` ahead, or back where that is negative; no time passes."""
        self.at += by

    def pass_time(self, by: timedelta) -> None:
        """Let time pass."""
        self.at += by
        self.elapsed += by


def _elapsed_ns() -> int:
    """Time that goes on while the machine sleeps, where there is one; nothing outlives its age asleep."""
    boottime: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime_ns(boottime) if boottime is not None else time.monotonic_ns()


def _find_boot() -> str:
    """Where the system does not tell one boot from another, each process counts as one."""
    try:
        return _BOOT_ID.read_text().strip()[:64]
    except OSError:
        return os.urandom(16).hex()
