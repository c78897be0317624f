"""What one load of a dashboard costs Prometheus: ``python -m bench.dashboards``.

Writes the series that an exporter of a large cluster shows, and what the recording rules make of
them, into a Prometheus that scrapes nothing; then asks every query of each dashboard as Grafana
does on opening, and reports the CPU time that Prometheus used. ``--boards DIR`` measures other
dashboards, for instance those of an earlier version.
"""

import argparse
import json
import os
import statistics
import struct
import time
import urllib.request
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from grafana import classic
from grafana.dashboards import promql
from grafana.render.queries import Client, range_of, values
from tests.servers import Prometheus, prometheus

NAMESPACES, POLICIES = 500, 25
KINDS: Final = ("Deployment", "Pod", "ReplicaSet")
SEVERITIES: Final = ("critical", "high", "medium", "low", "none")
STEP: Final = 60
BATCH: Final = 5000
TICKS: Final = os.sysconf("SC_CLK_TCK")


class Series(NamedTuple):
    """A series of one value, which may grow by one at a moment: a share of the time, 0 to 1."""

    name: str
    labels: dict[str, str]
    value: float
    grows: float = 2.0
    sparse: bool = False


def cluster() -> Iterator[Series]:
    """Return what the exporter of a cluster shows, 124,500 series, and what is recorded of it."""
    for number in range(NAMESPACES):
        where = {"namespace": f"namespace-{number:03}", "team": f"team-{number % 20}"}
        for policy in range(POLICIES):
            fails = (number * 7 + policy * 13) % 20 < 3
            yield from _of_policy(where, policy, fails=fails, grows=((number + policy) % 100) / 50)
        yield from _of_namespace(where)
    own = {"instance": "127.0.0.1:10480", "job": "exporter"}
    for resource in ("events.events.k8s.io", "policyreports.wgpolicyk8s.io"):
        yield Series("policyreport_exporter_synced", own | {"resource": resource}, 1)
    for policy in range(POLICIES):
        what = {"policy": f"policy-{policy}", "policy_kind": "ClusterPolicy", "source": "kyverno"}
        mode = ("audit", "enforce")[policy % 2]
        yield Series("policyreport_policy_info", what | {"mode": mode, "title": "A policy"}, 1)
    for severity in SEVERITIES:
        rated = {"severity": severity, "source": "kyverno"}
        yield Series(promql.FLEET_WORKLOADS, rated, 8_000)
        for result, value in (("pass", 90_000), ("fail", 9_000)):
            yield Series(promql.FLEET, rated | {"result": result}, value)


def _of_policy(
    where: dict[str, str], policy: int, *, fails: bool, grows: float
) -> Iterator[Series]:
    severity = SEVERITIES[policy % len(SEVERITIES)]
    rated = where | {"policy": f"policy-{policy}", "severity": severity, "source": "kyverno"}
    full = rated | {"rule": f"rule-{policy}", "category": f"Category {policy % 5}"}
    for result in ("pass", "fail"):
        value = 2.0 if result == "pass" or fails else 0.0
        for kind in KINDS:
            labels = full | {"kind": kind, "controlled": _controlled(kind), "result": result}
            yield Series("policyreport_results", labels, value)
        recorded = rated | {"category": full["category"], "result": result}
        yield Series(promql.BY_POLICY, recorded, 2 * value)
    for family, flow in (("opened", promql.OPENED), ("closed", promql.CLOSED)):
        yield Series(f"policyreport_failures_{family}_total", rated, 3, grows)
        if grows <= 1:
            yield Series(flow, rated, 1, grows, sparse=True)
    if policy < 8:
        what = full | {"policy_kind": "ClusterPolicy", "controller": "admission", "kind": "Pod"}
        yield Series("policyviolation_events_total", what | {"outcome": "blocked"}, 5, grows)
        if grows <= 1:
            one = {k: v for k, v in full.items() if k not in {"source", "category"}}
            yield Series(
                promql.VIOLATED, one | {"kind": "Pod", "outcome": "blocked"}, 1, grows, True
            )
    if fails:
        began = time.time() - 86400
        yield Series(promql.OLDEST, rated, began)
        yield Series(promql.SINCE, rated, began)
        yield Series(promql.UNMET, full | {"result": "fail"}, 4)
        failing = rated | {"workload_kind": "Deployment", "result": "fail"}
        yield Series("policyreport_failing_workloads", failing, 2)
        yield Series(promql.WORKLOADS, failing, 2)
        for name in range(5):
            named = failing | {"rule": full["rule"], "kind": KINDS[name % 3], "name": f"web-{name}"}
            named |= {"workload": f"web-{name % 2}", "controlled": _controlled(named["kind"])}
            yield Series(promql.RESOURCES, named, 1)


