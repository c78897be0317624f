"""Policy / Enforcement: what is being refused now, to whom, and is it dangerous."""

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, promql, shared, tables, variables
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.promql import (
    ALLOWED,
    BLOCKED,
    CLUSTER,
    EVENTS,
    EVENTS_SYNCED,
    POLICY,
    SCOPE,
    increase,
    now,
    rate,
    total,
    while_known,
)
from grafana.dashboards.tables import Column

THESE = (SCOPE, POLICY)
SYSTEM = 'namespace=~"$system"'
WEBHOOK = f'{CLUSTER},name=~".*kyverno.*"'
ENFORCED = 'mode=~"enforce|mixed"'
LIVE = "policyviolation_live_events"


def enforcement() -> Frame:
    """Return the dashboard for the moment when a deployment does not go through."""
    return Frame(
        uid="policy-enforcement",
        title="Policy / Enforcement",
        description="Requests that enforced policies refuse: now, to whom, by which policy.",
        since="now-1h",
        refresh="30s",
        variables=[
            variables.data_source(),
            variables.cluster(),
            variables.team(),
            variables.namespace(),
            variables.policy(),
            variables.system_namespaces(),
        ],
        annotations=[annotations.policy_changed("$policy"), annotations.exporter_started()],
        sections=[
            Section(100, "Is something blocked that must run?", _headline()),
            Section(200, "Right now", [shared.recent_blocks(*THESE).span(14), _by_policy()]),
            Section(300, "Who is hit?", [_by_namespace(), shared.outcomes(*THESE)]),
            Section(400, "Who keeps trying?", [_repeated(), _first_ever()]),
            Section(500, "What the API server sees", _api_server(), collapsed=True),
        ],
    )


def _headline() -> list[Stat]:
    blocked = increase(EVENTS, *THESE, BLOCKED)
    spread = f"count({total(blocked, 'cluster, namespace')} > 0)"
    return [
        _number(
            "Blocked in 5 minutes",
            "Refused requests of the last five minutes, whatever time is selected. From "
            "policyviolation_events_total. Above zero, look at the table below.",
            total(increase(EVENTS, *THESE, BLOCKED, window="5m")),
        ).thresholds(palette.none_allowed("orange")),
        _number(
            "Events still kept",
            "Blocked requests whose Event the API server still has, about the last hour. From "
            "policyviolation_live_events: right even when the exporter has just started.",
            total(now(LIVE, *THESE, 'outcome="blocked"')),
        ),
        _number(
            "In system namespaces",
            "Refused requests of the selected time in the namespaces listed at the top. From "
            "policyviolation_events_total. The cluster itself may not heal: make an exception "
            "for the namespace first, understand later.",
            total(increase(EVENTS, *THESE, SYSTEM, BLOCKED)),
        ).thresholds(palette.none_allowed()),
        _number(
            "Namespaces hit",
            "Namespaces with a refused request in the selected time. From "
            "policyviolation_events_total. Many at once: it is the policy, not the teams.",
            spread,
        ),
        _number(
            "Policies blocking",
            "Policies that refused a request in the selected time. From "
            "policyviolation_events_total.",
            f"count({total(blocked, 'cluster, policy')} > 0)",
        ),
        _number(
            "Let through",
            "Requests of the selected time that violated a policy which only audits. From "
            "policyviolation_events_total. They would have been refused under enforcement.",
            total(increase(EVENTS, *THESE, ALLOWED)),
        ),
        panels.number(
            "Enforced policies",
            "Policies that refuse what violates them. From policyreport_policy_info. Fewer than "
            "yesterday: somebody relaxed one.",
            f"count({promql.policies(POLICY, ENFORCED)})",
        ),
        panels.number(
            "Events watched",
            "Whether the exporter follows the cluster's Events at this moment. From "
            "policyreport_exporter_watch_up. If not, the numbers here stand still: see the "
            "Exporter dashboard.",
            f'min(policyreport_exporter_watch_up{{{CLUSTER},resource=~"events.*"}})',
        ).mappings([palette.words({"0": ("no", "red"), "1": ("yes", "green")})]),
    ]


def _number(title: str, description: str, expr: str) -> Stat:
    return panels.number(title, description, while_known(expr, EVENTS_SYNCED)).decimals(0)


