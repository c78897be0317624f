"""Policy / Overview: are we fine, where are we not, and what is it."""

from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, promql, shared, tables, variables
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.links import ENFORCEMENT_URL, EXPORTER_URL, TEAM_URL, to_dashboard
from grafana.dashboards.palette import SEVERITY as SEVERITY_COLORS
from grafana.dashboards.promql import (
    BLOCKED,
    ERROR,
    FAIL,
    OPENED,
    RATED,
    RESOURCES,
    SCOPE,
    SEVERITY,
    SINCE,
    SOURCE,
    STATE,
    UNMET,
    VIOLATED,
    happened,
    known,
    of,
    total,
)
from grafana.dashboards.tables import Column, value

CHOSEN = (SCOPE, SOURCE, SEVERITY)


def overview() -> Frame:
    """Return the dashboard to keep open."""
    return Frame(
        uid="policy-overview",
        title="Policy / Overview",
        description="Compliance of clusters, teams and namespaces with their policies.",
        since="now-24h",
        refresh="1m",
        variables=[
            variables.data_source(),
            variables.cluster(),
            *variables.scope(),
            variables.source(),
            variables.severity(),
            variables.target(),
        ],
        annotations=[annotations.policy_changed(), annotations.exporter_started()],
        sections=[
            Section(100, "Are we fine?", [*_headline(), _trend(), shared.alerts().span(10)]),
            Section(
                200,
                "Is it getting better?",
                [
                    _by_severity().span(8),
                    shared.opened_and_closed(*CHOSEN).span(8),
                    _movers().span(8),
                ],
            ),
            Section(300, "Where?", [_namespaces(), _teams(), _compliance_by_team()]),
            Section(400, "What?", [_policies(), _categories(), _modes()]),
        ],
    )


def _state(*matchers: str) -> str:
    return of(STATE, *CHOSEN, *matchers)


def _headline() -> list[Stat]:
    every = f"group({_state()})"
    urgent = total(_state(FAIL, 'severity=~"critical|high"'))
    return [
        shared.compliance(promql.compliance(*CHOSEN)),
        shared.failing(total(_state(FAIL)), every),
        panels.number(
            "Critical or high",
            "Failing checks of policies with severity critical or high. Metric: "
            "policyreport_results. They are urgent enough to interrupt other work.",
            known(urgent, f"group({_state(RATED)})"),
        ).thresholds(palette.none_allowed()),
        shared.oldest(every, *CHOSEN),
        shared.opened(*CHOSEN),
        shared.blocked(SCOPE, SEVERITY).links([to_dashboard("Enforcement", ENFORCEMENT_URL)]),
        shared.not_evaluated(total(_state(ERROR)), every),
        shared.age_of_data().links([to_dashboard("Exporter", EXPORTER_URL)]),
    ]


def _trend() -> TimeSeries:
    last_week = promql.compliance(*CHOSEN, offset=" offset 1w")
    share = shared.compliance_over_time(promql.compliance(*CHOSEN), last_week)
    return share.span(14).height(9)


def _by_severity() -> TimeSeries:
    failing = promql.named(total(_state(FAIL), "severity"), "severity", "not read")
    panel = panels.areas(
        "Failing checks by severity",
        "Failing checks over time, by the severity of the policy. Metric: policyreport_results "
        "(recorded). The number should decrease. A sudden increase is caused by a release or a new"
        " policy.",
    ).with_target(panels.over_time(failing, "{{severity}}"))
    return panels.painted(panel.interval("10m"), SEVERITY_COLORS)


def _movers() -> Table:
    by = "cluster, namespace, policy"
    failing = total(of(UNMET, *CHOSEN, FAIL), by)
    before = total(of(UNMET, *CHOSEN, FAIL) + " offset $__range", by)
    change = promql.moved(failing, before)
    return tables.table_of(
        "What changed most?",
        "Policies and namespaces whose number of failing checks changed most since the start of "
        "the selected time. Metric: policyreport_results (recorded). Empty if the rules were not "
        "loaded at that time.",
        [
            Column("Value", "Change").warns(palette.steps("green", (0, "orange"))).wide(80),
            tables.policy(),
            tables.namespace().wide(110),
            tables.cluster().wide(80),
        ],
        f"(topk(7, {change} > 0) or bottomk(7, {change} < 0)) and on () group({before})",
        sort=["-Change"],
    ).height(8)


