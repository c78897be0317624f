"""Policy / Policy: what one policy finds, who would break if it enforced, how it got there."""

from grafana.dashboards import annotations, palette, shared, tables
from grafana.dashboards import panels as p
from grafana.dashboards import promql as q
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.palette import RESULT, none_allowed
from grafana.dashboards.panels import Panel
from grafana.dashboards.tables import Column, value

ENFORCED = 'mode="enforce"'
THIS = (q.SCOPE, q.SOURCE, q.POLICY)
# What the variable Count chooses: failing workloads, or failing checks of all objects.
COUNTED = q.now("", '__name__="$count"', *THIS, q.FAIL)
FAILING = q.of(q.WORKLOADS, *THIS, q.FAIL)
EVALUATED = (
    f"group by (cluster, policy) ({q.of(q.BY_POLICY, *THIS, q.PASS)})"
    f" or group by (cluster, policy) ({q.of(q.PODS_ONLY, *THIS)})"
)
VERDICT = {"0": ("would block", "orange"), "1": ("ready", "green"), "2": ("enforced", "blue")}


def policy() -> Frame:
    """Return the dashboard of the authors of a policy."""
    return Frame(
        "policy-policy",
        annotations.usual("$policy"),
        [
            Section(100, "What does it find?", _headline()),
            Section(200, "Can it be enforced?", [_readiness()]),
            Section(300, "How did it change?", _history()),
            Section(400, "What would break?", _breakers()),
            Section(500, "By name", [shared.unscored(*THIS), shared.failing_workloads(*THIS)]),
        ],
    )


def _headline() -> list[Panel]:
    every = f"group({EVALUATED})"
    namespaces = f"count(group by (cluster, namespace) ({FAILING}))"
    errors = q.total(q.of(q.WORKLOADS, *THIS, q.ERROR))
    skipped = q.total(q.of(q.UNMET, *THIS, 'result="skip"'))
    return [
        shared.compliance(q.compliance(*THIS, family=q.BY_POLICY)),
        p.number("Failing", q.known(q.total(COUNTED), every)),
        p.number("Namespaces failing", q.known(namespaces, every)),
        p.number("Not evaluated", q.known(errors, every), none_allowed("purple")),
        p.number("Skipped", q.known(skipped, every)),
        shared.oldest(every, *THIS),
        shared.opened(*THIS),
        shared.blocked(q.SCOPE, q.POLICY),
    ]


def _readiness() -> Panel:
    by = "cluster, policy"
    info, loaded = q.policies(q.POLICY), palette.YES_NO
    ready = q.now("policyreport_policy_ready", q.CLUSTER, q.POLICY)
    changed = q.now("policyreport_policy_last_changed_timestamp_seconds", q.CLUSTER, q.POLICY)
    changed = f"1000 * max by ({by}) ({changed}) and on ({by}) {info}"
    oldest = f"time() - min by ({by}) ({q.of(q.SINCE, *THIS)}) and on ({by}) {FAILING}"
    new = f"{q.happened(q.OPENED, *THIS, by=by)} and on ({by}) ({EVALUATED})"
    unfit = q.known(q.total(q.of(q.WORKLOADS, *THIS), by), EVALUATED)
    enforced = f"group by ({by}) ({q.policies(q.POLICY, ENFORCED)})"

    def known(title: str, expr: str, color: str = "text") -> Column:
        return tables.count(title, q.known(expr, EVALUATED), color)

    verdict = value("If enforced", f"2 * {enforced} or ({unfit}) == bool 0")
    namespaces = f"count by ({by}) ({q.total(FAILING, 'cluster, policy, namespace')})"
    errors = q.total(q.of(q.WORKLOADS, *THIS, q.ERROR), by)
    return tables.table_of(
        "Which policies can be enforced?",
        [
            tables.policy(),
            Column("title", "Title"),
            tables.cluster(),
            tables.mode(),
            value("Loaded", f"min by ({by}) ({ready}) and on ({by}) {info}").words(loaded).wide(85),
            verdict.words(VERDICT).wide(130),
            known("Failing", q.total(COUNTED, by)),
            known("Namespaces", namespaces).wide(110),
            known("Not evaluated", errors, "purple").wide(125),
            known("New", new),
            tables.age("Oldest", oldest),
            value("Changed", changed).having(unit="dateTimeFromNow").wide(140),
        ],
        rows_of=info,
        sort=["-Failing"],
    ).height(11)


def _history() -> list[Panel]:
    results = {"{{result}}": q.total(q.of(q.BY_POLICY, *THIS), "result")}
    failing = f"count by (policy) (group by (cluster, namespace, policy) ({FAILING}))"
    spread = {"{{policy}}": q.ending(failing, "policy", FAILING)}
    namespaces = p.legend_table(p.lines("Namespaces failing, by policy", spread).having(min=0))
    return [
        p.painted(p.areas("Results over time", results).settings(interval="2h"), RESULT),
        namespaces.settings(interval="2h").having(noValue="nothing failed"),
        shared.opened_and_closed(*THIS),
        shared.outcomes(q.SCOPE, q.POLICY).settings(interval="2h"),
    ]


def _breakers() -> list[Panel]:
    by = "cluster, namespace, workload_kind, workload, policy, rule"
    workloads = f"count by (policy, rule) (group by ({by}) ({q.of(q.RESOURCES, *THIS, q.FAIL)}))"
    rules = p.instant(f"sort_desc(topk(20, {workloads}))", "{{policy}} {{rule}}")
    by_kind = f"sort_desc({q.total(COUNTED, 'workload_kind, kind')} > 0)"
    kinds = p.instant(by_kind, "{{workload_kind}}{{kind}}")
    return [
        p.ranking("Failing workloads by rule", rules).span(8).height(9),
        p.ranking("Failing by kind", kinds).height(9),
        _namespaces().span(10).height(9),
    ]


def _namespaces() -> Panel:
    by = "cluster, namespace"
    every = f"group by ({by}) ({q.of(q.BY_POLICY, *THIS, q.PASS)})"

    def known(title: str, expr: str, color: str = "text") -> Column:
        return tables.count(title, q.known(q.total(expr, by), every), color)

    passing = q.total(q.of(q.BY_POLICY, *THIS, q.PASS), by)
    return tables.table_of(
        "Results by namespace",
        [
            tables.namespace(),
            tables.cluster().wide(80),
            known("Failing", COUNTED).wide(75),
            value("Passing", passing).wide(80),
            known("Skipped", q.of(q.UNMET, *THIS, 'result="skip"')).wide(80),
            known("Not evaluated", q.of(q.UNMET, *THIS, q.ERROR), "purple").wide(115),
        ],
        sort=["-Failing"],
    )
