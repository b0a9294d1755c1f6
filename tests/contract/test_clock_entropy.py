"""Clocks and entropy: the machine's own, and the fixed twins."""

from datetime import timedelta

import pytest

from strongroom.adapters.clock import FixedClock, SystemClock
from strongroom.adapters.entropy import FixedEntropy, SystemEntropy
from strongroom.ports import Clock, Entropy


@pytest.mark.parametrize("clock", [SystemClock(), FixedClock()])
def test_a_clock_says_aware_utc(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_a_fixed_clock_moves_only_when_told_even_back() -> None:
    clock = FixedClock()
    start = clock.now()
    assert clock.now() == start
    clock.advance(timedelta(hours=-1))
    assert clock.now() == start - timedelta(hours=1)


@pytest.mark.parametrize("entropy", [SystemEntropy(), FixedEntropy()])
@pytest.mark.parametrize("size", [0, 1, 32, 4096])
def test_as_many_bytes_as_asked_and_never_the_same_twice(entropy: Entropy, size: int) -> None:
    first, second = entropy.bytes(size), entropy.bytes(size)
    assert len(first) == len(second) == size
    if size >= 32:
        assert first != second


def test_fixed_entropy_is_the_same_in_every_run() -> None:
    assert FixedEntropy("a").bytes(8) == FixedEntropy("a").bytes(8) != FixedEntropy("b").bytes(8)
    assert FixedEntropy().bytes(4).hex() == "e57599c6"
