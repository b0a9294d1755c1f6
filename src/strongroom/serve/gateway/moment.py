"""What time it is for grants and certificates: never earlier than it was, whatever the clock says (I8)."""

import time
from datetime import UTC, datetime, timedelta


class Moment:
    """Wall time with a floor that moves on with the monotonic clock when the wall clock is set back."""

    def __init__(self) -> None:
        self._floor = datetime.now(UTC)
        self._floor_at_s = age_s()

    def now(self) -> datetime:
        """Return the later of the wall clock and the floor; aware UTC."""
        at_s = age_s()
        wall = datetime.now(UTC)
        floor = self._floor + timedelta(seconds=at_s - self._floor_at_s)
        if wall >= floor:
            self._floor, self._floor_at_s = wall, at_s
            return wall
        return floor

    def require_at_least(self, floor: datetime) -> None:
        """Raise the floor to a time that someone we trust has seen."""
        if floor > self.now():
            self._floor, self._floor_at_s = floor, age_s()


def age_s() -> float:
    """Seconds that pass while the machine sleeps, too, so nothing outlives its age in a suspended one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
