"""Objects as somebody writes them who may write in one namespace and means harm."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from exporter.metrics.exposition import Exposition, ExposureSettings, render
from exporter.model.changes import Applied, Deleted, Init, InitDone, Scope
from exporter.model.metadata import Metadata
from exporter.model.report import Instant, Reference, Report, Result
from exporter.model.resource import CLUSTER_POLICY_REPORTS, EVENTS, POLICY_REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection

NOW: Final = 1_800_000_000
REPORTS: Final = Scope(POLICY_REPORTS)
CLUSTER_REPORTS: Final = Scope(CLUSTER_POLICY_REPORTS)
ALL_EVENTS: Final = Scope(EVENTS)
EVIL: Final = "evil"
PAGE_BYTES: Final = 4096


def resident_bytes() -> int:
    return PAGE_BYTES * int(Path("/proc/self/statm").read_text().split()[1])


def result(
    rule: str = "r", *, policy: str = "p", seconds: int = NOW - 60, about: Reference | None = None
) -> Result:
    return Result(
        policy,
        rule,
        "fail",
        source="kyverno",
        timestamp=Instant(seconds),
        resources=[about] if about else None,
    )


def report(
    name: str,
    results: Iterable[Result],
    *,
    namespace: str = EVIL,
    kind: str = "Pod",
) -> Report:
    """A report as Kyverno writes it, on a resource of some kind."""
    scope = Reference(kind, f"pod-{name}", namespace, name)
    return Report.of(Metadata(name, namespace), scope, None, list(results))


def scattered(name: str, results: Iterable[Result], *, namespace: str = EVIL) -> Report:
    """A report whose results name the resources."""
    return Report.of(Metadata(name, namespace), None, None, list(results))


class Watched:
    """A state whose resources were listed once, empty, and its exposition."""

    def __init__(self, max_series: int = 200_000) -> None:
        self.state = ClusterState(Selection(), lambda: NOW)
        settings = ExposureSettings(birth_hold=0, max_series=max_series)
        self.exposition = Exposition(self.state, settings)
        for scope in (REPORTS, CLUSTER_REPORTS, ALL_EVENTS):
            self.state.apply(Init(scope))
            self.state.apply(InitDone(scope))

    def sees(self, *reports: Report) -> None:
        for each in reports:
            scope = REPORTS if each.namespace else CLUSTER_REPORTS
            self.state.apply(Applied(scope, each))

    def loses(self, *reports: Report) -> None:
        for each in reports:
            scope = REPORTS if each.namespace else CLUSTER_REPORTS
            self.state.apply(Deleted(scope, each))

    def scrape(self, *names: str) -> str:
        shots = self.exposition.take(NOW, lambda _: True, frozenset(names))
        body = b"".join(render(shots, openmetrics=False))
        return body.decode("utf-8")
