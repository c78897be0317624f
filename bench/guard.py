"""A few ratios of small sets, in CPU time: what every run of the tests can afford to look at."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from bench.baseline import decode_page
from bench.measure import Figures, cost, ratio, rounds
from bench.reports import Shape, pages
from bench.rescan import filled, rescanned
from bench.scrape import Town, exposed
from exporter.app.memory import prepare_for_sync

ROUNDS: Final = 3
SHAPE: Final = Shape.of(1_500)
SERIES: Final = 9_000


def ratios() -> Figures:
    """Measure in this process, which must be one of its own: a tracer would be measured too."""
    prepare_for_sync()
    bodies, town = list(pages(SHAPE)), Town(SERIES)
    body = b"".join(town.render())
    registry = CollectorRegistry()
    registry.register(exposed(body))
    rescan = rescanned(filled(bodies), SHAPE, SHAPE.reports)
    return {
        "sync": _costs(lambda: filled(bodies), lambda: _run_out(map(decode_page, bodies))),
        "rescan": rescan["applied_us"] / rescan["decode_us"],
        "render": _costs(lambda: _run_out(town.render()), lambda: bytearray(body)),
        "client": _costs(lambda: generate_latest(registry), lambda: _run_out(town.render())),
    }


def _costs(work: Callable[[], object], than: Callable[[], object]) -> float:
    """Say how many times the CPU time of the one the other takes."""

    def once(each: Callable[[], object]) -> Figures:
        return cost("work", each)

    above, below = rounds(ROUNDS, partial(once, work), partial(once, than))
    return ratio(above, below, "work_cpu_ms")


def _run_out(pieces: Iterable[object]) -> None:
    for _ in pieces:
        pass
