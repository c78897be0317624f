"""Policy / Namespace: what of mine fails, what to fix first, what is and would be blocked."""

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, promql, shared, tables, variables
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.promql import (
    BY_POLICY,
    FAIL,
    POLICY,
    SCOPE,
    SEVERITY,
    SINCE,
    SOURCE,
    UNMET,
    WORKLOADS,
    known,
    of,
    total,
)
from grafana.dashboards.tables import Column, value

MINE = (SCOPE, SOURCE, POLICY, SEVERITY)
FAILING = of(UNMET, *MINE, FAIL)


def namespace() -> Frame:
    """Return the dashboard of a team that runs workloads."""
    return Frame(
        uid="policy-namespace",
        title="Policy / Namespace",
        description=(
            "Failures in your namespaces, which of them to fix first, and blocked requests."
        ),
        since="now-7d",
        refresh="1m",
        variables=[
            variables.data_source(),
            variables.cluster(),
            *variables.scope(),
            variables.source(),
            variables.policy(),
            variables.severity(),
        ],
        annotations=[annotations.policy_changed("$policy"), annotations.exporter_started()],
        sections=[
            Section(100, "How are we doing?", _headline()),
            Section(
                200,
                "What do we fix first?",
                [_fix_first(), shared.failing_resources(*MINE, FAIL, WORKLOADS)],
            ),
            Section(300, "Is it getting better?", [_by_policy(), shared.opened_and_closed(*MINE)]),
            Section(
                400,
                "What is blocked, and what will be?",
                [
                    _would_be_blocked().span(10),
                    shared.recent_blocks(SCOPE, POLICY).span(14),
                    shared.outcomes(SCOPE, POLICY, SEVERITY).span(10).height(8),
                    shared.unscored(*MINE).span(14).height(8),
                ],
            ),
        ],
    )


def _headline() -> list[Stat]:
    every = f"group({of(BY_POLICY, *MINE, promql.PASS)})"
    return [
        shared.compliance(promql.compliance(*MINE, family=BY_POLICY)),
        _rated("Critical", "critical", "red", every),
        _rated("High", "high", "red", every),
        _rated("Medium", "medium", "orange", every),
        _rated("Low or unrated", "low|info|none", "yellow", every),
        shared.oldest(every, *MINE),
        shared.opened(*MINE),
        shared.blocked(SCOPE, POLICY, SEVERITY),
    ]


def _rated(title: str, severities: str, color: str, every: str) -> Stat:
    rated = total(of(UNMET, *MINE, FAIL, f'severity=~"{severities}"'))
    return panels.number(
        title,
        f"Failing checks of policies whose severity is {severities.replace('|', ' or ')}. Metric: "
        "policyreport_results. The table below lists them.",
        known(rated, every),
    ).thresholds(palette.none_allowed(color))


def _fix_first() -> Table:
    by = "cluster, namespace, policy, rule, severity"
    same = "cluster, namespace, policy, severity"
    failing = f"topk(200, {total(FAILING, by)})"
    age = f"time() - min by ({same}) ({of(SINCE, *MINE)})"
    return tables.table_of(
        "Failing rules, most severe first",
        "One row for each failing rule, at most 200. Mode is enforce if the policy refuses new "
        "violations; otherwise it only reports them. Failing for is the age of the policy's oldest"
        " failure in the namespace. Metrics: policyreport_results, policyreport_policy_info and "
        "policyreport_oldest_failure_timestamp_seconds. Click a policy to see its dashboard.",
        [
            tables.severity(),
            tables.policy(),
            Column("rule", "Rule"),
            tables.namespace(),
            tables.mode(),
            tables.count(value(0), "Failing"),
            tables.age(value(1), "Failing for"),
            tables.cluster(),
        ],
        promql.with_mode(promql.ranked(failing), by),
        f"({failing}) * 0 + on ({same}) group_left () ({age})",
        sort=["Severity", "-Failing"],
        hidden=("severity",),
    ).height(10)


def _by_policy() -> TimeSeries:
    panel = panels.areas(
        "Failing checks by policy",
        "Failing checks over time, by policy. Metric: policyreport_results (recorded, counts "
        "workloads and Pods). A sudden increase is caused by a release or a policy. The annotation"
        " Policy changed shows which.",
    ).with_target(panels.over_time(total(FAILING, "policy"), "{{policy}}"))
    return panels.legend_table(panel.interval("30m").no_value("nothing failed"))


def _would_be_blocked() -> Table:
    audited = promql.policies('mode=~"audit|warn|mixed"')
    return tables.table_of(
        "What would be blocked once it enforces?",
        "Failing checks of policies that currently only report. Metrics: policyreport_results and "
        "policyreport_policy_info. Once such a policy is enforced, the next change of these "
        "resources is refused. Fix them before that.",
        [
            tables.policy(),
            tables.namespace().wide(110),
            tables.mode().wide(70),
            tables.count("Value", "Would be refused").wide(125),
            tables.cluster().wide(80),
        ],
        f"topk(200, {total(FAILING, 'cluster, namespace, policy')}) "
        f"* on (cluster, policy) group_left (mode) {audited}",
        sort=["-Would be refused"],
    ).no_value("none, or policies are not read")
