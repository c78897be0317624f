"""Every family of /metrics about the cluster: name, type, help, labels, and what fills it.

The catalogue is the contract: docs/metrics.md is generated from it, and dashboards and rules may
use nothing that it does not name.
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from exporter.metrics.series import Join
from exporter.state.cluster import ClusterState
from exporter.state.tally import Counters, Gauge, Tally

FamilyData = Tally | Gauge | Counters
Stability = Literal["stable", "experimental"]
"""Stable families keep name, labels and meaning within a major version; experimental ones may
change in a minor version, with the reason in CHANGELOG.md."""


class Family(NamedTuple):
    """A metric family and the part of the state that fills it.

    ``word`` names the label that distinguishes five-fold counts. ``kinds`` names which of the
    followed resources must have been listed before the family is complete enough to be shown.
    ``join`` is what rows amount to whose labels are dropped or folded.
    """

    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[ClusterState], FamilyData]
    kinds: str
    word: str = ""
    fractional: bool = False
    limit: int | None = None
    join: Join = "sum"
    stability: Stability = "stable"

    @property
    def word_at(self) -> int:
        """The index of the word among the labels."""
        return self.labels.index(self.word)


CATALOGUE: Final = (
    Family(
        "policyreport_results",
        "gauge",
        "Current policy report results. For each current combination of the other labels, pass "
        "and fail are always exposed; warn, error and skip only if they are not 0.",
        (
            "namespace",
            "kind",
            "controlled",
            "policy",
            "rule",
            "result",
            "severity",
            "category",
            "source",
        ),
        lambda state: state.ledger.totals.results,
        "reports",
        word="result",
    ),
    Family(
        "policyreport_summary",
        "gauge",
        "Sum of the summaries of current reports, as kubectl get policyreports prints them.",
        ("namespace", "kind", "controlled", "result"),
        lambda state: state.ledger.totals.summary,
        "reports",
        word="result",
    ),
    Family(
        "policyreport_resources",
        "gauge",
        "Resources with a report, by their worst result: fail, error, warn, pass or skip.",
        ("namespace", "kind", "controlled", "status"),
        lambda state: state.ledger.totals.resources,
        "reports",
        word="status",
    ),
    Family(
        "policyreport_reports",
        "gauge",
        "Report objects by API group.",
        ("namespace", "group"),
        lambda state: state.ledger.reports,
        "reports",
    ),
    Family(
        "policyreport_resource_results",
        "gauge",
        "Failing results by resource.",
        (
            "namespace",
            "kind",
            "name",
            "controlled",
            "workload_kind",
            "workload",
            "policy",
            "rule",
            "result",
            "severity",
            "source",
        ),
        lambda state: state.ledger.failures.resources,
        "reports",
        limit=20_000,
    ),
    Family(
        "policyreport_failing_workloads",
        "gauge",
        "Workloads that fail a policy, or own an object that fails it. Each counts once.",
        ("namespace", "workload_kind", "policy", "result", "severity", "source"),
        lambda state: state.ledger.failures.workloads,
        "reports",
    ),
    Family(
        "policyreport_failures_opened_total",
        "counter",
        "Times that a resource started to fail a rule. Failures in the first list do not count.",
        ("namespace", "policy", "severity", "source"),
        lambda state: state.ledger.failures.opened,
        "reports",
    ),
    Family(
        "policyreport_failures_closed_total",
        "counter",
        "Times that a failure ended, because it was fixed or the resource or policy was deleted.",
        ("namespace", "policy", "severity", "source"),
        lambda state: state.ledger.failures.closed,
        "reports",
    ),
    Family(
        "policyreport_oldest_failure_timestamp_seconds",
        "gauge",
        "Unix time when the oldest current failure started, as far as the exporter knows.",
        ("namespace", "policy", "severity", "source"),
        lambda state: state.ledger.failures.oldest.least,
        "reports",
        fractional=True,
        join="least",
    ),
    Family(
        "policyreport_newest_result_timestamp_seconds",
        "gauge",
        "Newest result timestamp that is not in the future. Kyverno scans hourly by default.",
        ("source",),
        lambda state: state.ledger.newest,
        "reports",
        fractional=True,
        join="greatest",
        stability="experimental",
    ),
    Family(
        "policyreport_oldest_result_timestamp_seconds",
        "gauge",
        "Oldest timestamp of a policy's current results, updated every 15 minutes. A result "
        "gets the timestamp of the newest result of its report if it is at most an hour older.",
        ("policy", "source"),
        lambda state: state.ledger.oldest,
        "reports",
        fractional=True,
        join="least",
        stability="experimental",
    ),
    Family(
        "policyviolation_events_total",
        "counter",
        "Violations counted from Kyverno's Events: a lower bound, because Kyverno drops Events "
        "under load.",
        (
            "namespace",
            "kind",
            "policy",
            "policy_kind",
            "rule",
            "outcome",
            "severity",
            "category",
            "controller",
        ),
        lambda state: state.violation_events.total,
        "events",
    ),
    Family(
        "policyviolation_last_event_timestamp_seconds",
        "gauge",
        "Time of the newest violation Event, by the API server's clock.",
        ("namespace", "policy", "outcome"),
        lambda state: state.violation_events.last,
        "events",
        fractional=True,
        join="greatest",
    ),
    Family(
        "policyviolation_live_events",
        "gauge",
        "Violation Events that the API server still keeps, usually those of the last hour.",
        ("namespace", "policy", "outcome"),
        lambda state: state.violation_events.live,
        "events",
        stability="experimental",
    ),
    Family(
        "policyviolation_recent_block_timestamp_seconds",
        "gauge",
        "Times of the last 100 blocked requests in the last hour, by the API server's clock.",
        ("namespace", "kind", "name", "policy", "rule"),
        lambda state: state.violation_events.recent.gauge,
        "events",
        fractional=True,
        join="greatest",
        stability="experimental",
    ),
    Family(
        "policyreport_policy_info",
        "gauge",
        "Policies; always 1. The labels policy and source match those of the report families.",
        (
            "policy",
            "policy_kind",
            "source",
            "mode",
            "background",
            "severity",
            "category",
            "title",
        ),
        lambda state: state.register.info,
        "policies",
    ),
    Family(
        "policyreport_policy_ready",
        "gauge",
        "Whether Kyverno reports the policy as ready.",
        ("policy", "policy_kind", "source"),
        lambda state: state.register.ready,
        "policies",
        join="least",
    ),
    Family(
        "policyreport_policy_last_changed_timestamp_seconds",
        "gauge",
        "When the policy's spec last changed, as far as the exporter knows.",
        ("policy", "policy_kind", "source"),
        lambda state: state.register.changed,
        "policies",
        fractional=True,
        join="greatest",
    ),
    Family(
        "policyreport_namespace_info",
        "gauge",
        "Namespaces with the labels that labels.namespace_labels lists; always 1.",
        ("namespace",),
        lambda state: state.namespaces.info,
        "namespaces",
    ),
)
