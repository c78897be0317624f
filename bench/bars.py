"""What the figures are held against, and whether they meet it."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from bench.measure import Figures

Found = dict[str, dict[str, Figures]]
"""Figures by benchmark, by what was measured, by name."""


class Bar(NamedTuple):
    """One limit: at most, or with ``at_least`` no less.

    The figure stands in a row of a benchmark. Where ``slack`` names another figure, of the same
    row, the limit is higher by that: what the look itself takes, or what is chance.
    """

    what: str
    limit: float
    benchmark: str
    row: str
    figure: str
    at_least: bool = False
    slack: str = ""

    def value(self, figures: Figures) -> tuple[float, float] | None:
        """Give what was measured and the limit; None where it was not."""
        if self.figure not in figures:
            return None
        return figures[self.figure], self.limit + figures.get(self.slack, 0.0)


class Verdict(NamedTuple):
    """A bar beside what was measured by the clock, and with a core to itself, where that was."""

    bar: Bar
    limit: float
    value: float | None
    alone: float | None
    met: str


_RATES: Final = "2,000 a second"
BARS: Final = (
    Bar("sync / typed decode", 2.0, "sync", "ratios", "sync / decode"),
    Bar("sync / typed decode, over TLS", 2.2, "sync over TLS", "ratios", "sync / decode"),
    Bar("kubernetes' dicts / sync", 4.0, "sync", "ratios", "dicts / sync", at_least=True),
    Bar("peak of 100,000 reports, MB", 110, "growth", "100,000", "peak_mb"),
    Bar("peak of 1,000,000 reports, MB", 450, "growth", "1,000,000", "peak_mb"),
    Bar("peak of 100,000 distinct reports, MB", 180, "growth", "100,000 distinct", "peak_mb"),
    Bar(
        "growth in an hour of churn, MB",
        0,
        "endurance",
        "hours",
        "slope_mb_an_hour",
        slack="noise_mb_an_hour",
    ),
    Bar("scrape: rendering / memcpy", 10, "scrape", "ratios", "render / memcpy"),
    Bar(
        "scrape: prometheus-client / HTTP with gzip",
        12,
        "scrape",
        "ratios",
        "prometheus-client / http",
        at_least=True,
    ),
    Bar("scrape: longest hold of the loop, ms", 10, "scrape", "scrape", "longest_hold_ms"),
    Bar(
        "scrapes during the first sync, p99, ms",
        50,
        "first sync",
        "scraped",
        "scrape_p99_ms",
    ),
    Bar("scrapes during the first sync, unanswered", 0, "first sync", "scraped", "unanswered"),
    Bar("rescan / typed decode", 1.2, "rescan", "ratios", "rescan / decode"),
    Bar("2,000 changes a second: lost", 0, "churn", _RATES, "lost"),
    Bar(
        "2,000 changes a second: visible, p99, ms",
        10,
        "churn",
        _RATES,
        "visible_p99_ms",
    ),
    Bar("2,000 changes a second: CPU, % of a core", 25, "churn", _RATES, "cpu_percent"),
    Bar("2,000 changes a second: growth, MB", 20, "churn", _RATES, "grown_mb"),
    Bar("burst of Events: lost", 0, "bursts", "in memory", "lost"),
    Bar("burst of Events with --state.dir: lost", 0, "bursts", "--state.dir", "lost"),
    Bar(
        "2,000 Events a second, commits each second: shown after, ms",
        1_000,
        "bursts",
        "--state.dir, steady",
        "shown_after_last_ms",
        slack="look_ms",
    ),
    *(
        Bar(f"journal of 2,000 {row} a second: more cores", 0.1, benchmark, row, "cores_more")
        for benchmark, served in (("journal", ""), ("journal, served", ", served"))
        for what in ("Events", "failures")
        for row in (f"{what}{served}", f"{what}{served}, --state.dir")
    ),
    Bar(
        "four lists / one list, slow server", 0.4, "slow server", "ratios", "four lists / one list"
    ),
    Bar("snapshot from the API / sync", 2.0, "snapshot", "ratios", "API / sync"),
    Bar("snapshot from a file / sync", 3.0, "snapshot", "ratios", "file / sync"),
    Bar("snapshot from a file: peak, MB", 250, "snapshot", "from a file", "peak_mb"),
    Bar("idle: CPU, % of a core", 1, "idle", "idle", "cpu_percent"),
    Bar("start: CPU until the port answers, s", 0.2, "start", "serve", "cpu_seconds"),
    Bar("20 reports: CPU of a scrape, ms", 3, "light", "20 reports", "scrape_cpu_ms"),
    Bar("20 reports: the exporter's own families, kB", 25, "light", "20 reports", "own_kb"),
    Bar("20 reports, idle: CPU, % of a core", 0.05, "light", "20 reports", "idle_cpu_percent"),
    Bar("20 reports, idle: memory, MB", 45, "light", "20 reports", "settled_mb"),
)


def judged(found: Mapping[str, Mapping[str, Figures]]) -> Iterator[Verdict]:
    """Hold the figures against the bars.

    A busy machine stretches clock time: where only the ratio of CPU times, or the time without
    waiting for a core, meets the bar, the verdict says so.
    """
    for bar in BARS:
        figures = found.get(bar.benchmark, {}).get(bar.row, {})
        measured = bar.value(figures)
        alone = figures.get(f"{bar.figure}, cpu", figures.get(f"{bar.figure}, alone"))
        if measured is None:
            met = "not run"
            if alone is not None:
                met = "met with a core to itself" if _meets(bar, alone, bar.limit) else "not met"
            yield Verdict(bar, bar.limit, None, alone, met)
            continue
        value, limit = measured
        met = "met" if _meets(bar, value, limit) else "not met"
        if met == "not met" and alone is not None and _meets(bar, alone, limit):
            met = "met with a core to itself"
        yield Verdict(bar, limit, value, alone, met)


def _meets(bar: Bar, value: float, limit: float) -> bool:
    return value >= limit if bar.at_least else value <= limit
