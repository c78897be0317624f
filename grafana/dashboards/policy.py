"""Policy / Policy: what one policy finds, who would break if it enforced, how it got there."""

from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, promql, shared, tables, variables
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.palette import RESULT
from grafana.dashboards.promql import (
    BY_POLICY,
    CLUSTER,
    COUNTED,
    ERROR,
    FAIL,
    OPENED,
    PASS,
    POLICY,
    SCOPE,
    SINCE,
    SOURCE,
    UNMET,
    known,
    now,
    of,
    total,
)
from grafana.dashboards.tables import Column, value

ENFORCED = 'mode="enforce"'
THIS = (SCOPE, SOURCE, POLICY)
VERDICT = {
    "0": ("would block", "orange"),
    "1": ("ready", "green"),
    "2": ("enforced", "blue"),
}


def policy() -> Frame:
    """Return the dashboard of whoever writes or relaxes a policy."""
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
            variables.controlled(),
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
                    shared.failing_resources(*THIS, COUNTED),
                ],
            ),
        ],
    )


def _results(*matchers: str) -> str:
    return now("policyreport_results", COUNTED, *THIS, *matchers)


def _headline() -> list[Stat]:
    every, failing = total(_results()), total(_results(FAIL), "cluster, namespace")
    bad, scored = total(_results(promql.BAD)), total(_results(promql.SCORED))
    return [
        shared.compliance(f"1 - {bad} / ({scored} > 0)"),
        shared.failing(total(_results(FAIL)), every),
        panels.number(
            "Namespaces failing",
            "Namespaces with at least one failing check. Metric: policyreport_results. If one "
            "namespace fails, talk to its team. If most namespaces fail, ask the policy's owner "
            "whether the policy is right.",
            known(f"count({failing} > 0)", every),
        ).thresholds(palette.none_allowed("orange")),
        shared.not_evaluated(total(_results(ERROR)), every),
        panels.number(
            "Skipped",
            "Checks skipped by an exception or a precondition. Metric: policyreport_results. Check"
            " that each exception is still justified.",
            known(total(_results('result="skip"')), every),
        ),
        shared.oldest(every, *THIS),
        shared.opened(*THIS),
        shared.blocked(SCOPE, POLICY),
    ]


def _readiness() -> Table:
    by = "cluster, policy"
    columns = [
        tables.policy(),
        Column("title", "Title"),
        tables.cluster(),
        tables.mode(),
        Column(value(1), "Loaded")
        .words(palette.words({"0": ("no", "red"), "1": ("yes", "green")}))
        .wide(85),
        Column(value(2), "If it enforced").words(palette.words(VERDICT)).wide(130),
        tables.count(value(3), "Failing"),
        tables.count(value(4), "Namespaces").wide(110),
        tables.count(value(5), "Not evaluated", "purple").wide(125),
        tables.count(value(6), "New"),
        tables.age(value(7), "Oldest"),
        Column(value(8), "Changed").unit("dateTimeFromNow").wide(140),
    ]
    return tables.table_of(
        "Which policies can enforce?",
        "The column If it enforced covers every object, whatever Count is. It shows ready if "
        "nothing fails and everything was evaluated. Otherwise, failing resources would be refused "
        "at their next change. Loaded is Kyverno's "
        "Ready condition. New covers the selected time. Metrics: policyreport_policy_info, "
        "policyreport_policy_ready, policyreport_results, policyreport_failures_opened_total, "
        "policyreport_oldest_failure_timestamp_seconds and "
        "policyreport_policy_last_changed_timestamp_seconds. Enforce a policy once it has been "
        "ready for a release cycle.",
        columns,
        *_readiness_queries(by),
        sort=["-Failing"],
        hidden=(value(0),),
    ).height(10)


