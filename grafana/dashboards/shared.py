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
        "pass / (pass + fail + error) of checks; warnings and exceptions do not count. Metric: "
        "policyreport_results. The alerts use the same definition. If it is below the target, fix "
        "the most severe failures first.",
        share,
    )
    return stat.unit("percentunit").decimals(1).min(0).max(1).thresholds(palette.ratio())


def failing(failing: str, every: str) -> Stat:
    """How many checks fail."""
    return panels.number(
        "Failing checks",
        "Failing checks, one for each resource and rule. Metric: policyreport_results, without "
        "objects that another reported object owns.",
        known(failing, every),
    ).thresholds(palette.none_allowed("orange"))


def not_evaluated(errors: str, every: str) -> Stat:
    """How many checks ended in an error."""
    return panels.number(
        "Not evaluated",
        "Checks that ended with an error. It is unknown whether these resources comply. Metric: "
        'policyreport_results{result="error"}. Fix the policy; its dashboard shows the rule.',
        known(errors, every),
    ).thresholds(palette.none_allowed("purple"))


def oldest(every: str, *matchers: str) -> Stat:
    """How long the longest failure has lasted."""
    stat = panels.number(
        "Oldest failure",
        "Age of the oldest failure, as far as the exporter knows; 0 if nothing fails. Metric: "
        "policyreport_oldest_failure_timestamp_seconds. Old failures often have no owner. Find an "
        "owner, or create an exception.",
        known(f"time() - min({of(SINCE, *matchers)})", every),
    )
    return stat.unit("s").thresholds(palette.age(7 * DAY, 30 * DAY))


def opened(*matchers: str) -> Stat:
    """How many checks began to fail in the range."""
    stat = panels.number(
        "New failures",
        "Checks that started to fail in the selected time. Failures that existed when the exporter"
        " first started do not count. Metric: policyreport_failures_opened_total. If there are "
        "many, a policy was changed or a release was deployed.",
        promql.while_known(happened(OPENED, *matchers), promql.RESULTS_KNOWN),
    )
    return stat.decimals(0)


def blocked(*matchers: str) -> Stat:
    """How many requests were refused in the range."""
    grown = happened(VIOLATED, *matchers, BLOCKED)
    stat = panels.number(
        "Blocked requests",
        "Requests that a policy in mode enforce refused in the selected time. Metric: "
        "policyviolation_events_total. The Enforcement dashboard shows details.",
        promql.while_known(grown, BLOCKS_KNOWN),
    )
    return stat.decimals(0)


def age_of_data(*matchers: str) -> Stat:
    """How old the newest result is."""
    stat = panels.number(
        "Age of the data",
        "Time since the newest result; with several clusters, that of the cluster with the oldest "
        "data. Metric: policyreport_newest_result_timestamp_seconds. Kyverno scans every hour. If "
        "it is above two hours, Kyverno's reports controller or the exporter's watch does not "
        "work.",
        f"max(time() - max by (cluster) ({of(NEWEST, *(matchers or (CLUSTER,)))}))",
    )
    return stat.unit("s").thresholds(palette.age(2 * HOUR, 3 * HOUR))


def compliance_over_time(share: str, last_week: str) -> TimeSeries:
    """Compliance with its target, and a week before."""
    panel = (
        panels.lines(
            "Compliance, target and last week",
            "Share of checks that pass, the target selected at the top, and the share a week "
            "earlier. Metric: policyreport_results (recorded, counts workloads and Pods). A sudden"
            " decrease is caused by a new policy or a release. A slow decrease means that failures"
            " are not fixed.",
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
            "Up: checks that started to fail. Down: checks that passed again, or whose resource or"
            " policy was deleted. Metrics: policyreport_failures_opened_total and "
            "policyreport_failures_closed_total. If there are more new than fixed failures, the "
            "number of open failures grows.",
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
            "Requests that violated a policy. Policies in mode enforce blocked them, policies in "
            "mode audit allowed them. Metric: policyviolation_events_total. Allowed requests will "
            "be blocked once the policy is enforced.",
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
        "The newest refused requests, at most 100, of the last hour. Metric: "
        "policyviolation_recent_block_timestamp_seconds. Kyverno's Events do not name the user; "
        "search the API server's audit log. To see the message of the rule, run `kubectl get "
        "events -A --field-selector reason=PolicyViolation`.",
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
        "One row for each failing check of a resource, the most severe first, at most 500. Metric:"
        " policyreport_resource_results, which has its own series limit and can be disabled. It "
        "also lists passing resources if `families` in the configuration includes them. Fix the "
        "workload that owns a Pod, not the Pod.",
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
        "Checks that neither pass nor fail: skip (an exception applies, or a precondition is not "
        "met), error (the rule could not be evaluated), warn (unscored). Metric: "
        "policyreport_results. Check that each exception is still justified.",
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
    ).no_value("no skipped checks, errors or warnings")


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
        "Firing alerts of this project's rules. From Prometheus' ALERTS series. Empty if no alert "
        "fires or if the rules are not loaded.",
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
