"""What more reports cost, from thousands to a million: the real command, memory and CPU time."""

import time
from collections.abc import Sequence

from bench.command import exporting
from bench.measure import Figures
from bench.reports import Shape
from bench.scraper import Scraper
from bench.server import Load, serving


def compare(shapes: Sequence[tuple[str, Shape]]) -> dict[str, Figures]:
    """Sync each set, settle, scrape."""
    return {name: grown(shape) for name, shape in shapes}


def grown(shape: Shape) -> Figures:
    """Sync one set; the server makes pages as they are asked for, so that it stays small."""
    with serving(Load(shape, beforehand=False)) as api, exporting(api) as command:
        ready = command.ready()
        synced, spent = command.peak_mb, command.cpu_seconds
        scraper = Scraper(f"{command.url}/metrics", command.pid)
        first, second = scraper.scrape(), scraper.scrape()
        time.sleep(1)
        return {
            "ready_seconds": ready,
            "cpu_seconds": spent,
            "cpu_us_a_report": spent / shape.reports * 1e6,
            "peak_mb": synced,
            "peak_with_scrapes_mb": command.peak_mb,
            "settled_mb": command.resident_mb,
            "series": sum(command.values("policyreport_exporter_series")),
            "first_scrape_ms": first.seconds * 1e3,
            "scrape_ms": second.seconds * 1e3,
            "scrape_ms, alone": second.alone_ms,
            "scrape_kb": second.size / 1e3,
        }


def adversarial(reports: int) -> Shape:
    """Give small namespaces in which four of five reports have an outcome that no other has."""
    return Shape(reports, namespaces=max(reports // 50, 1), distinct=0.65)


def distinct(reports: int) -> Shape:
    """Give such a share of outcomes in namespaces of the usual size."""
    return Shape.of(reports)._replace(distinct=0.8)
