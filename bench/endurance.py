"""Hours of churn, compressed: memory must not grow."""

import statistics
from typing import Final

from bench.command import exporting
from bench.measure import Figures
from bench.reports import Shape
from bench.scraper import Scraper
from bench.server import Load, serving
from exporter.model.resource import EVENTS, POLICY_REPORTS

_HOUR: Final = 60
"""Minutes."""

_SERIES: Final = "policyreport_exporter_series"


def compare(
    shape: Shape, changes_a_minute: int, events_a_minute: int, settling: int, hours: int
) -> dict[str, Figures]:
    """Send what changes in an hour minute by minute, as fast as it goes, with a scrape after each.

    *settling* hours come before the *hours* that are measured: what is remembered of Events and
    findings gets its bounded size, and namespaces that begin alike get the mixture of outcomes
    that they keep, with the series of it. Events are deleted after two minutes: an hour of them,
    as in a cluster, would look like growth.

    Memory goes up and down by a megabyte within an hour, more slowly than a line through one hour
    could tell from growth; what the slope may be by chance is told by how the hours differ.
    """
    minutes, kept = (settling + hours) * _HOUR, 2 * events_a_minute
    with serving(Load(shape, events_kept=kept)) as api, exporting(api) as command:
        command.ready()
        scraper = Scraper(f"{command.url}/metrics", command.pid)
        resident, series = list[float](), list[float]()
        for _ in range(minutes):
            api.flow(POLICY_REPORTS.plural, changes_a_minute)
            api.flow(EVENTS.plural, 2 * events_a_minute)  # each is deleted, too
            scraper.scrape()
            resident.append(command.resident_mb)
            if len(resident) % _HOUR == 0:
                series.append(sum(command.values(_SERIES)))
    slope, noise = trend(resident[settling * _HOUR :])
    return {
        "hours": {
            "changes": minutes * changes_a_minute,
            "events": minutes * events_a_minute,
            "hours": hours,
            "first_mb": resident[0],
            "settled_mb": resident[settling * _HOUR],
            "last_mb": resident[-1],
            "settled_series": series[settling - 1],
            "last_series": series[-1],
            "slope_mb_an_hour": slope,
            "noise_mb_an_hour": noise,
        }
    }


def trend(values: list[float]) -> tuple[float, float]:
    """Give by how much values, one a minute, grow in an hour; and two standard errors of that.

    It takes two whole hours at least.
    """
    hours = [values[at : at + _HOUR] for at in range(0, len(values), _HOUR)]
    slopes = [statistics.linear_regression(range(_HOUR), hour).slope * _HOUR for hour in hours]
    return statistics.fmean(slopes), 2 * statistics.stdev(slopes) / len(slopes) ** 0.5
