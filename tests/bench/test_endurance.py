"""Growth is told from memory that goes up and down."""

import math

import pytest

from bench.endurance import trend

HOURS = 8


def memory(growth_an_hour: float) -> list[float]:
    """Give megabytes of each minute: waves of 1 MB, of which an hour has no whole number."""
    return [
        100 + growth_an_hour * minute / 60 + math.sin(minute / 25) for minute in range(HOURS * 60)
    ]


def test_what_goes_up_and_down_is_within_what_may_be_chance() -> None:
    slope, noise = trend(memory(0))
    assert 0 < abs(slope) <= noise


def test_growth_is_beyond_what_may_be_chance() -> None:
    slope, noise = trend(memory(2))
    assert slope > noise


@pytest.mark.parametrize("growth", [-1, 0.5])
def test_growth_is_told_for_an_hour(growth: float) -> None:
    line = [growth * minute / 60 for minute in range(HOURS * 60)]
    slope, noise = trend(line)
    assert slope == pytest.approx(growth)
    assert noise == pytest.approx(0)
