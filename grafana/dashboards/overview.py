"""Policy / Overview: are we fine, where are we not, and what is it."""

from grafana.dashboards import annotations, palette, panels, shared, tables
from grafana.dashboards import promql as q
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.links import ENFORCEMENT_URL, EXPORTER_URL, TEAM_URL, link
from grafana.dashboards.panels import Panel, number
from grafana.dashboards.tables import Column, count, value

CHOSEN = (q.SCOPE, q.SOURCE, q.SEVERITY)
WORKLOADS = q.of(q.WORKLOADS, *CHOSEN, q.FAIL)


def overview() -> Frame:
    """Return the dashboard to keep open."""
    return Frame(
        "policy-overview",
        annotations.usual(),
        [
            Section(100, "Do we comply?", [*_headline(), _trend(), shared.alerts().span(10)]),
            Section(200, "Is it getting better?", _changes()),
            Section(300, "Where?", [_namespaces(), _teams(), _compliance_by_team()]),
            Section(400, "What?", [_policies(), _categories(), _modes()]),
        ],
    )


def _state(*matchers: str) -> str:
    return q.of(q.STATE, *CHOSEN, *matchers)


def _headline() -> list[Panel]:
    every, rated = f"group({_state()})", f"group({_state(q.RATED)})"
    failing, errors = q.total(_state(q.FAIL)), q.total(_state(q.ERROR))
    urgent = q.total(q.of(q.WORKLOADS, *CHOSEN, q.FAIL, 'severity=~"critical|high"'))
    blocked = shared.blocked(q.SCOPE, q.SEVERITY)
    return [
        shared.compliance(q.compliance(*CHOSEN)),
        number("Failing checks", q.known(failing, every)),
        number("Critical or high", q.known(urgent, rated), palette.none_allowed()),
        shared.oldest(every, *CHOSEN),
        shared.opened(*CHOSEN),
        blocked.settings(links=[link("Enforcement", url=ENFORCEMENT_URL)]),
        number("Not evaluated", q.known(errors, every), palette.none_allowed("purple")),
        shared.age_of_data().settings(links=[link("Exporter", url=EXPORTER_URL)]),
    ]


def _trend() -> Panel:
    share, last_week = q.compliance(*CHOSEN), q.compliance(*CHOSEN, offset=" offset 1w")
    drawn = {"compliance": share, "target": shared.TARGET, "a week before": last_week}
    panel = shared.shares("Compliance, target and last week", drawn, "10m").span(14).height(9)
    colors = {"compliance": "green", "target": "orange", "a week before": palette.MUTED}
    return panels.painted(panels.dashed(panel, "target", "a week before"), colors)


def _changes() -> list[Panel]:
    failing = q.named(q.total(_state(q.FAIL), "severity"), "severity", "not read")
    by_severity = panels.areas("Failing checks by severity", {"{{severity}}": failing})
    return [
        panels.painted(by_severity.settings(interval="10m"), palette.SEVERITY).span(8),
        shared.opened_and_closed(*CHOSEN).span(8),
        _movers().span(8),
    ]


def _movers() -> Panel:
    by = "cluster, namespace, policy"
    before = q.total(f"{WORKLOADS} offset $__range", by)
    change = q.moved(q.total(WORKLOADS, by), before)
    most = f"topk(3, {change} > 0) or bottomk(3, {change} < 0)"
    changed = value("Change", f"({most}) and on () group({before})")
    return tables.table_of(
        "What changed most?",
        [
            changed.warns(palette.steps("green", (0, "orange"))).wide(80),
            tables.policy(),
            tables.namespace().wide(110),
            tables.cluster().wide(80),
        ],
        sort=["-Change"],
    ).height(8)


