"""Policy / Policy: what one policy finds, who would break if it enforced, how it got there."""

from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, shared, tables, variables
from grafana.dashboards import promql as q
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.palette import RESULT
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
VERDICT = {
    "0": ("would block", "orange"),
    "1": ("ready", "green"),
    "2": ("enforced", "blue"),
}


def policy() -> Frame:
    """Return the dashboard of the authors of a policy."""
    return Frame(
        uid="policy-policy",
        title="Policy / Policy",
        description=(
            "Results of a policy, resources that would be refused if it were enforced, and"
            " its history."
        ),
        since="now-30d",
        refresh="5m",
        variables=[
            variables.data_source(),
            variables.cluster(),
            variables.policy(),
            *variables.scope(),
            variables.source(),
            variables.count(),
        ],
        annotations=[annotations.policy_changed("$policy"), annotations.exporter_started()],
        sections=[
            Section(100, "What does it find?", _headline()),
            Section(200, "Can it enforce?", [_readiness()]),
            Section(
                300,
                "How did it get here?",
                [_history(), _spread(), shared.opened_and_closed(*THIS), _outcomes()],
            ),
            Section(400, "Who would break?", [_rules(), _kinds(), _namespaces()]),
            Section(
                500,
                "By name",
                [
                    shared.unscored(*THIS),
                    shared.failing_workloads(*THIS),
                ],
            ),
        ],
    )


def _headline() -> list[Stat]:
    every = f"group({EVALUATED})"
    return [
        shared.compliance(q.compliance(*THIS, family=q.BY_POLICY)),
        panels.number(
            "Failing",
            "Failing workloads, each once for a policy; if Count is Objects, failing checks of all "
            "objects. Metrics: policyreport_failing_workloads, policyreport_results.",
            q.known(q.total(COUNTED), every),
        ).thresholds(palette.none_allowed("orange")),
        panels.number(
            "Namespaces failing",
            "Namespaces with at least one failing workload. Metric: "
            "policyreport_failing_workloads. If one namespace fails, talk to its team. If most "
            "namespaces fail, ask the policy's owner whether the policy is right.",
            q.known(f"count(group by (cluster, namespace) ({FAILING}))", every),
        ).thresholds(palette.none_allowed("orange")),
        panels.number(
            "Not evaluated",
            "Workloads for which a check ended with an error: it is unknown whether they comply. "
            'Metric: policyreport_failing_workloads{result="error"}. Fix the policy; the list below'
            " shows the rule.",
            q.known(q.total(q.of(q.WORKLOADS, *THIS, q.ERROR)), every),
        ).thresholds(palette.none_allowed("purple")),
        panels.number(
            "Skipped",
            "Checks skipped by an exception or a precondition. Metric: policyreport_results. Check"
            " that each exception is still justified.",
            q.known(q.total(q.of(q.UNMET, *THIS, 'result="skip"')), every),
        ),
        shared.oldest(every, *THIS),
        shared.opened(*THIS),
        shared.blocked(q.SCOPE, q.POLICY),
    ]