def _namespaces() -> Table:
    by = "cluster, namespace"
    worst = f"topk(200, {total(_state(FAIL), by)})"
    every = f"group by ({by}) ({_state()})"
    resources = total(of(RESOURCES, SCOPE, 'status="fail"'), by)
    new, blocked = (
        f"{happened(OPENED, *CHOSEN, by=by)}",
        f"{happened(VIOLATED, SCOPE, SEVERITY, BLOCKED, by=by)}",
    )
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
        tables.age(value(8), "Oldest"),
    ]
    return tables.table_of(
        "Which namespaces need work?",
        "One row for each namespace, most failing checks first, at most 200. Resources is the "
        "number of failing resources. New and Blocked cover the selected time. Metrics: "
        "policyreport_results, policyreport_resources, policyreport_failures_opened_total, "
        "policyviolation_events_total and policyreport_oldest_failure_timestamp_seconds. Click a "
        "name to see what to fix.",
        columns,
        *(
            f"({query}) and on ({by}) {worst}"
            for query in (
                promql.compliance(*CHOSEN, by=by),
                worst,
                known(total(_state(FAIL, 'severity="critical"'), by), every),
                known(total(_state(FAIL, 'severity="high"'), by), every),
                known(total(_state(ERROR), by), every),
                resources,
                known(new, every),
                known(blocked, f"({every}) and on () ({promql.EVENTS_SYNCED})"),
                f"time() - min by ({by}) ({of(SINCE, *CHOSEN)})",
            )
        ),
        sort=["-Failing"],
    ).height(14)


def _teams() -> Table:
    columns = [
        Column("owner", "Team")
        .link("Only this team", TEAM_URL)
        .having(mappings=[palette.empty_is("(no team)")]),
        Column(value(0), "Compliance").gauge(palette.ratio()).wide(190),
        tables.count(value(1), "Failing"),
        tables.count(value(2), "New"),
        tables.count(value(3), "Blocked"),
    ]
    every = promql.owned(f"group by ($owner) ({_state()})")
    blocked = promql.owned(happened(VIOLATED, SCOPE, SEVERITY, BLOCKED, by="$owner"))
    return (
        tables.table_of(
            "Which teams need help?",
            "One row for each value of the owner label (team), or one row without a name if "
            "labels.namespace_labels does not contain this label. Metrics: policyreport_results, "
            "policyreport_failures_opened_total and policyviolation_events_total.",
            columns,
            _share_by_owner(),
            promql.owned(total(_state(FAIL), "$owner")),
            known(promql.owned(happened(OPENED, *CHOSEN, by="$owner")), every),
            f"({known(blocked, f'({every}) and on () ({promql.EVENTS_SYNCED})')}) "
            f"and on (owner) {every}",
            sort=["-Failing"],
        )
        .span(10)
        .height(8)
    )


def _share_by_owner() -> str:
    return promql.owned(promql.compliance(*CHOSEN, by="$owner"))


def _compliance_by_team() -> TimeSeries:
    panel = (
        panels.lines(
            "Compliance by team",
            "Share of checks that pass, over time, by the owner label of the namespaces. Metric: "
            "policyreport_results (recorded).",
        )
        .unit("percentunit")
        .decimals(1)
        .max(1)
        .interval("10m")
        .with_target(
            panels.over_time(promql.named(_share_by_owner(), "owner", "(no team)"), "{{owner}}")
        )
        .span(14)
    )
    return panels.legend_table(panel)


def _policies() -> Table:
    by = "cluster, policy"
    unmet = of(UNMET, *CHOSEN, FAIL)
    worst = f"topk(50, {total(unmet, f'{by}, severity')})"
    some = f"group by ({by}) ({unmet})"
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
    rest = (
        f"count by ({by}) ({total(unmet, 'cluster, policy, namespace')})",
        known(total(of(UNMET, *CHOSEN, ERROR), by), some),
        known(happened(OPENED, *CHOSEN, by=by), some),
        known(
            happened(VIOLATED, SCOPE, SEVERITY, BLOCKED, by=by),
            f"({some}) and on () ({promql.EVENTS_SYNCED})",
        ),
    )
    return (
        tables.table_of(
            "Which policies fail most?",
            "One row for each policy with failing checks, most failing checks first, at most 50. "
            "Namespaces is the number of namespaces with a failing check. Metrics: "
            "policyreport_results, policyreport_policy_info, policyreport_failures_opened_total "
            "and policyviolation_events_total. If a policy fails in all namespaces, ask its "
            "author.",
            columns,
            promql.with_mode(promql.ranked(worst), f"{by}, severity"),
            *(f"({query}) and on ({by}) {worst}" for query in rest),
            sort=["-Failing"],
            hidden=("severity",),
        )
        .span(16)
        .height(9)
    )


def _categories() -> BarGauge:
    by_category = f"sort_desc({total(of(UNMET, *CHOSEN, FAIL), 'category')})"
    return (
        panels.ranking(
            "Failing checks by category",
            "Failing checks by the policies' category annotation. Metric: policyreport_results.",
            panels.instant(by_category, "{{category}}"),
        )
        .span(5)
        .height(9)
    )


def _modes() -> BarGauge:
    count = f"sort_desc(count by (mode) ({promql.policies()}))"
    panel = panels.ranking(
        "Policies by mode",
        "Number of policies that refuse violations (enforce), only report them (audit, warn), or "
        "do both (mixed). Metric: policyreport_policy_info. If fewer are in mode enforce than last"
        " week, enforcement was weakened.",
        panels.instant(count, "{{mode}}"),
    )
    return panels.painted(panel.no_value("policies are not read"), palette.MODE).span(3).height(9)
