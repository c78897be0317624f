"""``python -m bench.peers``: this exporter beside others, on a real kube-apiserver.

Opt-in: it needs the control plane that ``make tools`` builds. ``--peer NAME=COMMAND`` adds a
program; in its command ``{kubeconfig}`` and ``{port}`` are filled in, and it must serve /metrics.
"""

import argparse
import asyncio
import gzip
import os
import shlex
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from bench.measure import Figures, medians, rounds
from bench.reports import NOW, Shape, report
from exporter.model.resource import POLICY_REPORTS
from tests.cluster.harness import ControlPlane, control_plane
from tests.tools import Process, free_port, own_directory

OURS: Final = (
    f"{sys.executable} -m exporter serve --kubeconfig={{kubeconfig}} "
    "--web.listen-address=127.0.0.1:{port}"
)
SETTLED_SECONDS: Final = 5
"""A program is in step when its series stayed the same so long, and it took hardly any CPU."""
SETTLED_CPU: Final = 0.05
PATIENCE_SECONDS: Final = 600
SCRAPES: Final = 10
_TICK: Final = os.sysconf("SC_CLK_TCK")
COLUMNS: Final = (
    ("cpu", "CPU of the first sync, s"),
    ("api", "API server's CPU for it, s"),
    ("peak", "peak MB"),
    ("series", "series"),
    ("plain", "kB"),
    ("wire", "kB with gzip"),
    ("scrape", "CPU of a scrape, ms"),
)


class Seen(NamedTuple):
    """A scrape: how many series, and its bytes before and after compression."""

    series: int
    plain: int
    wire: int


def main() -> None:
    """Measure one program after the other, and print a table."""
    parser = argparse.ArgumentParser(prog="bench.peers", description=__doc__)
    parser.add_argument("--reports", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3, help="in turns; the medians are shown")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    asked = parser.parse_args()
    programs = {"this exporter": OURS} | dict(_named(each) for each in asked.peer)
    with control_plane() as plane:
        asyncio.run(_fill(plane, Shape.of(asked.reports)))
        one_list = statistics.median(_one_list(plane) for _ in range(3))
        taken = rounds(asked.rounds, *(partial(_measured, plane, c) for c in programs.values()))
        rows = dict(zip(programs, map(medians, taken), strict=True))
    print(f"{asked.reports:,} reports; one list costs the API server {one_list:.2f} s of CPU\n")
    print("\n".join(_table(rows)))


def _named(peer: str) -> tuple[str, str]:
    name, equals, command = peer.partition("=")
    if not equals:
        sys.exit(f"--peer {peer}: expected NAME=COMMAND")
    return name, command


async def _fill(plane: ControlPlane, shape: Shape) -> None:
    for number in range(shape.namespaces):
        plane.create_namespace(f"namespace-{number:05d}")
    by_namespace: dict[str, list[dict[str, object]]] = {}
    for number in range(shape.reports):
        made = report(shape, number, NOW)
        for name in ("resourceVersion", "uid", "managedFields", "creationTimestamp", "generation"):
            made["metadata"].pop(name, None)
        by_namespace.setdefault(made["metadata"]["namespace"], []).append(made)
    for namespace, reports in by_namespace.items():
        await plane.create_all(POLICY_REPORTS.path(namespace), reports)


def _one_list(plane: ControlPlane) -> float:
    """Return the API server's CPU for one list of everything from memory, as informers ask for."""
    before = _cpu(plane.apiserver.pid)
    plane.kubectl("get", "--raw", f"{POLICY_REPORTS.path('')}?resourceVersion=0")
    return _cpu(plane.apiserver.pid) - before


def _measured(plane: ControlPlane, command: str) -> Figures:
    api, port = plane.apiserver.pid, free_port()
    before = _cpu(api)
    time.sleep(SETTLED_SECONDS)
    idle = (_cpu(api) - before) / SETTLED_SECONDS
    argv = shlex.split(command.format(kubeconfig=plane.kubeconfig, port=port))
    url = f"http://127.0.0.1:{port}/metrics"
    with own_directory() as directory:
        program = Process(argv, cwd=directory, ready=url, env={"PYTHONPATH": str(Path.cwd())})
        began, served = time.monotonic(), _cpu(api)
        program.start()
        try:
            seen, cpu = _in_step(program.pid, url)
            found: Figures = {
                "cpu": cpu,
                "api": _cpu(api) - served - idle * (time.monotonic() - began),
                "peak": _peak_mb(program.pid),
                "series": seen.series,
                "plain": seen.plain / 1e3,
                "wire": seen.wire / 1e3,
            }
            before = _cpu(program.pid)
            for _ in range(SCRAPES):
                _scrape(url)
            found["scrape"] = (_cpu(program.pid) - before) / SCRAPES * 1e3
            return found
        finally:
            program.stop()


def _in_step(pid: int, url: str) -> tuple[Seen, float]:
    """Scrape until nothing changes any more; return what is seen, and the CPU until then."""
    deadline, former = time.monotonic() + PATIENCE_SECONDS, (_scrape(url), _cpu(pid))
    while time.monotonic() < deadline:
        time.sleep(SETTLED_SECONDS)
        cpu = _cpu(pid)
        seen = _scrape(url)
        if seen.series == former[0].series and cpu - former[1] < SETTLED_CPU:
            return seen, cpu
        former = seen, _cpu(pid)
    sys.exit(f"{url}: not in step within {PATIENCE_SECONDS} s")


def _scrape(url: str) -> Seen:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=60) as response:
        body = response.read()
        zipped = response.headers.get("Content-Encoding") == "gzip"
    text = gzip.decompress(body) if zipped else body
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    return Seen(series, len(text), len(body))


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process and its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICK


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def _table(rows: Mapping[str, Figures]) -> Iterator[str]:
    yield f"| | {' | '.join(title for _, title in COLUMNS)} |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for name, found in rows.items():
        yield f"| {name} | {' | '.join(f'{found[key]:,.4g}' for key, _ in COLUMNS)} |"


if __name__ == "__main__":
    main()
