"""Panels that more than one dashboard shows, over the matchers that the dashboard gives."""

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import palette, panels, promql, tables
from grafana.dashboards.palette import DAY
from grafana.dashboards.promql import ALLOWED, BLOCKED, CLOSED, ERROR, EVENTS, FAIL, OLDEST, total
from grafana.dashboards.promql import OPENED as OPENED_TOTAL
from grafana.dashboards.tables import Column


def compliance(*matchers: str) -> Stat:
    """Return the headline share."""
    stat = panels.number(
        "Compliance",
        "Share of checks that pass, of those that pass, fail or could not be evaluated; warnings "
        "and exceptions do not count. From policyreport_results, as the alerts compute it. Below "
        "the target: start with the most severe of what fails.",
        promql.compliance(*matchers),
    )
    return stat.unit("percentunit").decimals(1).min(0).max(1).thresholds(palette.ratio())


def failing(*matchers: str) -> Stat:
    """How many checks fail."""
    every = total(promql.results(*matchers))
    return panels.number(
        "Failing checks",
        "Checks that fail now: one for each resource and rule. From policyreport_results, "
        "without the copies of a workload that Count leaves out.",
        promql.known(total(promql.results(*matchers, FAIL)), every),
    ).thresholds(palette.none_allowed("orange"))


def not_evaluated(*matchers: str) -> Stat:
    """How many checks ended in an error."""
    every = total(promql.results(*matchers))
    return panels.number(
        "Not evaluated",
        "Checks that ended in an error: nobody knows whether they hold. From "
        'policyreport_results{result="error"}. Repair the policy; its dashboard names the rule.',
        promql.known(total(promql.results(*matchers, ERROR)), every),
    ).thresholds(palette.none_allowed("purple"))


def oldest(*matchers: str) -> Stat:
    """How long the longest failure has stood."""
    failing = total(promql.results(*matchers, FAIL))
    age = f"time() - min({promql.now(OLDEST, *matchers)}) and on () {failing} > 0"
    stat = panels.number(
        "Oldest failure",
        "How long the longest-standing failure has been failing, as far as the exporter knows; "
        "0 when nothing fails. From policyreport_oldest_failure_timestamp_seconds. An old failure "
        "has no owner: find one, or make it an exception.",
        promql.known(age, total(promql.now("policyreport_results", *matchers))),
    )
    return stat.unit("s").thresholds(palette.age(7 * DAY, 30 * DAY))


def opened(*matchers: str) -> Stat:
    """How many checks began to fail in the range."""
    grown = total(promql.increase(OPENED_TOTAL, *matchers))
    stat = panels.number(
        "New failures",
        "Checks that began to fail in the selected time, first sync not counted. From "
        "policyreport_failures_opened_total. Many at once: a policy changed, or a release.",
        promql.while_known(grown, promql.REPORTS_KNOWN),
    )
    return stat.decimals(0).thresholds(palette.none_allowed("orange"))


def blocked(*matchers: str) -> Stat:
    """How many requests were refused in the range."""
    grown = total(promql.increase(EVENTS, *matchers, BLOCKED))
    stat = panels.number(
        "Blocked requests",
        "Requests that an enforced policy refused in the selected time. From "
        "policyviolation_events_total. The Enforcement dashboard shows who and why.",
        promql.while_known(grown, promql.EVENTS_SYNCED),
    )
    return stat.decimals(0).thresholds(palette.none_allowed("orange"))


def opened_and_closed(*matchers: str) -> TimeSeries:
    """Flow of failures, new ones up and fixed ones down."""
    grew = f"3600 * {total(promql.rate(OPENED_TOTAL, *matchers))}"
    shrank = f"-3600 * {total(promql.rate(CLOSED, *matchers))}"
    panel = (
        panels.bars(
            "New and fixed failures per hour",
            "Up: checks that began to fail. Down: checks that passed again or whose resource or "
            "policy went away. From policyreport_failures_opened_total and "
            "policyreport_failures_closed_total. More up than down means growing debt.",
        )
        .with_target(panels.over_time(grew, "new"))
        .with_target(panels.over_time(shrank, "fixed", "B"))
    )
    return panels.painted(panel, {"new": "red", "fixed": "green"})


def outcomes(*matchers: str) -> TimeSeries:
    """Violations at admission, refused and let through."""
    refused = f"60 * {total(promql.rate(EVENTS, *matchers, BLOCKED))}"
    passed = f"60 * {total(promql.rate(EVENTS, *matchers, ALLOWED))}"
    panel = (
        panels.bars(
            "Violations at admission, per minute",
            "Requests that violated a policy: blocked by an enforced one, allowed by an audited "
            "one. From policyviolation_events_total. Allowed ones turn into blocked ones on the "
            "day that the policy enforces.",
        )
        .with_target(panels.over_time(refused, "blocked"))
        .with_target(panels.over_time(passed, "allowed", "B"))
    )
    return panels.painted(panel, {"blocked": "red", "allowed": "orange"})


def recent_blocks(*matchers: str) -> Table:
    """Return the newest refused requests by name."""
    newest = promql.now("policyviolation_recent_block_timestamp_seconds", *matchers)
    columns = [
        Column("Value", "When").unit("dateTimeFromNow").wide(145),
        tables.namespace().wide(110),
        Column("kind", "Kind").wide(100),
        Column("name", "Name"),
        tables.policy(),
        Column("rule", "Rule"),
        tables.cluster(),
    ]
    by = "cluster, namespace, kind, name, policy, rule"
    panel = tables.table_of(
        "What was blocked just now?",
        "The newest refused requests, at most 100 and at most an hour old. From "
        "policyviolation_recent_block_timestamp_seconds. Kyverno's Events do not say which user "
        "asked; the API server's audit log does. The rule's message is in "
        "`kubectl get events -A --field-selector reason=PolicyViolation`.",
        f"1000 * max by ({by}) (topk(100, {newest}))",
    )
    return tables.with_columns(panel, columns, sort=["-When"])


def failing_resources(*matchers: str) -> Table:
    """Who fails what, by name."""
    by = "cluster, namespace, kind, name, policy, rule, result, severity"
    one = promql.now("policyreport_resource_results", promql.COUNTED, *matchers)
    columns = [
        tables.severity(),
        tables.namespace(),
        Column("kind", "Kind").wide(120),
        Column("name", "Name"),
        tables.policy(),
        Column("rule", "Rule"),
        Column("result", "Result").words(palette.colored(palette.RESULT)).wide(90),
        tables.cluster(),
    ]
    panel = tables.table_of(
        "Which resources fail?",
        "One line for each failing check of one resource, the most severe first, at most 500. "
        "From policyreport_resource_results, which has its own series budget and can be switched "
        "off. Fix the workload that owns a Pod, not the Pod.",
        promql.ranked(f"topk(500, {total(one, by)})"),
    )
    hidden = ("Value", "severity")
    return tables.with_columns(
        panel.height(11), columns, sort=["Severity", "Namespace", "Name"], hidden=hidden
    )
