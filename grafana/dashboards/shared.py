"""Panels that more than one dashboard shows, over the matchers that the dashboard gives."""

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import palette, panels, promql, tables
from grafana.dashboards.palette import DAY, HOUR
from grafana.dashboards.promql import (
    ALLOWED,
    BLOCKED,
    CLOSED,
    CLUSTER,
    EVENTS_SYNCED,
    NEWEST,
    OPENED,
    SINCE,
    VIOLATED,
    happened,
    known,
    of,
    total,
)
from grafana.dashboards.tables import Column

# Events are read, and rules are evaluated.
BLOCKS_KNOWN = f"{EVENTS_SYNCED} and on () group({of(promql.FLEET, CLUSTER)})"
URGENCY = {"1": ("critical", "red"), "2": ("warning", "orange"), "3": ("info", "blue")}


def compliance(share: str) -> Stat:
    """Return the headline share."""
    stat = panels.number(
        "Compliance",
        "Share of checks that pass, of those that pass, fail or could not be evaluated; warnings "
        "and exceptions do not count. From policyreport_results, as the alerts compute it. Below "
        "the target: start with the most severe of what fails.",
        share,
    )
    return stat.unit("percentunit").decimals(1).min(0).max(1).thresholds(palette.ratio())


def failing(failing: str, every: str) -> Stat:
    """How many checks fail."""
    return panels.number(
        "Failing checks",
        "Checks that fail now: one for each resource and rule. From policyreport_results, "
        "without the ReplicaSets and Jobs that a controller made.",
        known(failing, every),
    ).thresholds(palette.none_allowed("orange"))


def not_evaluated(errors: str, every: str) -> Stat:
    """How many checks ended in an error."""
    return panels.number(
        "Not evaluated",
        "Checks that ended in an error: whether they hold is unknown. From "
        'policyreport_results{result="error"}. Repair the policy; its dashboard names the rule.',
        known(errors, every),
    ).thresholds(palette.none_allowed("purple"))


def oldest(every: str, *matchers: str) -> Stat:
    """How long the longest failure has lasted."""
    stat = panels.number(
        "Oldest failure",
        "How long the oldest failure has been failing, as far as the exporter knows; 0 when "
        "nothing fails. From policyreport_oldest_failure_timestamp_seconds. An old failure has no "
        "owner: find one, or make it an exception.",
        known(f"time() - min({of(SINCE, *matchers)})", every),
    )
    return stat.unit("s").thresholds(palette.age(7 * DAY, 30 * DAY))


def opened(*matchers: str) -> Stat:
    """How many checks began to fail in the range."""
    stat = panels.number(
        "New failures",
        "Checks that began to fail in the selected time; what already failed when the exporter "
        "first started is not new. From policyreport_failures_opened_total. Many at once: a policy "
        "changed, or a release.",
        promql.while_known(happened(OPENED, *matchers), promql.RESULTS_KNOWN),
    )
    return stat.decimals(0)


def blocked(*matchers: str) -> Stat:
    """How many requests were refused in the range."""
    grown = happened(VIOLATED, *matchers, BLOCKED)
    stat = panels.number(
        "Blocked requests",
        "Requests that a policy in mode enforce refused in the selected time. From "
        "policyviolation_events_total. The Enforcement dashboard shows who and why.",
        promql.while_known(grown, BLOCKS_KNOWN),
    )
    return stat.decimals(0)


def age_of_data(*matchers: str) -> Stat:
    """How old the newest result is."""
    stat = panels.number(
        "Age of the data",
        "Time since the newest result, of several clusters that of the stalest. From "
        "policyreport_newest_result_timestamp_seconds. Kyverno scans every hour: above two hours "
        "its reports controller is stuck, or the watch is.",
        f"max(time() - max by (cluster) ({of(NEWEST, *(matchers or (CLUSTER,)))}))",
    )
    return stat.unit("s").thresholds(palette.age(2 * HOUR, 3 * HOUR))


def compliance_over_time(share: str, last_week: str) -> TimeSeries:
    """Compliance with its target, and a week before."""
    panel = (
        panels.lines(
            "Compliance, target and last week",
            "Share of checks that pass, the target chosen at the top, and the same a week "
            "earlier. From policyreport_results by its recording rules, which count workloads "
            "and Pods. A sudden fall is a new policy or a release; a slow one is neglect.",
        )
        .unit("percentunit")
        .decimals(1)
        .max(1)
        .interval("10m")
        .with_target(panels.over_time(share, "compliance"))
        .with_target(panels.over_time("vector($target)", "target", "B"))
        .with_target(panels.over_time(last_week, "a week before", "C"))
    )
    colors = {"compliance": "green", "target": "orange", "a week before": palette.MUTED}
    dashed = {"fill": "dash", "dash": [8, 8]}
    for name in ("target", "a week before"):
        panel.override_by_name(name, [panels.setting("custom.lineStyle", dashed)])
    return panels.painted(panel, colors)


