"""A small cluster to alert about: its state, fed with reports, Events, policies, namespaces."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from exporter.model.changes import Applied, Deleted, Object, Scope
from exporter.model.event import Event
from exporter.model.metadata import CreatedMetadata, LabelledMetadata, Metadata, Namespace
from exporter.model.policy import Policy, PolicyMetadata, Spec
from exporter.model.report import Instant, Reference, Report, Result
from exporter.model.resource import CLUSTER_POLICIES, EVENTS, NAMESPACES, POLICY_REPORTS, Resource
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection

START = 1_800_000_000.0


def failing(
    policy: str = "require-labels",
    rule: str = "check-team",
    *,
    severity: str = "high",
    message: str = "validation error: team is required",
    since: float = START - 600,
    result: str = "fail",
) -> Result:
    return Result(policy, rule, result, severity, "", "kyverno", message, Instant(int(since)), None)


class Cluster:
    """*clock* is the wall clock, ``START`` for ever unless given."""

    def __init__(
        self, namespace_labels: tuple[str, ...] = (), clock: Callable[[], float] = lambda: START
    ) -> None:
        self.clock = clock
        self.state = ClusterState(Selection(), clock, namespace_labels=namespace_labels)
        self.events = 0

    def _apply(self, resource: Resource, item: Object) -> None:
        self.state.apply(Applied(Scope(resource), item))

    def report(
        self, name: str, *results: Result, namespace: str = "team-a", kind: str = "Deployment"
    ) -> None:
        """Let a resource have a report."""
        uid = f"uid-{kind}-{name}"
        about = Reference(kind, name, namespace, uid)
        item = Report.of(Metadata(uid, namespace), about, None, results)
        self._apply(POLICY_REPORTS, item)

    def remove(self, name: str, *, namespace: str = "team-a", kind: str = "Deployment") -> None:
        """Delete a resource and its report."""
        item = Report(Metadata(f"uid-{kind}-{name}", namespace))
        self.state.apply(Deleted(Scope(POLICY_REPORTS), item))

    def block(
        self,
        name: str,
        *,
        namespace: str = "team-a",
        kind: str = "Pod",
        policy: str = "require-labels",
        ago: float = 0.0,
    ) -> None:
        """Let Kyverno refuse a request."""
        self.events += 1
        when = datetime.fromtimestamp(self.clock() - ago, UTC).isoformat(timespec="microseconds")
        event = Event(
            CreatedMetadata(
                f"{policy}.{self.events}", "default", resource_version=str(self.events)
            ),
            reason="PolicyViolation",
            action="Resource Blocked",
            event_time=when,
            reporting_controller="kyverno-admission",
            regarding=Reference("ClusterPolicy", policy),
            related=Reference(kind, name, namespace),
            note=f"{kind} {namespace}/{name}: [check-team] fail (blocked); team is required",
        )
        self._apply(EVENTS, event)

    def policy(self, name: str, *, mode: str = "Audit", severity: str = "high") -> None:
        """Let the cluster have a policy."""
        annotations = {
            "policies.kyverno.io/severity": severity,
            "policies.kyverno.io/title": "Require labels",
        }
        metadata = PolicyMetadata(name, annotations=annotations)
        rules = [{"validate": {"failureAction": mode}}]
        spec = msgspec.convert({"rules": rules}, Spec)
        self._apply(CLUSTER_POLICIES, Policy(metadata, "ClusterPolicy", spec))

    def namespace(self, name: str, **labels: str) -> None:
        """Let the cluster have a namespace."""
        self._apply(NAMESPACES, Namespace(LabelledMetadata(name, labels=labels)))

    def remove_namespace(self, name: str) -> None:
        item = Namespace(LabelledMetadata(name))
        self.state.apply(Deleted(Scope(NAMESPACES), item))
