"""Nothing has become several times as slow: the bars of the benchmarks, three times as wide.

Ratios of CPU time within one run, of sets small enough for every run of the tests.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from bench.bars import BARS
from bench.baseline import decode_page
from bench.measure import Figures, cost, ratio, rounds
from bench.reports import Shape, pages
from bench.rescan import filled, rescanned
from bench.scrape import Town, exposed

LOOSE: Final = 3
ROUNDS: Final = 3
SHAPE: Final = Shape.of(1_500)


def limit(benchmark: str, figure: str) -> float:
    """Find the limit of a bar, loosened."""
    (bar,) = (each for each in BARS if (each.benchmark, each.figure) == (benchmark, figure))
    return bar.limit / LOOSE if bar.at_least else bar.limit * LOOSE


def costs(work: Callable[[], object], than: Callable[[], object]) -> float:
    """Say how many times the CPU time of the one the other takes."""

    def once(each: Callable[[], object]) -> Figures:
        return cost("work", each)

    above, below = rounds(ROUNDS, partial(once, work), partial(once, than))
    return ratio(above, below, "work_cpu_ms")


def run_out(pieces: Iterable[object]) -> None:
    for _ in pieces:
        pass


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    return list(pages(SHAPE))


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(9_000)


def test_state_and_all_a_list_costs_little_more_than_decoding_it(bodies: list[bytes]) -> None:
    measured = costs(lambda: filled(bodies), lambda: run_out(map(decode_page, bodies)))
    assert measured <= limit("sync", "sync / decode")


def test_a_rescan_costs_little_more_than_decoding_it(bodies: list[bytes]) -> None:
    figures = rescanned(filled(bodies), SHAPE, SHAPE.reports)
    assert figures["applied_us"] / figures["decode_us"] <= limit("rescan", "rescan / decode")


def test_rendering_costs_little_more_than_copying_what_was_rendered(town: Town) -> None:
    body = b"".join(town.render())
    measured = costs(lambda: run_out(town.render()), lambda: bytearray(body))
    assert measured <= limit("scrape", "render / memcpy")


def test_prometheus_client_renders_the_same_many_times_as_slowly(town: Town) -> None:
    registry = CollectorRegistry()
    registry.register(exposed(b"".join(town.render())))
    measured = costs(lambda: generate_latest(registry), lambda: run_out(town.render()))
    assert measured >= limit("scrape", "prometheus-client / http")
