"""PromQL fragments: what the dashboards mean by now, in this range, and unknown.

Replicas of the exporter expose equal gauges, so the largest over the labels that a replica adds is
taken before anything is summed. A number that may be zero is 0 only where its source is present:
``known`` and ``while_known`` leave it absent when the exporter is not scraped.
"""

from collections.abc import Sequence

REPLICA_LABELS = "instance, pod, node, endpoint, container, service"
CLUSTER = 'cluster=~"$cluster"'
SCOPE = f'{CLUSTER},team=~"$team",namespace=~"$namespace"'
POLICY = 'policy=~"$policy"'
SEVERITY = 'severity=~"$severity"'
COUNTED = 'kind!~"$uncounted"'
EVENTS_SYNCED = f'max(policyreport_exporter_synced{{{CLUSTER},resource=~"events.*"}}) == 1'
REPORTS_KNOWN = f"group(policyreport_results{{{CLUSTER}}})"
PASS, FAIL, ERROR = 'result="pass"', 'result="fail"', 'result="error"'
BLOCKED = 'outcome="blocked",controller="admission"'
ALLOWED = 'outcome="allowed",controller="admission"'
OPENED = "policyreport_failures_opened_total"
CLOSED = "policyreport_failures_closed_total"
OLDEST = "policyreport_oldest_failure_timestamp_seconds"
NEWEST = "policyreport_newest_result_timestamp_seconds"
EVENTS = "policyviolation_events_total"
SEVERITIES = ("critical", "high", "medium", "low", "info", "none")
# Of the recording rules; trends over days from the raw series would be too much for Prometheus.
RECORDED = "cluster_namespace_policy_severity_result:policyreport_results:sum"


def now(family: str, *matchers: str) -> str:
    """Return the present value of each logical series, whichever replica answered."""
    return f"max without ({REPLICA_LABELS}) ({family}{{{','.join(matchers)}}})"


def increase(family: str, *matchers: str, window: str = "$__range") -> str:
    """How much each logical counter grew within the window."""
    selector = f"{family}{{{','.join(matchers)}}}"
    return f"max without ({REPLICA_LABELS}) (increase({selector}[{window}]))"


def rate(family: str, *matchers: str) -> str:
    """How fast each logical counter grows, per second."""
    selector = f"{family}{{{','.join(matchers)}}}"
    return f"max without ({REPLICA_LABELS}) (rate({selector}[$__rate_interval]))"


def total(expr: str, by: str = "") -> str:
    """Sum, by the given labels."""
    return f"sum by ({by}) ({expr})" if by else f"sum({expr})"


def known(expr: str, base: str) -> str:
    """``expr``, and 0 where it has no series but ``base`` has."""
    return f"({expr}) or 0 * ({base})"


def grown(family: str, *matchers: str, by: str) -> str:
    """Return how much a counter grew in the range, 0 where there are results but no growth."""
    base = total(now("policyreport_results", *matchers), by)
    if family == EVENTS:
        base = f"({base}) and on () ({EVENTS_SYNCED})"
        matchers = (*matchers, BLOCKED)
    return f"round({total(increase(family, *matchers), by)}) or 0 * ({base})"


def while_known(expr: str, source: str) -> str:
    """``expr`` or 0, but nothing at all while ``source`` is absent: range functions outlive it."""
    return f"(({expr}) or vector(0)) and on () ({source})"


def compliance(*matchers: str, by: str = "") -> str:
    """Return the share of checks that pass; one that could not be evaluated does not comply."""
    bad = total(results(*matchers, 'result=~"fail|error"'), by)
    scored = total(results(*matchers, 'result=~"pass|fail|error"'), by)
    return f"1 - {bad} / ({scored} > 0)"


def results(*matchers: str) -> str:
    """Results that stand now, of the workload kinds that count."""
    return now("policyreport_results", COUNTED, *matchers)


def policies(*matchers: str) -> str:
    """One series per policy with what is known about it; names may repeat across kinds."""
    labels = "cluster, policy, mode, title"
    info = f"max by ({labels}) ({now('policyreport_policy_info', CLUSTER, *matchers)})"
    return f"topk by (cluster, policy) (1, {info})"


def with_mode(expr: str, on: str) -> str:
    """Add a policy's mode to ``expr`` (whose labels are ``on``), where the policy is known."""
    joined = f"({expr}) * on (cluster, policy) group_left (mode) {policies()}"
    return f"{joined} or on ({on}) ({expr})"


def named(expr: str, label: str, word: str) -> str:
    """Give series without the label a word for the legend."""
    return f'label_replace({expr}, "{label}", "{word}", "{label}", "")'


def ranked(expr: str, severities: Sequence[str] = SEVERITIES) -> str:
    """Add the label ``rank`` to what has ``severity``: a digit that sorts, critical is 1."""
    for rank, name in enumerate(severities, 1):
        expr = f'label_replace({expr}, "rank", "{rank}", "severity", "{name}")'
    return expr
