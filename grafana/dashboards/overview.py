"""Policy / Overview: are we fine, where are we not, and what is it."""

from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, promql, shared, tables, variables
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.links import ENFORCEMENT_URL, EXPORTER_URL, KEEP, to_dashboard
from grafana.dashboards.palette import DAY, HOUR, SEVERITY
from grafana.dashboards.promql import (
    CLUSTER,
    COUNTED,
    ERROR,
    EVENTS,
    FAIL,
    NEWEST,
    OLDEST,
    OPENED,
    RECORDED,
    SCOPE,
    total,
)
from grafana.dashboards.tables import Column, value

RATED = promql.SEVERITY
URGENCY = {"1": ("critical", "red"), "2": ("warning", "orange"), "3": ("info", "blue")}
TEAM_URL = f"/d/policy-overview?{KEEP}&var-team=${{__value.raw}}"


def overview() -> Frame:
    """Return the dashboard to keep open."""
    return Frame(
        uid="policy-overview",
        title="Policy / Overview",
        description="Compliance of all clusters, teams and namespaces with their policies.",
        since="now-24h",
        refresh="1m",
        variables=[
            variables.data_source(),
            variables.cluster(),
            variables.team(),
            variables.namespace(),
            variables.severity(),
            variables.uncounted(),
        ],
        annotations=[annotations.policy_changed(), annotations.exporter_started()],
        sections=[
            Section(100, "Are we fine?", [*_state(), *_flow()]),
            Section(
                200,
                "Is it getting better?",
                [_by_severity(), shared.opened_and_closed(SCOPE, RATED)],
            ),
            Section(300, "Where?", [_namespaces(), _teams(), _compliance_over_time()]),
            Section(400, "What?", [_policies(), _categories(), _modes()]),
            Section(500, "What is alerting?", [_alerts()]),
        ],
    )


def _results(*matchers: str) -> str:
    return promql.results(SCOPE, RATED, *matchers)


def _state() -> list[Stat]:
    every = total(_results())
    urgent = total(_results(FAIL, 'severity=~"critical|high"'))
    return [
        shared.compliance(SCOPE, RATED),
        shared.failing(SCOPE, RATED),
        panels.number(
            "Critical or high",
            "Failing checks of policies rated critical or high. From policyreport_results. "
            "These are worth interrupting someone for.",
            promql.known(urgent, every),
        ).thresholds(palette.none_allowed()),
        shared.oldest(SCOPE, RATED),
    ]


def _flow() -> list[Stat]:
    newest = f"max by (cluster) ({NEWEST}{{{CLUSTER}}})"
    return [
        shared.opened(SCOPE, RATED),
        shared.blocked(SCOPE, RATED).links([to_dashboard("Enforcement", ENFORCEMENT_URL)]),
        shared.not_evaluated(SCOPE, RATED),
        panels.number(
            "Age of the data",
            "Time since the newest result, of several clusters that of the stalest. From "
            "policyreport_newest_result_timestamp_seconds. Kyverno scans every hour: above two "
            "hours its reports controller is stuck.",
            f"max(time() - {newest})",
        )
        .unit("s")
        .thresholds(palette.age(2 * HOUR, 3 * HOUR))
        .links([to_dashboard("Exporter", EXPORTER_URL)]),
    ]


def _by_severity() -> TimeSeries:
    failing = f"sum by (severity) ({RECORDED}{{{SCOPE},{RATED},{FAIL}}})"
    panel = panels.areas(
        "Failing checks by severity",
        "What fails, over time, by the severity of the policy. From the recording rule of "
        "policyreport_results, which counts workloads and Pods. It should fall; a step up is a "
        "release or a new policy.",
    ).with_target(panels.over_time(promql.ranked(failing), "{{severity}}"))
    return panels.painted(panel, SEVERITY)


def _namespaces() -> Table:
    by = "cluster, namespace"
    failing = total(promql.now("policyreport_resources", COUNTED, SCOPE, 'status="fail"'), by)
    columns = [
        tables.namespace(),
        tables.cluster(),
        Column(value(0), "Compliance").gauge(palette.ratio()).wide(230),
        tables.count(value(1), "Failing"),
        tables.count(value(2), "Critical", "red"),
        tables.count(value(3), "High", "orange"),
        tables.count(value(4), "Not evaluated", "purple").wide(125),
        tables.count(value(5), "Resources").wide(105),
        tables.count(value(6), "New"),
        tables.count(value(7), "Blocked"),
        tables.age(value(8), "Oldest", 7 * DAY, 30 * DAY),
    ]
    panel = tables.table_of(
        "Which namespaces need work?",
        "One line for each namespace, most failing checks first. Resources is how many resources "
        "fail something; New and Blocked count the selected time. From policyreport_results, "
        "policyreport_resources, policyreport_failures_opened_total, policyviolation_events_total "
        "and policyreport_oldest_failure_timestamp_seconds. Click a name to see what to fix.",
        promql.compliance(SCOPE, RATED, by=by),
        f"topk(200, {total(_results(FAIL), by)})",
        _or_zero(total(_results(FAIL, 'severity="critical"'), by), by),
        _or_zero(total(_results(FAIL, 'severity="high"'), by), by),
        _or_zero(total(_results(ERROR), by), by),
        failing,
        promql.grown(OPENED, SCOPE, RATED, by=by),
        promql.grown(EVENTS, SCOPE, RATED, by=by),
        f"time() - min by ({by}) ({promql.now(OLDEST, SCOPE, RATED)}) "
        f"and on ({by}) {total(_results(FAIL), by)} > 0",
    ).height(12)
    return tables.with_columns(panel, columns, sort=["-Failing"])


