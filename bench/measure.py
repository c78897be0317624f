"""Run something in a fresh process, several times, and take medians."""

import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

Figures = dict[str, float]
T = TypeVar("T")


def fresh(run: Callable[..., Figures], *arguments: object) -> Figures:
    """Run in a new process; adds ``peak_mb``, the most memory that it had resident."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_child, args=(run, arguments, there), daemon=True)
    process.start()
    try:
        figures: Figures = here.recv()
    finally:
        process.join(5)
        if process.is_alive():
            process.terminate()
    return figures


def _child(run: Callable[..., Figures], arguments: tuple[object, ...], pipe: Connection) -> None:
    pipe.send(run(*arguments) | {"peak_mb": peak_mb()})


def peak_mb() -> float:
    """Read this process's peak of resident memory (VmHWM), in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def rounds(count: int, *runs: Callable[[], Figures]) -> list[Figures]:
    """Interleave several runs round by round; give each one's medians."""
    taken: list[list[Figures]] = [[] for _ in runs]
    for _ in range(count):
        for figures, run in zip(taken, runs, strict=True):
            figures.append(run())
    return [_medians(figures) for figures in taken]


def _medians(figures: list[Figures]) -> Figures:
    return {name: statistics.median(f[name] for f in figures) for name in figures[0]}


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def best(work: Callable[[], object], times: int = 5) -> float:
    """Time several calls and give the median, in seconds."""
    return statistics.median(seconds(work) for _ in range(times))
