"""Time for grants: a clock set back never makes it earlier, nor does it stand still then (I8)."""

from datetime import UTC, datetime, timedelta

import pytest

from strongroom.serve.gateway import moment
from strongroom.serve.gateway.moment import Moment

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clocks:
    """A wall clock and a steady clock that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = START
        self.steady_s = 100.0
        clocks = self

        class Wall(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return clocks.wall

        monkeypatch.setattr(moment, "datetime", Wall)
        monkeypatch.setattr(moment, "age_s", lambda: clocks.steady_s)

    def pass_time(self, seconds: float, wall: float | None = None) -> None:
        self.steady_s += seconds
        self.wall += timedelta(seconds=seconds if wall is None else wall)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def test_time_goes_with_the_wall_clock(clocks: Clocks) -> None:
    now = Moment()
    clocks.pass_time(5)
    assert now.now() == START + timedelta(seconds=5)


def test_a_clock_set_back_does_not_count_and_time_goes_on(clocks: Clocks) -> None:
    now = Moment()
    clocks.pass_time(10)
    now.now()
    clocks.pass_time(1, wall=-86400)
    assert now.now() == START + timedelta(seconds=11)
    clocks.pass_time(3600)
    assert now.now() == START + timedelta(seconds=11 + 3600)


def test_a_clock_set_forward_counts_and_cannot_be_taken_back(clocks: Clocks) -> None:
    now = Moment()
    clocks.pass_time(0, wall=86400)
    assert now.now() == START + timedelta(days=1)
    clocks.pass_time(1, wall=-86400)
    assert now.now() == START + timedelta(days=1, seconds=1)


def test_a_clock_that_creeps_back_wins_nothing(clocks: Clocks) -> None:
    now = Moment()
    for _ in range(1000):
        clocks.pass_time(1, wall=-1)
        now.now()
    assert now.now() == START + timedelta(seconds=1000)


def test_a_time_that_the_log_has_seen_is_a_floor(clocks: Clocks) -> None:
    now = Moment()
    now.require_at_least(START + timedelta(hours=1))
    assert now.now() == START + timedelta(hours=1)
    now.require_at_least(START)
    clocks.pass_time(1)
    assert now.now() == START + timedelta(hours=1, seconds=1)
