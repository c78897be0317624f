"""Run something in a fresh process, several times; say what it took."""

import asyncio
import gc
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

Figures = dict[str, float]


def fresh(run: Callable[..., Figures], *arguments: object) -> Figures:
    """Run in a new process; adds ``peak_mb``, the most memory that it had resident."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_child, args=(run, arguments, there), daemon=True)
    process.start()
    there.close()
    try:
        figures: Figures = here.recv()
    finally:
        process.join(5)
        if process.is_alive():
            process.terminate()
    return figures


def _child(run: Callable[..., Figures], arguments: tuple[object, ...], pipe: Connection) -> None:
    pipe.send(run(*arguments) | {"peak_mb": memory_mb()["VmHWM"]})


def memory_mb(pid: int | str = "self") -> Figures:
    """Read what a process has resident now (VmRSS) and had at most (VmHWM), in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if line.startswith(("VmHWM:", "VmRSS:")))
    return {name: int(rest.split()[0]) / 1024 for name, rest in pairs}


class Waiting:
    """How long a process's main thread stood ready and had no core: other processes' doing."""

    def __init__(self, pid: int | str = "self") -> None:
        self._file = os.open(f"/proc/{pid}/schedstat", os.O_RDONLY)

    def seconds(self) -> float:
        """Read the time so far."""
        return int(os.pread(self._file, 100, 0).split()[1]) / 1e9


def cpu_seconds(pid: int) -> float:
    """Read how much CPU time another process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_seconds(pid: int) -> float:
    """Read how long all threads of a process ran so far: as CPU time, to the nanosecond."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


@contextmanager
def timed() -> Iterator[Figures]:
    """Fill in, at the end of the block, the seconds and the CPU seconds that it took."""
    figures: Figures = {}
    gc.collect()
    began, spent = time.perf_counter(), time.process_time()
    yield figures
    figures["seconds"] = time.perf_counter() - began
    figures["cpu_seconds"] = time.process_time() - spent


def rounds(count: int, *runs: Callable[[], Figures]) -> list[list[Figures]]:
    """Interleave several runs round by round; give the figures of each run's rounds."""
    taken: list[list[Figures]] = [[] for _ in runs]
    for _ in range(count):
        for figures, run in zip(taken, runs, strict=True):
            figures.append(run())
    return taken


def medians(taken: Sequence[Figures]) -> Figures:
    """Give the median of each figure over rounds."""
    return {name: statistics.median(f[name] for f in taken) for name in taken[0]}


def ratio(above: Sequence[Figures], below: Sequence[Figures], name: str) -> float:
    """Give the median of the ratios of each round: what slows one slows the other."""
    pairs = zip(above, below, strict=True)
    return statistics.median(a[name] / b[name] for a, b in pairs)


def cost(name: str, work: Callable[[], object]) -> Figures:
    """Do it once; give its milliseconds by the clock and of CPU time."""
    with timed() as figures:
        work()
    return {
        f"{name}_ms": figures["seconds"] * 1e3,
        f"{name}_cpu_ms": figures["cpu_seconds"] * 1e3,
    }


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value that *share* of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


class Lag:
    """How late the event loop is: asked every *every_seconds*, in seconds."""

    def __init__(self, every_seconds: float) -> None:
        self.delays: list[float] = []
        self._every = every_seconds

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.perf_counter() + self._every
            await asyncio.sleep(self._every)
            self.delays.append(max(time.perf_counter() - due, 0.0))


class Held:
    """How long one turn of the event loop computes, in CPU seconds: never waits, so measure short.

    A busy machine makes turns longer, but not the CPU time in them.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, last = max(self.longest, now - last), now
