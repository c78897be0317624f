"""Names of series and of what they are about, as the exporter's documentation has them."""

import re
from collections.abc import Mapping
from datetime import datetime

from tests.kyverno.api import Object

Labels = frozenset[tuple[str, str]]
Family = Mapping[Labels, float]

RESULTS, SUMMARY = "policyreport_results", "policyreport_summary"
RESOURCES, REPORTS = "policyreport_resources", "policyreport_reports"
NEWEST = "policyreport_newest_result_timestamp_seconds"
FAILING = "policyreport_resource_results"
EVENTS, LIVE = "policyviolation_events_total", "policyviolation_live_events"
LAST = "policyviolation_last_event_timestamp_seconds"
RECENT = "policyviolation_recent_block_timestamp_seconds"
READY = "policyreport_policy_ready"
OPENED, CLOSED = "policyreport_failures_opened_total", "policyreport_failures_closed_total"
INFO, NAMESPACES = "policyreport_policy_info", "policyreport_namespace_info"


def labels(**given: str) -> Labels:
    """Name a series; a label that is empty is none."""
    return frozenset((name, value) for name, value in given.items() if value)


def policy_label(meta: Object) -> str:
    """Return how a policy is called everywhere: namespace/name for a namespaced one."""
    within = meta.get("namespace")
    return f"{within}/{meta['name']}" if within else str(meta["name"])


def rule_label(rule: str) -> str:
    """Return the rule that somebody wrote: autogen rules are those of Pods."""
    return re.sub(r"^autogen-(cronjob-)?", "", rule)


def seconds(time: str) -> float:
    """Return Unix seconds of an RFC 3339 time."""
    return datetime.fromisoformat(time).timestamp()