def _by_policy() -> TimeSeries:
    by_policy = f"60 * {total(rate(EVENTS, *THESE, BLOCKED), 'policy')} > 0"
    panel = panels.bars(
        "Blocked per minute, by policy",
        "Refused requests by the policy that refused them. From policyviolation_events_total. A "
        "new colour is a policy that began to block.",
    ).with_target(panels.over_time(by_policy, "{{policy}}"))
    return panel.span(10).height(9)


def _by_namespace() -> TimeSeries:
    blocked = f"60 * {total(rate(EVENTS, *THESE, BLOCKED), 'namespace')} > 0"
    by_namespace = promql.named(blocked, "namespace", "(cluster)")
    return panels.bars(
        "Blocked per minute, by namespace",
        "Refused requests by the namespace of the refused resource. From "
        "policyviolation_events_total. A steady band is a controller that keeps retrying.",
    ).with_target(panels.over_time(by_namespace, "{{namespace}}"))


def _repeated() -> Table:
    by = "cluster, namespace, kind, policy, rule"
    columns = [
        tables.namespace(),
        Column("kind", "Kind").wide(120),
        tables.policy(),
        Column("rule", "Rule"),
        Column("Value", "Blocked").wide(100),
        tables.cluster(),
    ]
    panel = tables.table_of(
        "Who was blocked most?",
        "Refused requests of the selected time by namespace, kind, policy and rule. From "
        "policyviolation_events_total. Pods and ReplicaSets with high counts are a controller "
        "retrying: the Deployment was accepted, its Pods are not.",
        f"topk(50, round({total(increase(EVENTS, *THESE, BLOCKED), by)}) > 0)",
    )
    return tables.with_columns(panel.span(14), columns, sort=["-Blocked"])


def _first_ever() -> Table:
    by = "cluster, policy"
    counter = total(now(EVENTS, *THESE, BLOCKED), by)
    before = (
        f"max without ({promql.REPLICA_LABELS}) ({EVENTS}{{{SCOPE},{BLOCKED}}} offset $__range)"
    )
    columns = [
        tables.policy(),
        Column("Value", "Blocked so far").wide(140),
        tables.cluster(),
    ]
    panel = tables.table_of(
        "Which policies blocked for the first time?",
        "Policies whose first refused request ever counted lies in the selected time. From "
        "policyviolation_events_total. New ones are worth a look at who they hit; an exporter "
        "without a state directory starts its count anew.",
        f"({counter} > 0) unless on ({by}) ({total(before, by)} > 0)",
    )
    return tables.with_columns(panel.span(10), columns, sort=["-Blocked so far"])


def _api_server() -> list[TimeSeries]:
    refused = _webhook_rate("rejection_count")
    unchecked = _webhook_rate("fail_open_count")
    buckets = _webhook_rate("admission_duration_seconds_bucket")
    seconds = f"histogram_quantile(0.99, sum by (le, name) ({buckets}))"
    return [
        panels.bars(
            "Webhook refusals per minute",
            "What the API server counts of Kyverno's webhooks: no_error is a policy that refused, "
            "anything else a webhook that did not answer well. From "
            "apiserver_admission_webhook_rejection_count of the API server.",
        )
        .with_target(panels.over_time(f"60 * sum by (error_type) ({refused})", "{{error_type}}"))
        .no_value("Prometheus does not scrape the API server")
        .span(8),
        panels.bars(
            "Requests let through unchecked, per minute",
            "The webhook did not answer and its failurePolicy is Ignore. From "
            "apiserver_admission_webhook_fail_open_count of the API server. Nothing is enforced "
            "at such a moment: look at Kyverno's admission controller.",
        )
        .with_target(panels.over_time(f"60 * sum({unchecked})", "unchecked"))
        .no_value("Prometheus does not scrape the API server")
        .span(8),
        panels.lines(
            "Webhook latency, 99th percentile",
            "How long the API server waits for Kyverno. From "
            "apiserver_admission_webhook_admission_duration_seconds of the API server. Near the "
            "webhook's timeout, requests begin to fail.",
        )
        .unit("s")
        .with_target(panels.over_time(seconds, "{{name}}"))
        .no_value("Prometheus does not scrape the API server")
        .span(8),
    ]


def _webhook_rate(name: str) -> str:
    return f"rate(apiserver_admission_webhook_{name}{{{WEBHOOK}}}[$__rate_interval])"
