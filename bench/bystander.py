"""``python -m bench.bystander``: how late a process is that does nothing else, until stdin ends.

What a busy machine adds to every latency of a run.
"""

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.command import ROOT
from bench.measure import Figures, percentile

_EVERY_SECONDS: Final = 0.005


@contextmanager
def bystanding() -> Iterator[Figures]:
    """Watch the machine while the block runs; the figures are filled in at its end."""
    words = [sys.executable, "-m", "bench.bystander"]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    figures: Figures = {}
    try:
        yield figures
        out, _ = process.communicate(timeout=30)
        late = json.loads(out)
        figures["bystander_p99_ms"] = percentile(late, 0.99) * 1e3
    finally:
        process.kill()
        process.communicate()


def _late() -> list[float]:
    late: list[float] = []
    while True:
        due = time.perf_counter() + _EVERY_SECONDS
        if select.select([sys.stdin], [], [], _EVERY_SECONDS)[0]:
            return late
        late.append(max(time.perf_counter() - due, 0.0))


if __name__ == "__main__":
    print(json.dumps(_late()))
