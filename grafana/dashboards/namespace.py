"""Policy / Namespace: what of mine fails, what to fix first, what is and would be blocked."""

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, shared, tables, variables
from grafana.dashboards import promql as q
from grafana.dashboards.frame import Frame, Section

MINE = (q.SCOPE, q.SOURCE, q.POLICY, q.SEVERITY)
FAILING = q.of(q.WORKLOADS, *MINE, q.FAIL)


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
                [_fix_first(), shared.failing_workloads(*MINE, q.FAIL)],
            ),
            Section(300, "Is it getting better?", [_by_policy(), shared.opened_and_closed(*MINE)]),
            Section(
                400,
                "What is blocked, and what will be?",
                [
                    _would_be_blocked().span(10),
                    shared.recent_blocks(q.SCOPE, q.POLICY).span(14),
                    shared.outcomes(q.SCOPE, q.POLICY, q.SEVERITY).span(10).height(8),
                    shared.unscored(*MINE).span(14).height(8),
                ],
            ),
        ],
    )


def _headline() -> list[Stat]:
    every = f"group({q.of(q.BY_POLICY, *MINE, q.PASS)})"
    return [
        shared.compliance(q.compliance(*MINE, family=q.BY_POLICY)),
        _rated("Critical", "critical", "red", every),
        _rated("High", "high", "red", every),
        _rated("Medium", "medium", "orange", every),
        _rated("Low or unrated", "low|info|none", "yellow", every),
        shared.oldest(every, *MINE),
        shared.opened(*MINE),
        shared.blocked(q.SCOPE, q.POLICY, q.SEVERITY),
    ]


def _rated(title: str, severities: str, color: str, every: str) -> Stat:
    rated = q.total(q.of(q.WORKLOADS, *MINE, q.FAIL, f'severity=~"{severities}"'))
    return panels.number(
        title,
        f"Workloads that fail a policy whose severity is {severities.replace('|', ' or ')}, "
        "counted once for each policy. Metric: policyreport_failing_workloads. The table below "
        "lists the policies.",
        q.known(rated, every),
    ).thresholds(palette.none_allowed(color))


def _fix_first() -> Table:
    by = "cluster, namespace, policy, severity"
    failing = f"topk(200, {q.total(FAILING, by)})"
    age = f"time() - min by ({by}) ({q.of(q.SINCE, *MINE)})"
    return tables.table_of(
        "Failing policies, most severe first",
        "One row for each policy and namespace, at most 200. Mode is enforce if the policy refuses "
        "new violations; otherwise it only reports them. Workloads is the number of workloads that "
        "fail or own an object that fails. Failing for is the age of the oldest failure. Metrics: "
        "policyreport_failing_workloads, policyreport_policy_info and "
        "policyreport_oldest_failure_timestamp_seconds. Click a policy to see its dashboard.",
        [
            tables.severity(),
            tables.policy(),
            tables.namespace(),
            tables.mode(),
            tables.count("Workloads", q.with_mode(q.ranked(failing), by)).wide(100),
            tables.age("Failing for", f"{age} and on ({by}) {failing}"),
            tables.cluster(),
        ],
        sort=["Severity", "-Workloads"],
        hidden=("severity",),
    ).height(10)


def _by_policy() -> TimeSeries:
    failing = q.ending(q.total(FAILING, "policy"), "policy", FAILING)
    panel = panels.areas(
        "Failing workloads by policy",
        "Workloads that fail each policy, over time. Metric: policyreport_failing_workloads "
        "(recorded). A sudden increase is caused by a release or a policy. The annotation Policy "
        "changed shows which.",
    ).with_target(panels.over_time(failing, "{{policy}}"))
    return panels.legend_table(panel.interval("30m").no_value("nothing failed"))


def _would_be_blocked() -> Table:
    failing = f"topk(200, {q.total(FAILING, 'cluster, namespace, policy')})"
    policies = q.policies('mode=~"audit|warn|mixed"')
    audited = f"on (cluster, policy) group_left (mode) {policies}"
    return tables.table_of(
        "What would be blocked once it enforces?",
        "Workloads that fail policies that currently only report. Metrics: "
        "policyreport_failing_workloads and policyreport_policy_info. Once such a policy is "
        "enforced, the next change of these workloads is refused. Fix them before that.",
        [
            tables.policy(),
            tables.namespace().wide(110),
            tables.mode().wide(70),
            tables.count("Would be refused", f"{failing} * {audited}").wide(125),
            tables.cluster().wide(80),
        ],
        sort=["-Would be refused"],
    ).no_value("none, or policies are not read")
