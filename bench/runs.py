"""Which benchmarks there are, and how large each is."""

from collections.abc import Callable
from functools import partial
from typing import Final

from bench import (
    bursts,
    churn,
    endurance,
    growth,
    journal,
    life,
    oneoff,
    page,
    rescan,
    scrape,
    sync,
)
from bench.measure import Figures
from bench.reports import Shape

Run = Callable[[], dict[str, Figures]]
WIDE: Final = 300
"""So many series a namespace make 100,000 of them in a third as many namespaces."""


def small() -> dict[str, Run]:
    """Give what takes some minutes in all."""
    shape = Shape.of(20_000)
    return {
        "start": partial(life.start, 1),
        "sync": partial(sync.compare, shape, 3),
        "sync over TLS": partial(sync.compare, shape, 1, tls=True),
        "slow server": partial(sync.compare_slow, shape, 1),
        "first sync": partial(life.first_sync, Shape.of(50_000)),
        "rescan": partial(rescan.compare, shape, 10_000),
        "churn": partial(churn.compare, wide(20_000), (100, 2_000, 5_000), 10.0),
        "bursts": partial(bursts.compare, Shape.of(2_000), 10_000),
        "journal": partial(journal.compare, 20_000, 5),
        "journal, served": partial(journal.compare_served, Shape.of(5_000), 5.0, 2),
        "scrape": partial(scrape.compare, 100_000, 3),
        "page": partial(page.compare, shape),
        "growth": partial(growth.compare, _sizes(1_000, 10_000, 100_000)),
        "endurance": partial(endurance.compare, Shape.of(5_000), 3_000, 500, settling=4, hours=4),
        "snapshot": partial(oneoff.compare, shape, 1),
        "idle": partial(life.idle, shape, 46.0),
        "light": partial(life.light, 46.0),
    }


def full() -> dict[str, Run]:
    """Give the same at full size."""
    shape = Shape.of(100_000)
    return {
        "start": partial(life.start, 5),
        "sync": partial(sync.compare, shape, 5),
        "sync over TLS": partial(sync.compare, shape, 3, tls=True),
        "slow server": partial(sync.compare_slow, shape, 3),
        "first sync": partial(life.first_sync, shape),
        "rescan": partial(rescan.compare, shape, 50_000),
        "churn": partial(churn.compare, wide(100_000), (100, 500, 1_000, 2_000, 5_000), 60.0),
        "bursts": partial(bursts.compare, Shape.of(10_000), 50_000),
        "journal": partial(journal.compare, 100_000, 5),
        "journal, served": partial(journal.compare_served, Shape.of(5_000), 10.0, 5),
        "scrape": partial(scrape.compare, 100_000, 7),
        "page": partial(page.compare, shape),
        "growth": partial(growth.compare, _sizes(1_000, 10_000, 100_000, 300_000, 1_000_000)),
        "endurance": partial(endurance.compare, Shape.of(20_000), 6_000, 500, settling=4, hours=8),
        "snapshot": partial(oneoff.compare, shape, 3),
        "idle": partial(life.idle, shape, 301.0),
        "light": partial(life.light, 301.0),
    }


def wide(reports: int) -> Shape:
    """Give a set that amounts to about 100,000 series."""
    return Shape(reports, namespaces=100_000 // WIDE)


def _sizes(*reports: int) -> list[tuple[str, Shape]]:
    sizes = [(f"{count:,}", Shape.of(count)) for count in reports]
    return [
        *sizes,
        ("100,000 distinct", growth.adversarial(100_000)),
        ("100,000 distinct, 500 a namespace", growth.distinct(100_000)),
    ]
