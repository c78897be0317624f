"""An hour of churn, compressed: memory must not grow."""

import statistics
from typing import Final

from bench.command import exporting
from bench.measure import Figures
from bench.reports import Shape
from bench.scraper import Scraper
from bench.server import Load, serving
from exporter.model.resource import EVENTS, POLICY_REPORTS

_SETTLED: Final = 50
"""After so many minutes what is remembered of Events and findings has its bounded size."""

MINUTES: Final = _SETTLED + 60


def compare(shape: Shape, changes_a_minute: int, events_a_minute: int) -> dict[str, Figures]:
    """Send an hour's changes minute by minute, as fast as they go, with a scrape after each.

    Events are deleted after two minutes: an hour of them, as in a cluster, would look like growth.
    """
    kept = 2 * events_a_minute
    with serving(Load(shape, events_kept=kept)) as api, exporting(api) as command:
        command.ready()
        scraper, resident = Scraper(f"{command.url}/metrics", command.pid), list[float]()
        for _ in range(MINUTES):
            api.flow(POLICY_REPORTS.plural, changes_a_minute)
            api.flow(EVENTS.plural, 2 * events_a_minute)  # each is deleted, too
            scraper.scrape()
            resident.append(command.resident_mb)
    slope, noise = _trend(resident[_SETTLED:])
    return {
        "hour": {
            "changes": MINUTES * changes_a_minute,
            "events": MINUTES * events_a_minute,
            "first_mb": resident[0],
            "settled_mb": resident[_SETTLED],
            "last_mb": resident[-1],
            "slope_mb_an_hour": slope * 60,
            "noise_mb_an_hour": noise * 60,
        }
    }


def _trend(values: list[float]) -> tuple[float, float]:
    """Give the slope of a line through the values, and what it may be by chance (two sigma)."""
    at = range(len(values))
    line = statistics.linear_regression(at, values)
    rest = [y - line.slope * x - line.intercept for x, y in zip(at, values, strict=True)]
    spread = statistics.pstdev(at) * len(values) ** 0.5
    return line.slope, 2 * statistics.pstdev(rest) / spread
