"""Panels that more than one dashboard shows, over the matchers that the dashboard gives."""

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import palette, panels, tables
from grafana.dashboards import promql as q
from grafana.dashboards.palette import DAY, HOUR
from grafana.dashboards.tables import Column, value

# Events are read, and rules are evaluated.
BLOCKS_KNOWN = f"{q.EVENTS_SYNCED} and on () group({q.of(q.FLEET, q.CLUSTER)})"
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
        q.known(failing, every),
    ).thresholds(palette.none_allowed("orange"))


def oldest(every: str, *matchers: str) -> Stat:
    """How long the longest failure has lasted."""
    stat = panels.number(
        "Oldest failure",
        "Age of the oldest failure, as far as the exporter knows; 0 if nothing fails. Metric: "
        "policyreport_oldest_failure_timestamp_seconds. Old failures often have no owner. Find an "
        "owner, or create an exception.",
        q.known(f"time() - min({q.of(q.SINCE, *matchers)})", every),
    )
    return stat.unit("s").thresholds(palette.age(7 * DAY, 30 * DAY))


def opened(*matchers: str) -> Stat:
    """How many checks began to fail in the range."""
    stat = panels.number(
        "New failures",
        "Checks that started to fail in the selected time. Failures that existed when the exporter"
        " first started do not count. Metric: policyreport_failures_opened_total. If there are "
        "many, a policy was changed or a release was deployed.",
        q.while_known(q.happened(q.OPENED, *matchers), q.RESULTS_KNOWN),
    )
    return stat.decimals(0)


def blocked(*matchers: str) -> Stat:
    """How many requests were refused in the range."""
    grown = q.happened(q.VIOLATED, *matchers, q.BLOCKED)
    stat = panels.number(
        "Blocked requests",
        "Requests that a policy in mode enforce refused in the selected time. Metric: "
        "policyviolation_events_total. The Enforcement dashboard shows details.",
        q.while_known(grown, BLOCKS_KNOWN),
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
        f"max(time() - max by (cluster) ({q.of(q.NEWEST, *(matchers or (q.CLUSTER,)))}))",
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
    new = q.known(q.happened(q.OPENED, *matchers, window="$__interval"), q.RESULTS_KNOWN)
    fixed = q.known(q.happened(q.CLOSED, *matchers, window="$__interval"), q.RESULTS_KNOWN)
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
    refused = q.known(
        q.happened(q.VIOLATED, *matchers, q.BLOCKED, window="$__interval"), BLOCKS_KNOWN
    )
    passed = q.known(
        q.happened(q.VIOLATED, *matchers, q.ALLOWED, window="$__interval"), BLOCKS_KNOWN
    )
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
    newest = q.now("policyviolation_recent_block_timestamp_seconds", *matchers)
    by = "cluster, namespace, kind, name, policy, rule"
    return tables.table_of(
        "What was blocked just now?",
        "The newest refused requests, at most 100, of the last hour. Metric: "
        "policyviolation_recent_block_timestamp_seconds. Kyverno's Events do not name the user; "
        "search the API server's audit log. To see the message of the rule, run `kubectl get "
        "events -A --field-selector reason=PolicyViolation`.",
        [
            value("When", f"1000 * max by ({by}) (topk(100, {newest}))")
            .unit("dateTimeFromNow")
            .wide(145),
            tables.namespace().wide(110),
            Column("kind", "Kind").wide(100),
            Column("name", "Name"),
            tables.policy(),
            Column("rule", "Rule"),
            tables.cluster(),
        ],
        sort=["-When"],
    ).no_value("nothing was blocked in the last hour")


def failing_workloads(*matchers: str) -> Table:
    """Which workloads fail what, by name."""
    by = "cluster, namespace, workload_kind, workload, policy, rule, result, severity"
    objects = f"group by ({by}, kind, name) ({q.of(q.RESOURCES, *matchers)})"
    worst = f"topk by (severity) (200, count by ({by}) ({objects}))"
    return tables.table_of(
        "Which workloads fail?",
        "One row for each workload and rule, the most severe first, at most 200 of each severity. "
        "Objects is the number of affected objects: a Deployment, its ReplicaSets and its Pods. "
        "Metric: policyreport_resource_results, which has its own series limit and can be "
        "disabled.",
        [
            tables.severity(),
            tables.namespace(),
            Column("workload_kind", "Kind").wide(120),
            Column("workload", "Workload"),
            tables.policy(),
            Column("rule", "Rule"),
            tables.result(),
            value("Objects", q.ranked(worst)).wide(85),
            tables.cluster(),
        ],
        sort=["Severity", "Namespace", "Workload"],
        hidden=("severity",),
    ).height(11)


def unscored(*matchers: str) -> Table:
    """Exceptions in force, and what could not be evaluated."""
    by = "cluster, namespace, policy, rule, result"
    found = q.of(q.UNMET, *matchers, 'result=~"error|warn|skip"')
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
            value("Checks", f"topk(200, {q.total(found, by)})").wide(90),
            tables.cluster(),
        ],
        sort=["-Checks"],
    ).no_value("no skipped checks, errors or warnings")


def alerts() -> Table:
    """Return the alerts of this project's rules that fire now."""
    by = "cluster, namespace, policy, alertname, severity"
    firing = q.of(
        "ALERTS",
        q.CLUSTER,
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
        rows_of=q.ranked(q.total(firing, by), [word for word, _ in URGENCY.values()]),
        sort=["Urgency", "Alert"],
        hidden=("severity",),
    ).no_value("no alert fires")
