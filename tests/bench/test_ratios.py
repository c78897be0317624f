"""Nothing has become several times as slow: the bars of the benchmarks, three times as wide.

Ratios of CPU time within one run, of sets small enough for every run of the tests.
"""

from typing import Final

import pytest

from bench import guard, journal
from bench.bars import BARS
from bench.measure import Figures, fresh

LOOSE: Final = 3


@pytest.fixture(scope="module")
def measured() -> Figures:
    return fresh(guard.ratios)


@pytest.fixture(scope="module")
def journals() -> dict[str, Figures]:
    return journal.compare(3_000, 1)


def limit(benchmark: str, figure: str) -> float:
    """Find the limit of a bar, loosened."""
    (bar,) = (each for each in BARS if (each.benchmark, each.figure) == (benchmark, figure))
    return bar.limit / LOOSE if bar.at_least else bar.limit * LOOSE


def test_state_and_all_a_list_costs_little_more_than_decoding_it(measured: Figures) -> None:
    assert measured["sync"] <= limit("sync", "sync / decode")


def test_a_rescan_costs_little_more_than_decoding_it(measured: Figures) -> None:
    assert measured["rescan"] <= limit("rescan", "rescan / decode")


def test_rendering_costs_little_more_than_copying_what_was_rendered(measured: Figures) -> None:
    assert measured["render"] <= limit("scrape", "render / memcpy")


def test_prometheus_client_renders_the_same_many_times_as_slowly(measured: Figures) -> None:
    assert measured["client"] >= limit("scrape", "prometheus-client / http")


@pytest.mark.parametrize("what", ["Events", "failures"])
def test_a_line_for_each_occurrence_costs_a_small_part_of_a_core(
    what: str, journals: dict[str, Figures]
) -> None:
    found = journals[f"{what}, --state.dir"]
    (bar,) = (b for b in BARS if b.benchmark == "journal" and b.row == what)
    assert 0 < found["cores_more"] <= bar.limit * LOOSE