def opened_and_closed(*matchers: str) -> TimeSeries:
    """Flow of failures, new ones up and fixed ones down."""
    # Zeros between what is recorded, or a bar would be as wide as the time until the next.
    new = known(happened(OPENED, *matchers, window="$__interval"), promql.RESULTS_KNOWN)
    fixed = known(happened(CLOSED, *matchers, window="$__interval"), promql.RESULTS_KNOWN)
    panel = (
        panels.bars(
            "New and fixed failures",
            "In each bar, up: checks that began to fail. Down: checks that passed again or whose "
            "resource or policy was deleted. From policyreport_failures_opened_total and "
            "policyreport_failures_closed_total. More up than down means growing debt.",
        )
        .interval("10m")
        .with_target(panels.over_time(new, "new"))
        .with_target(panels.over_time(f"-({fixed})", "fixed", "B"))
    )
    return panels.painted(panel, {"new": "orange", "fixed": "green"})


def outcomes(*matchers: str) -> TimeSeries:
    """Violations at admission, refused and allowed."""
    refused = known(happened(VIOLATED, *matchers, BLOCKED, window="$__interval"), BLOCKS_KNOWN)
    passed = known(happened(VIOLATED, *matchers, ALLOWED, window="$__interval"), BLOCKS_KNOWN)
    panel = (
        panels.bars(
            "Violations at admission",
            "In each bar, requests that violated a policy: blocked by one in mode enforce, allowed "
            "by one in mode audit. From policyviolation_events_total. Allowed ones become blocked "
            "ones on the day that the policy enforces.",
        )
        .with_target(panels.over_time(refused, "blocked"))
        .with_target(panels.over_time(passed, "allowed", "B"))
    )
    return panels.painted(panel, {"blocked": "red", "allowed": "orange"})


def recent_blocks(*matchers: str) -> Table:
    """Return the newest refused requests by name."""
    newest = promql.now("policyviolation_recent_block_timestamp_seconds", *matchers)
    by = "cluster, namespace, kind, name, policy, rule"
    return tables.table_of(
        "What was blocked just now?",
        "The newest refused requests, at most 100 and at most an hour old. From "
        "policyviolation_recent_block_timestamp_seconds. Kyverno's Events do not name the user; "
        "the API server's audit log does. The rule's message is in "
        "`kubectl get events -A --field-selector reason=PolicyViolation`.",
        [
            Column("Value", "When").unit("dateTimeFromNow").wide(145),
            tables.namespace().wide(110),
            Column("kind", "Kind").wide(100),
            Column("name", "Name"),
            tables.policy(),
            Column("rule", "Rule"),
            tables.cluster(),
        ],
        f"1000 * max by ({by}) (topk(100, {newest}))",
        sort=["-When"],
    ).no_value("nothing was blocked in the last hour")


def failing_resources(*matchers: str) -> Table:
    """Who fails what, by name."""
    by = "cluster, namespace, kind, name, policy, rule, result, severity"
    one = promql.now("policyreport_resource_results", *matchers)
    return tables.table_of(
        "Which resources fail?",
        "One line for each failing check of one resource, the most severe first, at most 500. "
        "From policyreport_resource_results, which has its own series budget and can be switched "
        "off; it shows passing resources too where `families` asks for them. Fix the workload "
        "that owns a Pod, not the Pod.",
        [
            tables.severity(),
            tables.namespace(),
            Column("kind", "Kind").wide(120),
            Column("name", "Name"),
            tables.policy(),
            Column("rule", "Rule"),
            tables.result(),
            tables.cluster(),
        ],
        promql.ranked(f"topk(500, {total(one, by)})"),
        sort=["Severity", "Namespace", "Name"],
        hidden=("Value", "severity"),
    ).height(11)


def unscored(*matchers: str) -> Table:
    """Exceptions in force, and what could not be evaluated."""
    by = "cluster, namespace, policy, rule, result"
    found = of(promql.UNMET, *matchers, 'result=~"error|warn|skip"')
    return tables.table_of(
        "Exceptions, skipped and not evaluated",
        "Checks that neither pass nor fail: skip (an exception in force, or a precondition that "
        "does not hold), error (the rule could not be evaluated), warn (unscored). From "
        "policyreport_results. Exceptions are decisions: see that each still has a reason.",
        [
            tables.policy(),
            Column("rule", "Rule"),
            tables.namespace(),
            tables.result(),
            Column("Value", "Checks").wide(90),
            tables.cluster(),
        ],
        f"topk(200, {total(found, by)})",
        sort=["-Checks"],
    ).no_value("no exception, nothing skipped, nothing without a result")


def alerts() -> Table:
    """Return the alerts of this project's rules that fire now."""
    by = "cluster, namespace, policy, alertname, severity"
    firing = of(
        "ALERTS",
        CLUSTER,
        'alertstate="firing"',
        'alertname=~"(Policy|Kyverno).+"',
        'alertname!~".+Watchdog"',
    )
    return tables.table_of(
        "Firing alerts",
        "Alerts of this project's rules that fire now. From Prometheus' own ALERTS series; empty "
        "means that nothing fires, or that the rules are not loaded.",
        [
            Column("rank", "Urgency").words(palette.words(URGENCY)).wide(80),
            Column("alertname", "Alert"),
            tables.namespace().wide(110),
            tables.policy(),
            tables.cluster(),
        ],
        promql.ranked(total(firing, by), [word for word, _ in URGENCY.values()]),
        sort=["Urgency", "Alert"],
        hidden=("Value", "severity"),
    ).no_value("no alert fires")
