"""What Kyverno would write about Pods, and a naive count of it."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from exporter.model.resource import REPORTS
from exporter.simulator import kyverno
from exporter.simulator.checks import BASELINE, LABELS, REGISTRIES
from exporter.simulator.kyverno import ReportTarget

Object = dict[str, Any]
Sums = Counter[tuple[str, str, str]]

CHECKED = (BASELINE, REGISTRIES, LABELS)
SCANNED_AT = 1_795_435_200.0


def pod_report(namespace: str, name: str, *failing: str) -> Object:
    """Write the report on a Pod that fails some policies and passes the others."""
    target = ReportTarget("Pod", namespace, name, f"{namespace}-{name}")
    return _report(target, failing)


def namespace_report(name: str, *failing: str) -> Object:
    """Write the report on a Namespace, which has none of its own."""
    return _report(ReportTarget("Namespace", "", name, f"namespace-{name}"), failing)


def as_open_report(report: Object) -> Object:
    """Write a report the way of openreports.io."""
    return report | {"apiVersion": REPORTS.api_version, "kind": REPORTS.kind}


def _report(target: ReportTarget, failing: Iterable[str]) -> Object:
    failed = frozenset(failing)
    results = [
        kyverno.result(c, "fail" if c.policy in failed else "pass", target, SCANNED_AT)
        for c in CHECKED
    ]
    return kyverno.report(target, results)


def sums(reports: Iterable[Object]) -> Sums:
    """Add up summaries by namespace and kind of the resource and result, zeros left out."""
    found: Sums = Counter()
    for report in reports:
        namespace = report["metadata"].get("namespace", "")
        for result, count in report["summary"].items():
            found[namespace, report["scope"]["kind"], result] += count
    return +found
