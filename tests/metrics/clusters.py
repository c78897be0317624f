"""Small states to expose."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.event import Event
from exporter.model.metadata import Metadata, Namespace
from exporter.model.policy import Policy
from exporter.model.report import Instant, Reference, Report, Result, Summary
from exporter.model.resource import CLUSTER_POLICIES, EVENTS, NAMESPACES, POLICY_REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection

NOW = 1_800_000_000.0
REPORTS = Scope(POLICY_REPORTS)
ALL_EVENTS = Scope(EVENTS)


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def report(
    name: str,
    words: Iterable[str],
    *,
    namespace: str = "team-a",
    policy: str = "p",
    severity: str = "",
) -> Report:
    """A report on a Pod; a word for each policy p0, p1, ..."""
    results = [
        Result(
            f"{policy}{i}",
            "r",
            word,
            source="kyverno",
            timestamp=Instant(int(NOW) - 60),
            severity=severity,
        )
        for i, word in enumerate(words)
    ]
    scope = Reference("Pod", f"pod-{name}", namespace, name)
    summary = Summary(
        pass_=sum(r.result == "pass" for r in results),
        fail=sum(r.result == "fail" for r in results),
    )
    return Report.of(Metadata(name, namespace), scope, summary, results)


def block(number: int, at: float = NOW, version: str = "5", **changes: Any) -> Event:
    wire: dict[str, Any] = {
        "metadata": {"name": f"p.{number}", "namespace": "default", "resourceVersion": version},
        "eventTime": datetime.fromtimestamp(at, UTC).isoformat(),
        "reportingController": "kyverno-admission",
        "action": "Resource Blocked",
        "reason": "PolicyViolation",
        "regarding": {"kind": "ClusterPolicy", "name": "p"},
        "related": {"kind": "Pod", "namespace": "team-a", "name": f"web-{number}"},
        "note": f"Pod team-a/web-{number}: [r] fail (blocked); no",
    }
    return msgspec.convert(wire | changes, Event)


def policy(name: str = "p", **annotations: str) -> Policy:
    spec = {"validationFailureAction": "Enforce", "rules": [{"name": "r", "validate": {}}]}
    notes = {f"policies.kyverno.io/{key}": value for key, value in annotations.items()}
    metadata = {"name": name, "annotations": notes, "creationTimestamp": "2026-01-01T00:00:00Z"}
    wire = {"metadata": metadata, "kind": "ClusterPolicy", "spec": spec}
    return msgspec.convert(wire, Policy)


def namespace(name: str, **labels: str) -> Namespace:
    return msgspec.convert({"metadata": {"name": name, "labels": labels}}, Namespace)


def listed(state: ClusterState, scope: Scope, *objects: Any) -> None:
    state.apply(Init(scope))
    for each in objects:
        state.apply(Applied(scope, each))
    state.apply(InitDone(scope))


def sample(clock: Clock | None = None, **settings: Any) -> ClusterState:
    """Two reports, a policy, a namespace, and one request blocked after the first list."""
    state = ClusterState(Selection(), clock or Clock(), **settings)
    listed(state, Scope(CLUSTER_POLICIES), policy(severity="high", category="Best Practices"))
    listed(state, Scope(NAMESPACES), namespace("team-a", team="shop"))
    listed(
        state,
        REPORTS,
        report("u1", ["pass", "fail"], severity="high"),
        report("u2", ["pass", "skip"]),
    )
    listed(state, ALL_EVENTS, block(0))
    state.apply(Applied(ALL_EVENTS, block(1)))
    return state
