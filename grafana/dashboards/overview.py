"""Policy / Overview: are we fine, where are we not, and what is it."""

from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, shared, tables, variables
from grafana.dashboards import promql as q
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.links import ENFORCEMENT_URL, EXPORTER_URL, TEAM_URL, to_dashboard
from grafana.dashboards.palette import SEVERITY as SEVERITY_COLORS
from grafana.dashboards.tables import Column, value

CHOSEN = (q.SCOPE, q.SOURCE, q.SEVERITY)


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
    return q.of(q.STATE, *CHOSEN, *matchers)


def _headline() -> list[Stat]:
    every = f"group({_state()})"
    urgent = q.total(q.of(q.WORKLOADS, *CHOSEN, q.FAIL, 'severity=~"critical|high"'))
    return [
        shared.compliance(q.compliance(*CHOSEN)),
        shared.failing(q.total(_state(q.FAIL)), every),
        panels.number(
            "Critical or high",
            "Workloads that fail a policy with severity critical or high, counted once for each "
            "such policy. Metric: policyreport_failing_workloads. They are urgent enough to "
            "interrupt other work.",
            q.known(urgent, f"group({_state(q.RATED)})"),
        ).thresholds(palette.none_allowed()),
        shared.oldest(every, *CHOSEN),
        shared.opened(*CHOSEN),
        shared.blocked(q.SCOPE, q.SEVERITY).links([to_dashboard("Enforcement", ENFORCEMENT_URL)]),
        panels.number(
            "Not evaluated",
            "Checks that ended with an error. It is unknown whether these resources comply. Metric:"
            ' policyreport_results{result="error"}. Fix the policy; its dashboard shows the rule.',
            q.known(q.total(_state(q.ERROR)), every),
        ).thresholds(palette.none_allowed("purple")),
        shared.age_of_data().links([to_dashboard("Exporter", EXPORTER_URL)]),
    ]


def _trend() -> TimeSeries:
    last_week = q.compliance(*CHOSEN, offset=" offset 1w")
    share = shared.compliance_over_time(q.compliance(*CHOSEN), last_week)
    return share.span(14).height(9)


def _by_severity() -> TimeSeries:
    failing = q.named(q.total(_state(q.FAIL), "severity"), "severity", "not read")
    panel = panels.areas(
        "Failing checks by severity",
        "Failing checks over time, by the severity of the policy. Metric: policyreport_results "
        "(recorded). The number should decrease. A sudden increase is caused by a release or a new"
        " policy.",
    ).with_target(panels.over_time(failing, "{{severity}}"))
    return panels.painted(panel.interval("10m"), SEVERITY_COLORS)


def _movers() -> Table:
    by = "cluster, namespace, policy"
    failing = q.total(q.of(q.WORKLOADS, *CHOSEN, q.FAIL), by)
    before = q.total(q.of(q.WORKLOADS, *CHOSEN, q.FAIL) + " offset $__range", by)
    change = q.moved(failing, before)
    most = f"topk(7, {change} > 0) or bottomk(7, {change} < 0)"
    return tables.table_of(
        "What changed most?",
        "Policies and namespaces whose number of failing workloads changed most since the start "
        "of the selected time. Metric: policyreport_failing_workloads (recorded). Empty if the "
        "rules were not loaded at that time.",
        [
            value("Change", f"({most}) and on () group({before})")
            .warns(palette.steps("green", (0, "orange")))
            .wide(80),
            tables.policy(),
            tables.namespace().wide(110),
            tables.cluster().wide(80),
        ],
        sort=["-Change"],
    ).height(8)


def _namespaces() -> Table:
    by = "cluster, namespace"
    checks, workloads = q.total(_state(q.FAIL), by), q.total(q.of(q.WORKLOADS, *CHOSEN, q.FAIL), by)
    worst = f"topk(200, {workloads} or {checks})"
    every, rated = f"group by ({by}) ({_state()})", f"group by ({by}) ({_state(q.RATED)})"

    def failing(severity: str) -> str:
        rated_so = q.of(q.WORKLOADS, *CHOSEN, q.FAIL, f'severity="{severity}"')
        return among(q.known(q.total(rated_so, by), rated))

    def among(query: str) -> str:
        return f"({query}) and on ({by}) {worst}"

    blocked = q.known(
        q.happened(q.VIOLATED, q.SCOPE, q.SEVERITY, q.BLOCKED, by=by),
        f"({every}) and on () ({q.EVENTS_SYNCED})",
    )
    oldest = f"time() - min by ({by}) ({q.of(q.SINCE, *CHOSEN)})"
    errors = q.known(q.total(_state(q.ERROR), by), every)
    return tables.table_of(
        "Which namespaces need work?",
        "One row for each namespace, most failing workloads first, at most 200. Workloads, "
        "Critical and High are workloads that fail a policy, counted once for each policy. Checks "
        "is the number of failing checks, from which compliance is computed. New and Blocked cover "
        "the selected time. Metrics: policyreport_results, policyreport_failing_workloads, "
        "policyreport_failures_opened_total, policyviolation_events_total and "
        "policyreport_oldest_failure_timestamp_seconds. Click a name to see what to fix.",
        [
            tables.namespace(),
            tables.cluster(),
            value("Compliance", among(q.compliance(*CHOSEN, by=by)))
            .gauge(palette.ratio())
            .wide(230),
            tables.count("Workloads", among(q.known(workloads, rated))).wide(100),
            tables.count("Critical", failing("critical"), "red"),
            tables.count("High", failing("high"), "orange"),
            tables.count("Checks", among(checks)),
            tables.count("Not evaluated", among(errors), "purple").wide(125),
            tables.count("New", among(q.known(q.happened(q.OPENED, *CHOSEN, by=by), rated))),
            tables.count("Blocked", among(blocked)),
            tables.age("Oldest", among(oldest)),
        ],
        sort=["-Workloads", "-Checks"],
    ).height(14)