def _namespaces() -> Panel:
    by = "cluster, namespace"
    checks, workloads = q.total(_state(q.FAIL), by), q.total(WORKLOADS, by)
    worst = f"topk(200, {workloads} or {checks})"
    every, rated = f"group by ({by}) ({_state()})", f"group by ({by}) ({_state(q.RATED)})"

    def failing(severity: str) -> str:
        rated_so = q.of(q.WORKLOADS, *CHOSEN, q.FAIL, f'severity="{severity}"')
        return among(q.known(q.total(rated_so, by), rated))

    def among(query: str) -> str:
        return f"({query}) and on ({by}) {worst}"

    blocked = _blocked(by, every)
    oldest = f"time() - min by ({by}) ({q.of(q.SINCE, *CHOSEN)})"
    errors = q.known(q.total(_state(q.ERROR), by), every)
    compliance = value("Compliance", among(q.compliance(*CHOSEN, by=by)))
    return tables.table_of(
        "Which namespaces need work?",
        [
            tables.namespace(),
            tables.cluster(),
            compliance.gauge(palette.ratio()).wide(230),
            count("Workloads", among(q.known(workloads, rated))).wide(100),
            count("Critical", failing("critical"), "red"),
            count("High", failing("high"), "orange"),
            count("Checks", among(checks)),
            count("Not evaluated", among(errors), "purple").wide(125),
            count("New", among(q.known(q.happened(q.OPENED, *CHOSEN, by=by), rated))),
            count("Blocked", among(blocked)),
            tables.age("Oldest", among(oldest)),
        ],
        sort=["-Workloads", "-Checks"],
    ).height(14)


def _blocked(by: str, every: str) -> str:
    refused = q.happened(q.VIOLATED, q.SCOPE, q.SEVERITY, q.BLOCKED, by=by)
    return q.known(refused, f"({every}) and on () ({q.EVENTS_SYNCED})")


def _teams() -> Panel:
    every = q.owned(f"group by ($owner) ({_state()})")
    rated = q.owned(f"group by ($owner) ({_state(q.RATED)})")
    workloads = q.owned(q.total(WORKLOADS, "$owner"))
    new = q.owned(q.happened(q.OPENED, *CHOSEN, by="$owner"))
    blocked = q.owned(q.happened(q.VIOLATED, q.SCOPE, q.SEVERITY, q.BLOCKED, by="$owner"))
    blocked = q.known(blocked, f"({every}) and on () ({q.EVENTS_SYNCED})")
    team = Column("owner", "Team").link("Only this team", TEAM_URL)
    return (
        tables.table_of(
            "Which teams need help?",
            [
                team.having(mappings=[palette.empty_is("(no team)")]),
                value("Compliance", _share_by_owner()).gauge(palette.ratio()).wide(190),
                count("Workloads", q.known(workloads, rated)).wide(100),
                count("New", q.known(new, rated)),
                count("Blocked", f"({blocked}) and on (owner) {every}"),
            ],
            sort=["-Workloads"],
        )
        .span(10)
        .height(8)
    )


def _share_by_owner() -> str:
    return q.owned(q.compliance(*CHOSEN, by="$owner"))


def _compliance_by_team() -> Panel:
    by_team = {"{{owner}}": q.named(_share_by_owner(), "owner", "(no team)")}
    return panels.legend_table(shared.shares("Compliance by team", by_team, "10m").span(14))


def _policies() -> Panel:
    by = "cluster, policy"
    worst = f"topk(50, {q.total(WORKLOADS, f'{by}, severity')})"
    some = f"group by ({by}) ({WORKLOADS})"

    def among(query: str) -> str:
        return f"({query}) and on ({by}) {worst}"

    workloads = q.with_mode(q.ranked(worst), f"{by}, severity")
    namespaces = f"count by ({by}) ({q.total(WORKLOADS, 'cluster, policy, namespace')})"
    errors = q.known(q.total(q.of(q.WORKLOADS, *CHOSEN, q.ERROR), by), some)
    blocked = _blocked(by, some)
    return (
        tables.table_of(
            "Which policies fail most?",
            [
                tables.policy(),
                tables.cluster(),
                tables.mode(),
                tables.severity(),
                count("Workloads", workloads).wide(100),
                count("Namespaces", among(namespaces)).wide(110),
                count("Not evaluated", among(errors), "purple").wide(125),
                count("New", among(q.known(q.happened(q.OPENED, *CHOSEN, by=by), some))),
                count("Blocked", among(blocked)),
            ],
            sort=["-Workloads"],
            hidden=("severity",),
        )
        .span(16)
        .height(9)
    )


def _categories() -> Panel:
    failing = f"sort_desc({q.total(q.of(q.UNMET, *CHOSEN, q.FAIL), 'category')})"
    by_category = panels.instant(failing, "{{category}}")
    return panels.ranking("Failing checks by category", by_category).span(5).height(9)


def _modes() -> Panel:
    counted = panels.instant(f"sort_desc(count by (mode) ({q.policies()}))", "{{mode}}")
    panel = panels.ranking("Policies by mode", counted).having(noValue="policies are not read")
    return panels.painted(panel, palette.MODE).span(3).height(9)