def _readiness_queries(by: str) -> list[str]:
    info = promql.policies(POLICY)
    ready = now("policyreport_policy_ready", CLUSTER, POLICY)
    changed = now("policyreport_policy_last_changed_timestamp_seconds", CLUSTER, POLICY)
    every, failing = f"group by ({by}) ({_results()})", total(_results(FAIL), by)
    # Enforcement refuses objects that others own, too, whatever the variable Count counts.
    objects = now("policyreport_results", *THIS)
    bad = now("policyreport_results", *THIS, promql.BAD)
    unfit = known(total(bad, by), f"group by ({by}) ({objects})")
    spread = total(_results(FAIL), "cluster, policy, namespace")
    enforced = f"group by ({by}) ({promql.policies(POLICY, ENFORCED)})"
    return [
        info,
        f"min by ({by}) ({ready}) and on ({by}) {info}",
        f"2 * {enforced} or ({unfit}) == bool 0",
        failing,
        known(f"count by ({by}) ({spread} > 0)", failing),
        known(total(_results(ERROR), by), every),
        known(f"{promql.happened(OPENED, *THIS, by=by)} and on ({by}) {every}", every),
        f"time() - min by ({by}) ({of(SINCE, *THIS)}) and on ({by}) {failing} > 0",
        f"1000 * max by ({by}) ({changed}) and on ({by}) {info}",
    ]


def _history() -> TimeSeries:
    panel = panels.areas(
        "Results over time",
        "All results, stacked. Metric: policyreport_results (recorded, counts workloads and Pods)."
        " The purple part could not be evaluated. Enable the annotation Policy changed to see the "
        "effect of a change.",
    ).with_target(panels.over_time(total(of(BY_POLICY, *THIS), "result"), "{{result}}"))
    return panels.painted(panel.interval("2h"), RESULT)


def _spread() -> TimeSeries:
    failing = f"group by (cluster, namespace, policy) ({of(UNMET, *THIS, FAIL)})"
    panel = panels.lines(
        "Namespaces failing, by policy",
        "Number of namespaces in which a policy has failing checks. Metric: policyreport_results "
        "(recorded). A policy is ready to be enforced when the number reaches 0.",
    ).with_target(panels.over_time(f"count by (policy) ({failing})", "{{policy}}"))
    return panels.legend_table(panel.min(0).interval("2h").no_value("nothing failed"))


def _outcomes() -> TimeSeries:
    return shared.outcomes(SCOPE, POLICY).interval("2h")


def _rules() -> BarGauge:
    by_rule = f"sort_desc(topk(20, {total(_results(FAIL), 'policy, rule')} > 0))"
    return (
        panels.ranking(
            "Failing checks by rule",
            "Failing checks by rule. Autogen rules count as the rule from which they were "
            "generated. A CEL policy has a single rule without a name. Metric: "
            "policyreport_results.",
            panels.instant(by_rule, "{{policy}} {{rule}}"),
        )
        .span(8)
        .height(9)
    )


def _kinds() -> BarGauge:
    by_kind = f"sort_desc({total(_results(FAIL), 'kind')} > 0)"
    return panels.ranking(
        "Failing checks by kind",
        "Kinds of the failing resources, without those that Count excludes. Metric: "
        "policyreport_results.",
        panels.instant(by_kind, "{{kind}}"),
    ).height(9)


def _namespaces() -> Table:
    by = "cluster, namespace"
    every = f"group by ({by}) ({_results()})"
    columns = [
        tables.namespace(),
        tables.cluster().wide(80),
        tables.count(value(0), "Failing").wide(75),
        Column(value(1), "Passing").wide(80),
        tables.count(value(2), "Skipped").wide(80),
        tables.count(value(3), "Not evaluated", "purple").wide(115),
    ]
    return (
        tables.table_of(
            "Results by namespace",
            "Results of the policy by namespace, most failing checks first. Metric: "
            "policyreport_results. Click a namespace to see what its team has to fix.",
            columns,
            total(_results(FAIL), by),
            total(_results(PASS), by),
            known(total(_results('result="skip"'), by), every),
            known(total(_results(ERROR), by), every),
            sort=["-Failing"],
        )
        .span(10)
        .height(9)
    )
