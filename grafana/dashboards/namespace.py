"""Policy / Namespace: what of mine fails, what to fix first, what is and would be blocked."""

from grafana.dashboards import annotations, palette, panels, shared, tables
from grafana.dashboards import promql as q
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.panels import Panel

MINE = (q.SCOPE, q.SOURCE, q.POLICY, q.SEVERITY)
FAILING = q.of(q.WORKLOADS, *MINE, q.FAIL)


def namespace() -> Frame:
    """Return the dashboard of a team that runs workloads."""
    return Frame(
        "policy-namespace",
        annotations.usual("$policy"),
        [
            Section(100, "How are we doing?", _headline()),
            Section(
                200,
                "What do we fix first?",
                [_fix_first(), shared.failing_workloads(*MINE, q.FAIL)],
            ),
            Section(300, "Is it getting better?", [_by_policy(), shared.opened_and_closed(*MINE)]),
            Section(400, "What is blocked, and what will be?", _admission()),
        ],
    )


def _headline() -> list[Panel]:
    every = f"group({q.of(q.BY_POLICY, *MINE, q.PASS)})"
    return [
        shared.compliance(q.compliance(*MINE, family=q.BY_POLICY)),
        _rated("Critical", "critical", "red", every),
        _rated("High", "high", "orange", every),
        _rated("Medium", "medium", "yellow", every),
        _rated("Low or unrated", "low|info|none", "blue", every),
        shared.oldest(every, *MINE),
        shared.opened(*MINE),
        shared.blocked(q.SCOPE, q.POLICY, q.SEVERITY),
    ]


def _rated(title: str, severities: str, color: str, every: str) -> Panel:
    rated = q.total(q.of(q.WORKLOADS, *MINE, q.FAIL, f'severity=~"{severities}"'))
    return panels.number(title, q.known(rated, every), palette.none_allowed(color))


def _fix_first() -> Panel:
    by = "cluster, namespace, policy, severity"
    failing = f"topk(200, {q.total(FAILING, by)})"
    age = f"time() - min by ({by}) ({q.of(q.SINCE, *MINE)})"
    return tables.table_of(
        "Failing policies, most severe first",
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


def _by_policy() -> Panel:
    failing = q.ending(q.total(FAILING, "policy"), "policy", FAILING)
    panel = panels.areas("Failing workloads by policy", {"{{policy}}": failing})
    return panels.legend_table(panel.settings(interval="30m").having(noValue="nothing failed"))


def _admission() -> list[Panel]:
    return [
        _would_be_blocked().span(10),
        shared.recent_blocks(q.SCOPE, q.POLICY).span(14),
        shared.outcomes(q.SCOPE, q.POLICY, q.SEVERITY).span(10).height(8),
        shared.unscored(*MINE).span(14).height(8),
    ]


def _would_be_blocked() -> Panel:
    failing = f"topk(200, {q.total(FAILING, 'cluster, namespace, policy')})"
    policies = q.policies('mode=~"audit|warn|mixed"')
    audited = f"on (cluster, policy) group_left (mode) {policies}"
    return tables.table_of(
        "What would be blocked if enforced?",
        [
            tables.policy(),
            tables.namespace().wide(110),
            tables.mode().wide(70),
            tables.count("Workloads", f"{failing} * {audited}"),
            tables.cluster().wide(80),
        ],
        sort=["-Workloads"],
    ).having(noValue="none, or policies are not read")
