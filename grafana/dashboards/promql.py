"""PromQL fragments: what the dashboards mean by now, in this range, and unknown.

Numbers of whole clusters come from recording rules, which count replicas, jobs and shards of the
exporter right and once a minute; see alerts/rules/recording.rules.yaml. What asks the exporter's
own series takes the largest over the labels that scraping adds before it sums. A number that may
be zero is 0 only where its source is present, and absent when the exporter is not scraped.
"""

from collections.abc import Sequence

SCRAPE_LABELS = "instance, job, pod, node, endpoint, container, service"
CLUSTER = 'cluster=~"$cluster"'
# The label of namespaces that names their owner is a variable: clusters call it team, squad, ...
SCOPE = f'{CLUSTER},$owner=~"$team",namespace=~"$namespace"'
SOURCE, POLICY, SEVERITY = 'source=~"$source"', 'policy=~"$policy"', 'severity=~"$severity"'
PASS, FAIL, ERROR = 'result="pass"', 'result="fail"', 'result="error"'
BAD, SCORED = 'result=~"fail|error"', 'result=~"pass|fail|error"'
BLOCKED, ALLOWED = 'outcome="blocked"', 'outcome="allowed"'
SEVERITIES = ("critical", "high", "medium", "low", "info", "none")
OLDEST = "policyreport_oldest_failure_timestamp_seconds"
NEWEST = "policyreport_newest_result_timestamp_seconds"
EVENTS = "policyviolation_events_total"
RESOURCES = "policyreport_resource_results"

# Recorded: checks by policy, severity, cluster; what does not pass, by rule; its age.
BY_POLICY = "cluster_namespace_policy_severity_result:policyreport_results:sum"
STATE = "cluster_namespace_severity_source_result:policyreport_results:sum"
FLEET = "cluster_severity_source_result:policyreport_results:sum"
UNMET = "cluster_namespace_policy_rule_result:policyreport_results_unmet:sum"
SINCE = f"cluster_namespace_policy_severity_source:{OLDEST}:min"
# Recorded: failing workloads, each once for a policy, also if only its Pods fail; and policies that
# are evaluated only for objects that another reported object owns.
WORKLOADS = "cluster_namespace_policy_result:policyreport_failing_workloads:max"
FLEET_WORKLOADS = "cluster_severity_source:policyreport_failing_workloads:sum"
PODS_ONLY = "cluster_namespace_policy_source:policyreport_results_controlled:max"
# Recorded, and present only in minutes in which something happened.
OPENED = "cluster_namespace_policy_severity_source:policyreport_failures_opened:increase1m"
CLOSED = "cluster_namespace_policy_severity_source:policyreport_failures_closed:increase1m"
VIOLATED = "cluster_namespace_kind_policy_rule_severity_outcome:policyviolation_events:increase1m"

RATED = 'severity!=""'
# Severities are known only where results are read: not where the exporter reads summaries.
RESULTS_KNOWN = f"group({FLEET}{{{CLUSTER},{RATED}}})"
EVENTS_SYNCED = f'max(policyreport_exporter_synced{{{CLUSTER},resource=~"events.*"}}) == 1'


def of(family: str, *matchers: str) -> str:
    """Return the selector of a family."""
    return f"{family}{{{','.join(matchers)}}}"


def now(family: str, *matchers: str) -> str:
    """Return the present value of each of the exporter's series, whichever replica answered."""
    return f"max without ({SCRAPE_LABELS}) ({of(family, *matchers)})"


def admitted(function: str, *matchers: str, window: str = "$__rate_interval") -> str:
    """Return rate() or increase() of the exporter's counters of violations at admission."""
    selector = of(EVENTS, *matchers, 'controller="admission"')
    return f"max without ({SCRAPE_LABELS}) ({function}({selector}[{window}]))"


def total(expr: str, by: str = "") -> str:
    """Sum, by the given labels."""
    return f"sum by ({by}) ({expr})" if by else f"sum({expr})"


def happened(family: str, *matchers: str, by: str = "", window: str = "$__range") -> str:
    """Return how often something recorded by the minute happened within the window."""
    return total(f"sum_over_time({of(family, *matchers)}[{window}])", by)


def known(expr: str, base: str) -> str:
    """``expr``, and 0 where it has no series but ``base`` has."""
    return f"({expr}) or 0 * ({base})"


def ending(expr: str, by: str, selector: str) -> str:
    """Return a trend of what is recorded while it is above 0, with one 0 after that.

    Without it, a legend would show the last value above 0 as the present one.
    """
    return known(expr, f"group by ({by}) ({selector} offset $__interval)")


def while_known(expr: str, source: str) -> str:
    """``expr`` or 0, but nothing at all while ``source`` is absent: range functions outlive it."""
    return f"(({expr}) or vector(0)) and on () ({source})"


def compliance(*matchers: str, family: str = STATE, by: str = "", offset: str = "") -> str:
    """Return the share of checks that pass; one that could not be evaluated does not comply."""
    bad = total(of(family, *matchers, BAD) + offset, by)
    scored = total(of(family, *matchers, SCORED) + offset, by)
    return f"1 - {bad} / ({scored} > 0)"


def moved(expr: str, before: str) -> str:
    """Return by how much something grew or shrank, also from and to nothing."""
    return f"({expr} or 0 * {before}) - ({before} or 0 * {expr})"


def owned(expr: str) -> str:
    """Sum by the label that names the owner, as the label ``owner``."""
    return f'sum by (owner) (label_replace({expr}, "owner", "$1", "$owner", "(.*)"))'


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
    """Give series without the label a word."""
    return f'label_replace({expr}, "{label}", "{word}", "{label}", "")'


def ranked(expr: str, severities: Sequence[str] = SEVERITIES) -> str:
    """Add the label ``rank`` to what has ``severity``: a digit that sorts, critical is 1."""
    for rank, name in enumerate(severities, 1):
        expr = f'label_replace({expr}, "rank", "{rank}", "severity", "{name}")'
    return expr