def _readiness() -> Table:
    by = "cluster, policy"
    info, loaded = q.policies(q.POLICY), palette.words({"0": ("no", "red"), "1": ("yes", "green")})
    ready = q.now("policyreport_policy_ready", q.CLUSTER, q.POLICY)
    changed = q.now("policyreport_policy_last_changed_timestamp_seconds", q.CLUSTER, q.POLICY)
    changed = f"1000 * max by ({by}) ({changed}) and on ({by}) {info}"
    oldest = f"time() - min by ({by}) ({q.of(q.SINCE, *THIS)}) and on ({by}) {FAILING}"
    new = f"{q.happened(q.OPENED, *THIS, by=by)} and on ({by}) ({EVALUATED})"
    unfit = q.known(q.total(q.of(q.WORKLOADS, *THIS), by), EVALUATED)
    enforced = f"group by ({by}) ({q.policies(q.POLICY, ENFORCED)})"

    def known(title: str, expr: str, color: str = "text") -> Column:
        return tables.count(title, q.known(expr, EVALUATED), color)

    namespaces = f"count by ({by}) ({q.total(FAILING, 'cluster, policy, namespace')})"
    errors = q.total(q.of(q.WORKLOADS, *THIS, q.ERROR), by)
    return tables.table_of(
        "Which policies can enforce?",
        "The column If it enforced covers every object, whatever Count is. It shows ready if "
        "nothing fails and everything was evaluated. Otherwise, failing objects would be refused "
        "at their next change. Loaded is Kyverno's Ready condition. New covers the selected time. "
        "Metrics: "
        "policyreport_policy_info, policyreport_policy_ready, policyreport_results, "
        "policyreport_failing_workloads, policyreport_failures_opened_total, "
        "policyreport_oldest_failure_timestamp_seconds and "
        "policyreport_policy_last_changed_timestamp_seconds. Enforce a policy once it has been "
        "ready for a release cycle.",
        [
            tables.policy(),
            Column("title", "Title"),
            tables.cluster(),
            tables.mode(),
            value("Loaded", f"min by ({by}) ({ready}) and on ({by}) {info}").words(loaded).wide(85),
            value("If it enforced", f"2 * {enforced} or ({unfit}) == bool 0")
            .words(palette.words(VERDICT))
            .wide(130),
            known("Failing", q.total(COUNTED, by)),
            known("Namespaces", namespaces).wide(110),
            known("Not evaluated", errors, "purple").wide(125),
            known("New", new),
            tables.age("Oldest", oldest),
            value("Changed", changed).unit("dateTimeFromNow").wide(140),
        ],
        rows_of=info,
        sort=["-Failing"],
    ).height(10)


def _history() -> TimeSeries:
    panel = panels.areas(
        "Results over time",
        "All results, stacked. Metric: policyreport_results (recorded, counts workloads and Pods)."
        " The purple part could not be evaluated. Enable the annotation Policy changed to see the "
        "effect of a change.",
    ).with_target(panels.over_time(q.total(q.of(q.BY_POLICY, *THIS), "result"), "{{result}}"))
    return panels.painted(panel.interval("2h"), RESULT)


def _spread() -> TimeSeries:
    failing = f"count by (policy) (group by (cluster, namespace, policy) ({FAILING}))"
    failing = q.ending(failing, "policy", FAILING)
    panel = panels.lines(
        "Namespaces failing, by policy",
        "Number of namespaces in which workloads fail a policy. Metric: "
        "policyreport_failing_workloads (recorded). A policy is ready to be enforced when the "
        "number reaches 0.",
    ).with_target(panels.over_time(failing, "{{policy}}"))
    return panels.legend_table(panel.min(0).interval("2h").no_value("nothing failed"))


def _outcomes() -> TimeSeries:
    return shared.outcomes(q.SCOPE, q.POLICY).interval("2h")


def _rules() -> BarGauge:
    by = "cluster, namespace, workload_kind, workload, policy, rule"
    workloads = f"count by (policy, rule) (group by ({by}) ({q.of(q.RESOURCES, *THIS, q.FAIL)}))"
    return (
        panels.ranking(
            "Failing workloads by rule",
            "Workloads that fail each rule, at most 20 rules. Autogen rules count as the rule from "
            "which they were generated. A CEL policy has a single rule without a name. Metric: "
            "policyreport_resource_results.",
            panels.instant(f"sort_desc(topk(20, {workloads}))", "{{policy}} {{rule}}"),
        )
        .span(8)
        .height(9)
    )


def _kinds() -> BarGauge:
    by_kind = f"sort_desc({q.total(COUNTED, 'workload_kind, kind')} > 0)"
    return panels.ranking(
        "Failing by kind",
        "Kinds of the failing workloads, or of all failing objects if Count is Objects. Metrics: "
        "policyreport_failing_workloads, policyreport_results.",
        panels.instant(by_kind, "{{workload_kind}}{{kind}}"),
    ).height(9)


def _namespaces() -> Table:
    by = "cluster, namespace"
    every = f"group by ({by}) ({q.of(q.BY_POLICY, *THIS, q.PASS)})"

    def known(title: str, expr: str, color: str = "text") -> Column:
        return tables.count(title, q.known(q.total(expr, by), every), color)

    passing = q.total(q.of(q.BY_POLICY, *THIS, q.PASS), by)
    return (
        tables.table_of(
            "Results by namespace",
            "Failing is what Count selects; the other columns are checks. Most failing first. "
            "Metrics: policyreport_failing_workloads and policyreport_results. Click a namespace "
            "to see what its team has to fix.",
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
        .span(10)
        .height(9)
    )
