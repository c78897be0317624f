"""Policy / Policy: what one policy finds, who would break if it enforced, how it got there."""

from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, promql, shared, tables, variables
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.palette import DAY, RESULT
from grafana.dashboards.promql import (
    CLUSTER,
    ERROR,
    FAIL,
    OLDEST,
    OPENED,
    PASS,
    POLICY,
    RECORDED,
    SCOPE,
    known,
    now,
    total,
)
from grafana.dashboards.tables import Column, value

THIS = (SCOPE, POLICY)
ENFORCED = 'mode="enforce"'
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
        description="What a policy finds, who would break if it enforced, and its history.",
        since="now-30d",
        refresh="5m",
        variables=[
            variables.data_source(),
            variables.cluster(),
            variables.policy(),
            variables.team(),
            variables.namespace(),
            variables.uncounted(),
        ],
        annotations=[annotations.policy_changed("$policy"), annotations.exporter_started()],
        sections=[
            Section(100, "What does it find?", _headline()),
            Section(200, "Can it enforce?", [_readiness()]),
            Section(300, "How did it get here?", [_history(), _spread(), *_flows()]),
            Section(400, "Who would break?", [_rules(), _kinds(), _namespaces()]),
            Section(500, "By name", [shared.failing_resources(*THIS)]),
        ],
    )


def _results(*matchers: str) -> str:
    return promql.results(*THIS, *matchers)


def _headline() -> list[Stat]:
    every, failing = total(_results()), total(_results(FAIL), "cluster, namespace")
    return [
        shared.compliance(*THIS),
        shared.failing(*THIS),
        panels.number(
            "Namespaces failing",
            "Namespaces with at least one failing check. From policyreport_results. One: talk to "
            "the team. Most: talk about the policy.",
            known(f"count({failing} > 0)", every),
        ).thresholds(palette.none_allowed("orange")),
        shared.not_evaluated(*THIS),
        panels.number(
            "Skipped",
            "Checks skipped by an exception or a precondition. From policyreport_results. Each "
            "exception is a decision that should still have a reason.",
            known(total(_results('result="skip"')), every),
        ),
        shared.oldest(*THIS),
        shared.opened(*THIS),
        shared.blocked(*THIS),
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
        tables.age(value(7), "Oldest", 7 * DAY, 30 * DAY),
        Column(value(8), "Changed").unit("dateTimeFromNow").wide(140),
    ]
    panel = tables.table_of(
        "Which policies can enforce?",
        "If it enforced: ready when nothing fails and nothing is left unevaluated, else what fails "
        "would be refused at its next change. Loaded is Kyverno's own Ready condition; New counts "
        "the selected time. From policyreport_policy_info, policyreport_policy_ready, "
        "policyreport_results, policyreport_failures_opened_total, "
        "policyreport_oldest_failure_timestamp_seconds and "
        "policyreport_policy_last_changed_timestamp_seconds. Enforce what has been ready for a "
        "release cycle.",
        *_readiness_queries(by),
    )
    hidden = (value(0),)
    return tables.with_columns(panel.height(10), columns, sort=["-Failing"], hidden=hidden)


def _readiness_queries(by: str) -> list[str]:
    ready = now("policyreport_policy_ready", CLUSTER, POLICY)
    changed = now("policyreport_policy_last_changed_timestamp_seconds", CLUSTER, POLICY)
    failing = total(_results(FAIL), by)
    unfit = known(total(_results('result=~"fail|error"'), by), total(_results(), by))
    spread = total(_results(FAIL), "cluster, policy, namespace")
    enforced = f"group by ({by}) ({promql.policies(POLICY, ENFORCED)})"
    return [
        promql.policies(POLICY),
        f"min by ({by}) ({ready})",
        f"2 * {enforced} or ({unfit}) == bool 0",
        failing,
        known(f"count by ({by}) ({spread} > 0)", failing),
        known(total(_results(ERROR), by), total(_results(), by)),
        promql.grown(OPENED, *THIS, by=by),
        f"time() - min by ({by}) ({now(OLDEST, *THIS)}) and on ({by}) {failing} > 0",
        f"1000 * max by ({by}) ({changed})",
    ]


def _history() -> TimeSeries:
    recorded = f"sum by (result) ({RECORDED}{{{','.join(THIS)}}})"
    panel = panels.areas(
        "Results over time",
        "All results, stacked. From the recording rule of policyreport_results, which counts "
        "workloads and Pods. The purple part is unmeasured; switch the annotation Policy changed "
        "on to see what an edit did.",
    ).with_target(panels.over_time(recorded, "{{result}}"))
    return panels.painted(panel, RESULT)


def _spread() -> TimeSeries:
    failing = f"sum by (cluster, namespace, policy) ({RECORDED}{{{','.join(THIS)},{FAIL}}})"
    panel = panels.lines(
        "Namespaces failing, by policy",
        "In how many namespaces each policy has at least one failing check. From the recording "
        "rule of policyreport_results. Falling to zero is what makes a policy ready to enforce.",
    ).with_target(panels.over_time(f"count by (policy) ({failing} > 0)", "{{policy}}"))
    return panels.legend_table(panel.min(0))


def _flows() -> list[TimeSeries]:
    return [shared.opened_and_closed(*THIS), shared.outcomes(*THIS)]


def _rules() -> BarGauge:
    by_rule = f"sort_desc(topk(20, {total(_results(FAIL), 'policy, rule')} > 0))"
    return (
        panels.ranking(
            "Failing checks by rule",
            "Rules generated for workload controllers count with the rule they came from; a CEL "
            "policy has one nameless rule. From policyreport_results.",
            panels.instant(by_rule, "{{policy}} {{rule}}"),
        )
        .span(8)
        .height(9)
    )


def _kinds() -> BarGauge:
    by_kind = f"sort_desc({total(_results(FAIL), 'kind')} > 0)"
    return panels.ranking(
        "Failing checks by kind",
        "Kinds of the failing resources, without those that Count leaves out. From "
        "policyreport_results.",
        panels.instant(by_kind, "{{kind}}"),
    ).height(9)


def _namespaces() -> Table:
    by = "cluster, namespace"
    columns = [
        tables.namespace(),
        tables.cluster(),
        tables.count(value(0), "Failing"),
        Column(value(1), "Passing").wide(90),
        tables.count(value(2), "Not evaluated", "purple").wide(125),
    ]
    panel = tables.table_of(
        "Failing checks by namespace",
        "Where it would break, most failing first. From policyreport_results. Click a namespace "
        "to see what its team has to fix.",
        f"topk(100, {total(_results(FAIL), by)} > 0)",
        f"{total(_results(PASS), by)} and on ({by}) ({total(_results(FAIL), by)} > 0)",
        f"({known(total(_results(ERROR), by), total(_results(), by))}) "
        f"and on ({by}) ({total(_results(FAIL), by)} > 0)",
    )
    return tables.with_columns(panel.span(10).height(9), columns, sort=["-Failing"])
