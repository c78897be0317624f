"""Violations' Events and policies as they arrive, for the tests of counting."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from exporter.model.changes import Applied, Change, Deleted, Init, InitDone, Scope
from exporter.model.event import Event
from exporter.model.policy import Policy
from exporter.model.resource import CEL_POLICIES, CLUSTER_POLICIES, EVENTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection

NOW: Final = 1_800_000_000.0
SCOPE: Final = Scope(EVENTS)


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(
    name: str = "p.1",
    *,
    seconds: float = NOW - 60,
    version: int = 10,
    pod: str = "web",
    policy: str = "p",
    kind: str = "ClusterPolicy",
    blocked: bool = True,
    **changes: Any,
) -> Event:
    """An Event about a policy as Kyverno 1.12 and later write it."""
    mark = " (blocked)" if blocked else ""
    wire = {
        "metadata": {"name": name, "namespace": "default", "resourceVersion": str(version)},
        "eventTime": at(seconds),
        "reportingController": "kyverno-admission",
        "action": "Resource Blocked" if blocked else "Resource Passed",
        "reason": "PolicyViolation",
        "regarding": {"kind": kind, "name": policy},
        "related": {"kind": "Pod", "namespace": "team-a", "name": pod},
        "note": f"Pod team-a/{pod}: [r] fail{mark}; no",
    }
    return msgspec.convert(wire | changes, Event)


def old_event(
    times: int = 1, *, version: int = 10, last: float = NOW - 30, **changes: Any
) -> Event:
    """An Event as the recorder of Kyverno 1.10 and earlier writes it, and counts it up."""
    counted = {
        "eventTime": None,
        "related": None,
        "deprecatedCount": times,
        "deprecatedFirstTimestamp": at(NOW - 600),
        "deprecatedLastTimestamp": at(last),
    }
    return event(version=version, **(counted | changes))


def cel_policy(name: str, *actions: str, changed: float = NOW - 3600) -> Policy:
    """A ValidatingPolicy whose spec was last written at *changed*."""
    spec = {"validationActions": list(actions)}
    metadata = {"name": name, "managedFields": [{"time": at(changed)}]}
    wire = {"metadata": metadata, "kind": "ValidatingPolicy", "spec": spec}
    return msgspec.convert(wire, Policy)


def cluster_policy(name: str, **annotations: str) -> Policy:
    notes = {f"policies.kyverno.io/{key}": value for key, value in annotations.items()}
    wire = {"metadata": {"name": name, "annotations": notes}, "kind": "ClusterPolicy"}
    return msgspec.convert(wire, Policy)


class Cluster:
    """A state whose Events were listed once, empty."""

    def __init__(self, *, listed: bool = True, **settings: Any) -> None:
        self.clock = Clock()
        selection = settings.pop("selection", None) or Selection()
        self.state = ClusterState(selection, self.clock, **settings)
        self.violation_events = self.state.violation_events
        if listed:
            self.list()

    def apply(self, *changes: Change) -> None:
        for change in changes:
            self.state.apply(change)

    def sees(self, *events: Event) -> None:
        self.apply(*(Applied(SCOPE, each) for each in events))

    def loses(self, *events: Event) -> None:
        self.apply(*(Deleted(SCOPE, each) for each in events))

    def list(self, *events: Event) -> None:
        self.apply(Init(SCOPE), *(Applied(SCOPE, each) for each in events), InitDone(SCOPE))

    def knows(self, policy: Policy) -> None:
        resource = CLUSTER_POLICIES if policy.kind == "ClusterPolicy" else CEL_POLICIES[0]
        self.apply(Applied(Scope(resource), policy))

    @property
    def total(self) -> int:
        return sum(self.violation_events.total.rows.values())

    @property
    def outcomes(self) -> dict[str, int]:
        """Occurrences by outcome."""
        found: dict[str, int] = {}
        for labels, count in self.violation_events.total.rows.items():
            found[labels[5]] = found.get(labels[5], 0) + count
        return found
