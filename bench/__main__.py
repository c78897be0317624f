"""``python -m bench [--full]``: print a table, and JSON behind it."""

import argparse
import json
import os
import platform

from bench.measure import Figures
from bench.page import compare_page
from bench.reports import Shape
from bench.scrape import compare_scrape
from bench.sync import compare_parallel, compare_rescan, compare_sync


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--full", action="store_true", help="100,000 reports, three rounds")
    full = parser.parse_args().full
    shape = Shape(reports=100_000 if full else 20_000)
    found: dict[str, Figures] = {}
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {shape.reports} reports\n")
    for name, figures in compare_sync(shape, 3 if full else 1):
        found[f"sync: {name}"] = figures
        _show(f"sync: {name}", figures)
    found["ratios"] = _ratios(found)
    found["rescan"] = compare_rescan(shape._replace(reports=shape.reports // 5), 5_000)
    _show("rescan", found["rescan"])
    found["ratios"]["rescan / decode"] = (
        found["rescan"]["applied_us"] / found["rescan"]["decode_us"]
    )
    found["slow server"] = compare_parallel(shape._replace(reports=20_000), 70e-6)
    _show("slow server", found["slow server"])
    found["scrape"] = compare_scrape(100_000)
    _show("scrape", found["scrape"])
    found["page"] = compare_page(shape)
    _show("page", found["page"])
    found["ratios"]["render / memcpy"] = found["scrape"]["render_ms"] / found["scrape"]["memcpy_ms"]
    found["ratios"]["prometheus-client / render"] = (
        found["scrape"]["client_ms"] / found["scrape"]["render_ms"]
    )
    _show("ratios", found["ratios"])
    print("\n" + json.dumps(found))


def _ratios(found: dict[str, Figures]) -> Figures:
    decode = found["sync: decode, discard"]["seconds"]
    return {"sync / decode": found["sync: sync"]["seconds"] / decode}


def _show(name: str, figures: Figures) -> None:
    cells = "  ".join(f"{key} {value:,.2f}" for key, value in figures.items())
    print(f"{name:24} {cells}", flush=True)


if __name__ == "__main__":
    main()
