"""The real command's life: its start, its first sync while it is scraped, its idle hours."""

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from bench.bystander import bystanding
from bench.command import PROGRAM, ROOT, Command, exporting
from bench.measure import Figures, medians, percentile, rounds, run_seconds
from bench.reports import Shape
from bench.scraper import Scraper, scraping
from bench.server import Load, serving
from tests.tools import free_port

SCRAPE_SECONDS: Final = 15.0
LIGHT_REPORTS: Final = 20
_OWN: Final = re.compile(rb"(# (HELP|TYPE) )?(policyreport_exporter|process|python)_")


def start(times: int) -> dict[str, Figures]:
    """Start it: until it answers, until ready with nothing to list; beside Python alone."""
    with serving(Load(Shape.of(1))) as api:

        def served() -> Figures:
            with exporting(api, port=free_port()) as command:
                alive = {"seconds": time.monotonic() - command.began, **_cpu("", command)}
                return alive | {"ready_seconds": command.ready(), **_cpu("ready_", command)}

        plain, imports, version, serve = rounds(
            times,
            partial(_ran, [sys.executable, "-c", ""]),
            partial(_ran, [sys.executable, "-c", "import aiohttp, msgspec, yaml"]),
            partial(_ran, [*PROGRAM, "--version"]),
            served,
        )
    return {
        "python alone": medians(plain),
        "imports of libraries": medians(imports),
        "--version": medians(version),
        "serve": medians(serve),
    }


def _cpu(name: str, command: Command) -> Figures:
    return {f"{name}cpu_seconds": run_seconds(command.pid)}


def light(seconds: float) -> dict[str, Figures]:
    """Have 20 reports: what a scrape and what an idle process cost."""
    with serving(Load(Shape.of(LIGHT_REPORTS))) as api, exporting(api) as command:
        command.ready()
        scraper = Scraper(f"{command.url}/metrics", command.pid)
        scraper.scrape()
        size = scraper.scrape(coding="identity").size
        costs = [_scrapes(scraper, command) for _ in range(5)]
        own = [f for f in _lines(command) if _OWN.match(f)]
        spent, began = run_seconds(command.pid), time.monotonic()
        with scraping(f"{command.url}/metrics", command.pid, SCRAPE_SECONDS):
            time.sleep(seconds)
        used = run_seconds(command.pid) - spent
        return {
            "20 reports": {
                "scrape_cpu_ms": min(costs),
                "scrape_kb": size / 1e3,
                "own_kb": sum(map(len, own)) / 1e3,
                "own_series": sum(not each.startswith(b"#") for each in own),
                "idle_cpu_percent": used / (time.monotonic() - began) * 100,
                "settled_mb": command.resident_mb,
            }
        }


def _scrapes(scraper: Scraper, command: Command, times: int = 50) -> float:
    """Scrape as often; give the CPU time of one, in milliseconds."""
    before = run_seconds(command.pid)
    for _ in range(times):
        scraper.scrape()
    return (run_seconds(command.pid) - before) / times * 1e3


def _lines(command: Command) -> list[bytes]:
    return command.get("/metrics").splitlines(keepends=True)


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