def _or_zero(expr: str, by: str) -> str:
    return promql.known(expr, total(_results(), by))


def _teams() -> Table:
    by = "team"
    columns = [
        Column("team", "Team")
        .link("Only this team", TEAM_URL)
        .having(mappings=[palette.empty_is("(no team)")]),
        Column(value(0), "Compliance").gauge(palette.ratio()).wide(190),
        tables.count(value(1), "Failing"),
        tables.count(value(2), "New"),
        tables.count(value(3), "Blocked"),
    ]
    panel = (
        tables.table_of(
            "Which teams need help?",
            "The same by the namespace label team, if labels.namespace_labels names it; else one "
            "line without a name. From policyreport_results, policyreport_failures_opened_total "
            "and policyviolation_events_total.",
            promql.compliance(SCOPE, RATED, by=by),
            total(_results(FAIL), by),
            promql.grown(OPENED, SCOPE, RATED, by=by),
            promql.grown(EVENTS, SCOPE, RATED, by=by),
        )
        .span(10)
        .height(8)
    )
    return tables.with_columns(panel, columns, sort=["-Failing"])


def _compliance_over_time() -> TimeSeries:
    matchers = f"{SCOPE},{RATED}"
    bad = f'sum by (team) ({RECORDED}{{{matchers},result=~"fail|error"}})'
    scored = f'sum by (team) ({RECORDED}{{{matchers},result=~"pass|fail|error"}})'
    share = f"1 - {bad} / ({scored} > 0)"
    panel = (
        panels.lines(
            "Compliance by team",
            "Share of checks that pass, over time. From the recording rule of "
            "policyreport_results, which counts workloads and Pods. A sudden fall is a new "
            "policy or a release; a slow one is neglect.",
        )
        .unit("percentunit")
        .max(1)
        .with_target(panels.over_time(promql.named(share, "team", "(no team)"), "{{team}}"))
        .span(14)
    )
    return panels.legend_table(panel)


def _policies() -> Table:
    by = "cluster, policy"
    failing = promql.ranked(total(_results(FAIL), f"{by}, severity"))
    spread = total(_results(FAIL), "cluster, policy, namespace")
    affected = f"count by ({by}) ({spread} > 0)"
    columns = [
        tables.policy(),
        tables.cluster(),
        tables.mode(),
        tables.severity(),
        tables.count(value(0), "Failing"),
        tables.count(value(1), "Namespaces").wide(110),
        tables.count(value(2), "Not evaluated", "purple").wide(125),
        tables.count(value(3), "New"),
        tables.count(value(4), "Blocked"),
    ]
    panel = (
        tables.table_of(
            "Which policies fail most?",
            "One line for each policy, most failing checks first; Namespaces is how many have at "
            "least one. From policyreport_results, policyreport_policy_info, "
            "policyreport_failures_opened_total and policyviolation_events_total. One policy that "
            "fails everywhere is a question for its author.",
            promql.with_mode(f"topk(50, {failing})", f"{by}, severity"),
            _or_zero(affected, by),
            _or_zero(total(_results(ERROR), by), by),
            promql.grown(OPENED, SCOPE, RATED, by=by),
            promql.grown(EVENTS, SCOPE, RATED, by=by),
        )
        .span(16)
        .height(11)
    )
    return tables.with_columns(panel, columns, sort=["-Failing"], hidden=("severity",))


def _categories() -> BarGauge:
    by_category = f"sort_desc({total(_results(FAIL), 'category')} > 0)"
    return (
        panels.ranking(
            "Failing checks by category",
            "Failing checks by the policies' category annotation. From policyreport_results.",
            panels.instant(by_category, "{{category}}"),
        )
        .span(5)
        .height(11)
    )


def _modes() -> BarGauge:
    count = f"sort_desc(count by (mode) ({promql.policies()}))"
    panel = panels.ranking(
        "Policies by mode",
        "How many policies refuse what violates them (enforce), only report it (audit, warn), or "
        "do both (mixed). From policyreport_policy_info. A shrinking enforce bar means that "
        "somebody weakened protection.",
        panels.instant(count, "{{mode}}"),
    )
    return panels.painted(panel.span(3).height(11), palette.MODE)


def _alerts() -> Table:
    by = "cluster, namespace, policy, alertname, severity"
    alerts = (
        f'ALERTS{{{CLUSTER},namespace=~"$namespace",alertstate="firing",'
        'alertname=~"(Policy|Kyverno).+",alertname!~".+Watchdog"}'
    )
    columns = [
        Column("alertname", "Alert"),
        Column("rank", "Urgency").words(palette.words(URGENCY)),
        tables.namespace(),
        tables.policy(),
        tables.cluster(),
        Column("Value", "Alerts").wide(100),
    ]
    panel = tables.table_of(
        "Firing alerts",
        "Alerts of this project's rules that fire now. From Prometheus' own ALERTS series; empty "
        "means that nothing fires, or that the rules are not loaded.",
        promql.ranked(total(alerts, by), [word for word, _ in URGENCY.values()]),
    ).height(7)
    return tables.with_columns(panel, columns, sort=["Urgency", "Alert"], hidden=("severity",))
