"""The real command's life: its start, its first sync while it is scraped, its idle hours."""

import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from bench.bystander import bystanding
from bench.command import PROGRAM, ROOT, exporting
from bench.measure import Figures, medians, percentile, rounds
from bench.reports import Shape
from bench.scraper import scraping
from bench.server import Load, serving

SCRAPE_SECONDS: Final = 15.0


def start(times: int) -> dict[str, Figures]:
    """Start it: until it answers, until ready with nothing to list; beside Python alone."""
    with serving(Load(Shape.of(1))) as api:

        def served() -> Figures:
            with exporting(api) as command:
                listening = time.monotonic() - command.began
                return {"seconds": listening, "ready_seconds": command.ready()}

        plain, imports, version, serve = rounds(
            times,
            partial(_ran, [sys.executable, "-c", ""]),
            partial(_ran, [sys.executable, "-c", "import aiohttp, msgspec, prometheus_client"]),
            partial(_ran, [*PROGRAM, "--version"]),
            served,
        )
    return {
        "python alone": medians(plain),
        "imports of libraries": medians(imports),
        "--version": medians(version),
        "serve": medians(serve),
    }


def _ran(words: Sequence[str]) -> Figures:
    began = time.perf_counter()
    subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return {"seconds": time.perf_counter() - began}


def first_sync(shape: Shape) -> dict[str, Figures]:
    """Scrape ten times a second from its start until it is ready."""
    with serving(Load(shape)) as api, bystanding() as late, exporting(api) as command:
        with scraping(f"{command.url}/metrics", command.pid, 0.1) as scrapes:
            ready = command.ready()
        lag = max(command.values("policyreport_exporter_event_loop_lag_seconds"))
    # The last ones may have been of all the series.
    taken = [each.seconds * 1e3 for each in scrapes[:-2]]
    alone = [each.alone_ms for each in scrapes[:-2]]
    return {
        "scraped": {
            "ready_seconds": ready,
            "scrapes": len(taken),
            "unanswered": sum(each.status not in (200, 503) for each in scrapes),
            "scrape_p50_ms": percentile(taken, 0.5),
            "scrape_p99_ms": percentile(taken, 0.99),
            "scrape_p99_ms, alone": percentile(alone, 0.99),
            "scrape_max_ms": max(taken),
            "lag_max_ms": lag * 1e3,
            **late,
        }
    }


def idle(shape: Shape, seconds: float) -> dict[str, Figures]:
    """Leave it alone but for a scrape each 15 seconds."""
    with serving(Load(shape)) as api, exporting(api) as command:
        command.ready()
        command.get("/metrics")
        spent, began, before = command.cpu_seconds, time.monotonic(), command.resident_mb
        with scraping(f"{command.url}/metrics", command.pid, SCRAPE_SECONDS) as scrapes:
            time.sleep(seconds)
        used = command.cpu_seconds - spent
        return {
            "idle": {
                "reports": shape.reports,
                "seconds": time.monotonic() - began,
                "scrapes": len(scrapes),
                "scrape_kb": max(each.size for each in scrapes) / 1e3,
                "cpu_percent": used / (time.monotonic() - began) * 100,
                "grown_mb": command.resident_mb - before,
            }
        }
