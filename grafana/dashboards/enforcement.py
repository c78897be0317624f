"""Policy / Enforcement: what is being refused now, to whom, and is it dangerous."""

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import annotations, palette, panels, shared, tables, variables
from grafana.dashboards import promql as q
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.tables import Column, value

THESE = (q.SCOPE, q.POLICY)
SYSTEM = 'namespace=~"$system"'
WEBHOOK = 'name=~".*kyverno.*"'
ENFORCED = 'mode=~"enforce|mixed"'
ADMISSION = "kyverno_admission_review_duration_seconds_bucket"


def enforcement() -> Frame:
    """Return the dashboard for the moment when a deployment does not go through."""
    return Frame(
        uid="policy-enforcement",
        title="Policy / Enforcement",
        description="Requests that enforced policies refuse, by namespace and policy.",
        since="now-1h",
        refresh="30s",
        variables=[
            variables.data_source(),
            variables.cluster(),
            *variables.scope(),
            variables.policy(),
            variables.system_namespaces(),
        ],
        annotations=[annotations.policy_changed("$policy"), annotations.exporter_started()],
        sections=[
            Section(100, "Is something blocked that must run?", _headline()),
            Section(200, "Right now", [shared.recent_blocks(*THESE).span(14), _by_policy()]),
            Section(300, "Who is hit?", [_by_namespace(), shared.outcomes(*THESE).interval("1m")]),
            Section(400, "Who keeps trying?", [_repeated(), _first_ever()]),
            Section(500, "Is Kyverno well?", _kyverno()),
            Section(600, "What does the API server report?", _api_server(), collapsed=True),
        ],
    )


def _headline() -> list[Stat]:
    return [
        _number(
            "Blocked in 5 minutes",
            "Requests refused in the last five minutes, independent of the selected time. Metric: "
            "policyviolation_events_total. If it is above 0, see the table below.",
            q.total(q.increase(*THESE, q.BLOCKED, window="5m")),
        ).thresholds(palette.none_allowed("orange")),
        _number(
            "Blocks still in Events",
            "Blocked requests whose Event the API server still has, usually those of the last "
            "hour. Metric: policyviolation_live_events. Correct even if the exporter has just "
            "started.",
            q.total(q.now("policyviolation_live_events", *THESE, q.BLOCKED)),
        ),
        _number(
            "In system namespaces",
            "Requests refused in the selected time in the namespaces listed at the top. Metric: "
            "policyviolation_events_total. The cluster may be unable to recover: exempt the "
            "namespace first, then investigate.",
            q.happened(q.VIOLATED, *THESE, SYSTEM, q.BLOCKED),
        ).thresholds(palette.none_allowed()),
        _number(
            "Namespaces hit",
            "Namespaces with a refused request in the selected time. Metric: "
            "policyviolation_events_total. If there are many, the cause is probably the policy, "
            "not the teams.",
            f"count({q.happened(q.VIOLATED, *THESE, q.BLOCKED, by='cluster, namespace')} > 0)",
        ),
        _number(
            "Policies blocking",
            "Policies that refused a request in the selected time. Metric: "
            "policyviolation_events_total.",
            f"count({q.happened(q.VIOLATED, *THESE, q.BLOCKED, by='cluster, policy')} > 0)",
        ),
        _number(
            "Allowed (audit)",
            "Requests in the selected time that violated a policy which only audits. Metric: "
            "policyviolation_events_total. If the policy were enforced, it would have refused "
            "them.",
            q.happened(q.VIOLATED, *THESE, q.ALLOWED),
        ),
        panels.number(
            "Enforced policies",
            "Policies that refuse violating requests. Metric: policyreport_policy_info. If"
            " there are fewer than yesterday, a policy was changed to audit or deleted.",
            f"count({q.policies(q.POLICY, ENFORCED)})",
        ),
        panels.number(
            "Events watched",
            "Whether the exporter currently watches the cluster's Events. Metric: "
            "policyreport_exporter_watch_up. If not, the numbers here do not change: see the "
            "Exporter dashboard.",
            f'min(policyreport_exporter_watch_up{{{q.CLUSTER},resource=~"events.*"}})',
        ).mappings([palette.words({"0": ("no", "red"), "1": ("yes", "green")})]),
    ]


def _number(title: str, description: str, expr: str) -> Stat:
    return panels.number(title, description, q.while_known(expr, q.EVENTS_SYNCED)).decimals(0)


def _by_policy() -> TimeSeries:
    by_policy = f"60 * {q.total(q.rate(*THESE, q.BLOCKED), 'policy')} > 0"
    panel = panels.bars(
        "Blocked per minute, by policy",
        "Refused requests by policy. Metric: policyviolation_events_total. A new colour is a "
        "policy that started to block.",
    ).with_target(panels.over_time(by_policy, "{{policy}}"))
    return panel.no_value("nothing blocked").span(10).height(9)


def _by_namespace() -> TimeSeries:
    blocked = f"60 * {q.total(q.rate(*THESE, q.BLOCKED), 'namespace')} > 0"
    panel = panels.bars(
        "Blocked per minute, by namespace",
        "Refused requests by the namespace of the resource. Metric: policyviolation_events_total. "
        "A constant rate usually is a controller that keeps retrying.",
    ).with_target(panels.over_time(q.named(blocked, "namespace", "(cluster)"), "{{namespace}}"))
    return panel.no_value("nothing blocked")