def _teams() -> Table:
    every = q.owned(f"group by ($owner) ({_state()})")
    rated = q.owned(f"group by ($owner) ({_state(q.RATED)})")
    workloads = q.owned(q.total(q.of(q.WORKLOADS, *CHOSEN, q.FAIL), "$owner"))
    new = q.owned(q.happened(q.OPENED, *CHOSEN, by="$owner"))
    blocked = q.owned(q.happened(q.VIOLATED, q.SCOPE, q.SEVERITY, q.BLOCKED, by="$owner"))
    blocked = q.known(blocked, f"({every}) and on () ({q.EVENTS_SYNCED})")
    team = Column("owner", "Team").link("Only this team", TEAM_URL)
    return (
        tables.table_of(
            "Which teams need help?",
            "One row for each value of the owner label (team), or one row without a name if "
            "labels.namespace_labels does not contain this label. Metrics: policyreport_results, "
            "policyreport_failing_workloads, policyreport_failures_opened_total and "
            "policyviolation_events_total.",
            [
                team.having(mappings=[palette.empty_is("(no team)")]),
                value("Compliance", _share_by_owner()).gauge(palette.ratio()).wide(190),
                tables.count("Workloads", q.known(workloads, rated)).wide(100),
                tables.count("New", q.known(new, rated)),
                tables.count("Blocked", f"({blocked}) and on (owner) {every}"),
            ],
            sort=["-Workloads"],
        )
        .span(10)
        .height(8)
    )


def _share_by_owner() -> str:
    return q.owned(q.compliance(*CHOSEN, by="$owner"))


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
            panels.over_time(q.named(_share_by_owner(), "owner", "(no team)"), "{{owner}}")
        )
        .span(14)
    )
    return panels.legend_table(panel)


def _policies() -> Table:
    by = "cluster, policy"
    failing = q.of(q.WORKLOADS, *CHOSEN, q.FAIL)
    worst = f"topk(50, {q.total(failing, f'{by}, severity')})"
    some = f"group by ({by}) ({failing})"

    def among(query: str) -> str:
        return f"({query}) and on ({by}) {worst}"

    workloads = q.with_mode(q.ranked(worst), f"{by}, severity")
    namespaces = f"count by ({by}) ({q.total(failing, 'cluster, policy, namespace')})"
    errors = q.known(q.total(q.of(q.WORKLOADS, *CHOSEN, q.ERROR), by), some)
    blocked = q.known(
        q.happened(q.VIOLATED, q.SCOPE, q.SEVERITY, q.BLOCKED, by=by),
        f"({some}) and on () ({q.EVENTS_SYNCED})",
    )
    return (
        tables.table_of(
            "Which policies fail most?",
            "One row for each policy that workloads fail, most workloads first, at most 50. "
            "Namespaces is the number of namespaces with such a workload. Metrics: "
            "policyreport_failing_workloads, policyreport_policy_info, "
            "policyreport_failures_opened_total and policyviolation_events_total. If a policy "
            "fails in all namespaces, ask its author.",
            [
                tables.policy(),
                tables.cluster(),
                tables.mode(),
                tables.severity(),
                tables.count("Workloads", workloads).wide(100),
                tables.count("Namespaces", among(namespaces)).wide(110),
                tables.count("Not evaluated", among(errors), "purple").wide(125),
                tables.count("New", among(q.known(q.happened(q.OPENED, *CHOSEN, by=by), some))),
                tables.count("Blocked", among(blocked)),
            ],
            sort=["-Workloads"],
            hidden=("severity",),
        )
        .span(16)
        .height(9)
    )


def _categories() -> BarGauge:
    by_category = f"sort_desc({q.total(q.of(q.UNMET, *CHOSEN, q.FAIL), 'category')})"
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
    count = f"sort_desc(count by (mode) ({q.policies()}))"
    panel = panels.ranking(
        "Policies by mode",
        "Number of policies that refuse violations (enforce), only report them (audit, warn), or "
        "do both (mixed). Metric: policyreport_policy_info. If fewer are in mode enforce than last"
        " week, enforcement was weakened.",
        panels.instant(count, "{{mode}}"),
    )
    return panels.painted(panel.no_value("policies are not read"), palette.MODE).span(3).height(9)
