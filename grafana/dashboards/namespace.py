"""Policy / Namespace: what of mine fails, what to fix first, what is and would be blocked."""

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, promql, shared, tables, variables
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.palette import DAY
from grafana.dashboards.promql import FAIL, OLDEST, POLICY, RECORDED, SCOPE, SEVERITY, total
from grafana.dashboards.tables import Column, value

MINE = (SCOPE, POLICY, SEVERITY)


def namespace() -> Frame:
    """Return the dashboard of a team that runs workloads."""
    return Frame(
        uid="policy-namespace",
        title="Policy / Namespace",
        description="What fails in your namespaces, what to fix first, and what was blocked.",
        since="now-7d",
        refresh="1m",
        variables=[
            variables.data_source(),
            variables.cluster(),
            variables.team(),
            variables.namespace(),
            variables.policy(),
            variables.severity(),
            variables.uncounted(),
        ],
        annotations=[annotations.policy_changed("$policy"), annotations.exporter_started()],
        sections=[
            Section(100, "How are we doing?", _headline()),
            Section(200, "What do we fix first?", [_fix_first(), _resources()]),
            Section(300, "Is it getting better?", [_by_policy(), shared.opened_and_closed(*MINE)]),
            Section(
                400,
                "What is blocked, and what will be?",
                [_would_be_blocked(), _blocks(), shared.outcomes(*MINE), _unscored()],
            ),
        ],
    )


def _headline() -> list[Stat]:
    return [
        shared.compliance(*MINE),
        _rated("Critical", "critical", "red"),
        _rated("High", "high", "red"),
        _rated("Medium", "medium", "orange"),
        _rated("Low or unrated", "low|info|none", "yellow"),
        shared.oldest(*MINE),
        shared.opened(*MINE),
        shared.blocked(*MINE),
    ]


def _rated(title: str, severities: str, color: str) -> Stat:
    rated = total(promql.results(*MINE, FAIL, f'severity=~"{severities}"'))
    return panels.number(
        title,
        f"Failing checks of policies whose severity is {severities.replace('|', ', ')}. From "
        "policyreport_results. The table below names them.",
        promql.known(rated, total(promql.results(*MINE))),
    ).thresholds(palette.none_allowed(color))


def _failing(*matchers: str) -> str:
    return promql.results(*MINE, FAIL, *matchers)


def _fix_first() -> Table:
    by = "cluster, namespace, policy, rule, severity"
    failing = f"{total(_failing(), by)} > 0"
    since = promql.now(OLDEST, *MINE)
    columns = [
        tables.severity(),
        tables.policy(),
        Column("rule", "Rule"),
        tables.namespace(),
        tables.mode(),
        tables.count(value(0), "Failing"),
        tables.age(value(1), "Failing for", 7 * DAY, 30 * DAY),
        tables.cluster(),
    ]
    age = f"time() - min by (cluster, namespace, policy, severity) ({since})"
    panel = tables.table_of(
        "Failing rules, most severe first",
        "One line for each failing rule. Mode says whether the policy already refuses new "
        "violations (enforce) or only reports them. Failing for is the age of the policy's oldest "
        "failure in that namespace. From policyreport_results, policyreport_policy_info and "
        "policyreport_oldest_failure_timestamp_seconds. Click a policy to read what it wants.",
        promql.with_mode(promql.ranked(f"topk(200, {failing})"), by),
        f"({failing}) * 0 + on (cluster, namespace, policy, severity) group_left () ({age})",
    )
    return tables.with_columns(
        panel.height(10), columns, sort=["Severity", "-Failing"], hidden=("severity",)
    )


def _resources() -> Table:
    return shared.failing_resources(*MINE, FAIL)


def _by_policy() -> TimeSeries:
    failing = f"sum by (policy) ({RECORDED}{{{','.join(MINE)},{FAIL}}}) > 0"
    panel = panels.areas(
        "Failing checks by policy",
        "What fails, over time, by policy. From the recording rule of policyreport_results, "
        "which counts workloads and Pods. A step up is a release of yours or a new policy; the "
        "annotation Policy changed tells them apart.",
    ).with_target(panels.over_time(failing, "{{policy}}"))
    return panels.legend_table(panel)


def _would_be_blocked() -> Table:
    by = "cluster, namespace, policy"
    columns = [
        tables.policy(),
        tables.namespace(),
        tables.mode(),
        tables.count("Value", "Would be refused"),
        tables.cluster(),
    ]
    columns[3] = columns[3].wide(150)
    audited = promql.policies('mode=~"audit|warn|mixed"')
    panel = tables.table_of(
        "What would be blocked once it enforces?",
        "Failing checks of policies that only report today. From policyreport_results and "
        "policyreport_policy_info. On the day that such a policy enforces, the next change of "
        "these resources is refused: fix them before.",
        f"({total(_failing(), by)} > 0) * on (cluster, policy) group_left (mode) {audited}",
    )
    return tables.with_columns(panel.span(10), columns, sort=["-Would be refused"])


def _blocks() -> Table:
    return shared.recent_blocks(SCOPE, POLICY).span(14)


def _unscored() -> Table:
    by = "cluster, namespace, policy, rule, result"
    unscored = promql.results(*MINE, 'result=~"error|warn|skip"')
    columns = [
        tables.policy(),
        Column("rule", "Rule"),
        tables.namespace(),
        Column("result", "Result").words(palette.colored(palette.RESULT)).wide(90),
        Column("Value", "Checks").wide(90),
        tables.cluster(),
    ]
    panel = tables.table_of(
        "What is excepted or not evaluated?",
        "Checks that neither pass nor fail: error (the rule could not be evaluated), warn "
        "(unscored), skip (an exception or a precondition). From policyreport_results. Skips are "
        "decisions: see that each still has a reason.",
        f"topk(200, {total(unscored, by)})",
    )
    return tables.with_columns(panel.span(12).height(8), columns, sort=["-Checks"])