def _repeated() -> Table:
    by = "cluster, namespace, kind, policy, rule"
    refused = q.happened(q.VIOLATED, *THESE, q.BLOCKED, by=by)
    panel = tables.table_of(
        "Who was blocked most?",
        "Requests refused in the selected time, by namespace, kind, policy and rule. Metric: "
        "policyviolation_events_total. High counts for Pods or ReplicaSets mean that a controller "
        "keeps retrying: the Deployment was accepted, but its Pods are refused.",
        [
            tables.namespace(),
            Column("kind", "Kind").wide(120),
            tables.policy(),
            Column("rule", "Rule"),
            value("Blocked", f"topk(50, {refused})").wide(100),
            tables.cluster(),
        ],
        sort=["-Blocked"],
    )
    return panel.no_value("nothing was blocked in this time").span(14)


def _first_ever() -> Table:
    by = "cluster, policy"
    counter = q.total(q.now(q.EVENTS, *THESE, q.BLOCKED), by)
    before = f"{q.of(q.EVENTS, q.SCOPE, q.BLOCKED)} offset $__range"
    panel = tables.table_of(
        "Which policies blocked for the first time?",
        "Policies that refused their first request in the selected time. Metric: "
        "policyviolation_events_total. Check which namespaces a new policy affects. Without "
        "stored state, a policy can appear again after the exporter restarts.",
        [
            tables.policy(),
            value("Blocked so far", f"({counter} > 0) unless on ({by}) ({before} > 0)").wide(140),
            tables.cluster(),
        ],
        sort=["-Blocked so far"],
    )
    return panel.no_value("none, or no data from before the selected time").span(10)


def _kyverno() -> list[TimeSeries]:
    by = "sum by (le, cluster)"
    buckets = f"{by} (rate({q.of(ADMISSION, q.CLUSTER)}[$__rate_interval]))"
    reviews = q.of("kyverno_admission_requests_total", q.CLUSTER)
    drops = q.of("kyverno_controller_drop_total", q.CLUSTER)
    return [
        _foreign(
            "Admission latency, 99th percentile",
            "Time that Kyverno takes to review a request. Metric: "
            "kyverno_admission_review_duration_seconds of Kyverno. If it approaches the webhook's "
            "timeout (10 s), requests start to fail.",
            f"histogram_quantile(0.99, {buckets})",
            "{{cluster}}",
            lacking="Prometheus does not scrape Kyverno",
        ).unit("s"),
        _foreign(
            "Admission requests per second",
            "Requests that Kyverno reviews: allowed, refused and mutated. Metric: "
            "kyverno_admission_requests_total of Kyverno. If there are none, the webhooks are "
            "missing and no policy is enforced.",
            f"sum by (request_allowed) (rate({reviews}[$__rate_interval]))",
            "allowed: {{request_allowed}}",
            lacking="Prometheus does not scrape Kyverno",
        ),
        _foreign(
            "Objects that Kyverno's controllers gave up on",
            "Objects that a controller stopped retrying, by controller and minute. Metric: "
            "kyverno_controller_drop_total of Kyverno. If the reports controller drops a report, "
            "the report is not updated.",
            f"60 * sum by (controller_name) (rate({drops}[$__rate_interval]))",
            "{{controller_name}}",
            lacking="none, or Prometheus does not scrape Kyverno",
        ),
    ]


def _api_server() -> list[TimeSeries]:
    refused = _webhook_rate("rejection_count")
    unchecked = _webhook_rate("fail_open_count")
    buckets = _webhook_rate("admission_duration_seconds_bucket")
    lacking = "Prometheus does not scrape the API server"
    return [
        _foreign(
            "Webhook refusals per minute",
            "Refusals by Kyverno's webhooks, as the API server counts them. error_type=no_error "
            "means that a policy refused the request. Any other error_type means that the webhook "
            "call failed. Metric: apiserver_admission_webhook_rejection_count of the API server.",
            f"60 * sum by (error_type) ({refused})",
            "{{error_type}}",
            lacking=lacking,
        ),
        _foreign(
            "Requests allowed unchecked, per minute",
            "Requests that were admitted because the webhook did not respond and its failurePolicy"
            " is Ignore. Metric: apiserver_admission_webhook_fail_open_count of the API server. No"
            " policy is enforced at such times. Check Kyverno's admission controller.",
            f"60 * sum by (name) ({unchecked})",
            "{{name}}",
            lacking=lacking,
        ),
        _foreign(
            "Webhook latency, 99th percentile",
            "Time that the API server waits for Kyverno. Metric: "
            "apiserver_admission_webhook_admission_duration_seconds of the API server. If it "
            "approaches the webhook's timeout, requests start to fail.",
            f"histogram_quantile(0.99, sum by (le, name) ({buckets}))",
            "{{name}}",
            lacking=lacking,
        ).unit("s"),
    ]


def _foreign(title: str, description: str, expr: str, legend: str, *, lacking: str) -> TimeSeries:
    """Show metrics of another program, and say why where there are none."""
    panel = panels.lines(title, description).with_target(panels.over_time(expr, legend))
    return panel.min(0).no_value(lacking).span(8)


def _webhook_rate(name: str) -> str:
    family = q.of(f"apiserver_admission_webhook_{name}", q.CLUSTER, WEBHOOK)
    return f"rate({family}[$__rate_interval])"