def _controlled(kind: str) -> str:
    return str(kind != "Deployment").lower()


def _of_namespace(where: dict[str, str]) -> Iterator[Series]:
    yield Series("policyreport_reports", where | {"group": "wgpolicyk8s.io"}, 40)
    yield Series("policyreport_namespace_info", where, 1)
    for status in ("fail", "pass"):
        for kind in KINDS:
            of_kind = where | {"kind": kind, "controlled": _controlled(kind)}
            yield Series("policyreport_resources", of_kind | {"status": status}, 5)
            yield Series("policyreport_summary", of_kind | {"result": status}, 50)
    for severity in SEVERITIES:
        for result, value in (("pass", 40), ("fail", 8)):
            rated = where | {"severity": severity, "source": "kyverno", "result": result}
            yield Series(promql.STATE, rated, value)


def encoded(series: Iterable[Series], start: int, end: int, whole: range) -> bytes:
    """Return a remote write request with the samples of one stretch of time."""
    parts = []
    for one in series:
        turn = whole.start + int(one.grows * (whole.stop - whole.start)) // STEP * STEP
        samples = _samples(one.value, turn, start, end, one.sparse)
        if samples:
            parts.append(_field(1, _labels(one.name, tuple(one.labels.items())) + samples))
    return b"".join(parts)


@lru_cache(maxsize=300_000)
def _labels(name: str, labels: tuple[tuple[str, str], ...]) -> bytes:
    pairs = sorted([("__name__", name), ("cluster", "large"), *labels])
    return b"".join(_field(1, _field(1, k.encode()) + _field(2, v.encode())) for k, v in pairs)


@lru_cache(maxsize=4096)
def _samples(value: float, turn: int, start: int, end: int, sparse: bool) -> bytes:  # noqa: FBT001
    moments = [t for t in range(start, end, STEP) if not sparse or t == turn]
    return b"".join(
        _field(
            2,
            b"\x09"
            + struct.pack("<d", value + (t >= turn and not sparse))
            + b"\x10"
            + _varint(1000 * t),
        )
        for t in moments
    )


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


def write(server: Prometheus, body: bytes) -> None:
    """Send a request in Snappy's frame without compression: one literal."""
    framed = _varint(len(body)) + b"\xf8" + (len(body) - 1).to_bytes(3, "little") + body
    request = urllib.request.Request(f"{server.url}/api/v1/write", data=framed)
    request.add_header("Content-Encoding", "snappy")
    request.add_header("Content-Type", "application/x-protobuf")
    request.add_header("X-Prometheus-Remote-Write-Version", "0.1.0")
    urllib.request.urlopen(request, timeout=300).close()


def fill(server: Prometheus, hours: float) -> float:
    """Write the history, a quarter of an hour after the other, and return its end."""
    series = list(cluster())
    end = int(time.time()) // STEP * STEP
    whole = range(end - int(hours * 3600), end)
    for start in range(whole.start, end, 900):
        for index in range(0, len(series), BATCH):
            body = encoded(series[index : index + BATCH], start, min(start + 900, end), whole)
            write(server, body)
    raw = sum(":" not in one.name for one in series)
    print(f"{raw} series of the exporter, {len(series) - raw} recorded, {hours:g} hours")
    return end - 1.0


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def load(server: Prometheus, board: classic.Dashboard, end: float, hours: float) -> float:
    """Ask every visible query and return the CPU seconds that they took."""
    window = range_of(board, end, 60, longest=hours * 3600, width=700)
    names = values(list(board.templating.list), {})
    before = cpu(server.process.pid)
    for panel in board.panels:
        for target in panel.targets:
            Client(server.url).ask(target, names, window.stepping(panel.interval))
    return cpu(server.process.pid) - before


def main() -> None:
    """Print one line for each dashboard."""
    parser = argparse.ArgumentParser(prog="bench.dashboards", description=__doc__)
    parser.add_argument("--boards", type=Path, action="append", metavar="DIR")
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    flags = ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=30d"]
    with prometheus("", flags=flags) as server:
        end = fill(server, options.hours)
        for home in options.boards or [Path(__file__).parents[1] / "grafana"]:
            for path in sorted(home.glob("policy-*.json")):
                board = classic.read(json.loads(path.read_text(encoding="utf-8")))
                runs = [load(server, board, end, options.hours) for _ in range(options.runs)]
                print(f"{home}: {board.uid}: {statistics.median(runs):.2f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
