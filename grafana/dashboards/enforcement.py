"""Policy / Enforcement: what is being refused now, to whom, and is it dangerous."""

from grafana.dashboards import annotations, shared, tables
from grafana.dashboards import promql as q
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.palette import YES_NO, none_allowed, words
from grafana.dashboards.panels import Panel, bars, lines, number
from grafana.dashboards.tables import Column, value

THESE = (q.SCOPE, q.POLICY)
SYSTEM = 'namespace=~"$system"'
BLOCKED = (*THESE, q.BLOCKED)
WEBHOOK = 'name=~".*kyverno.*"'
ENFORCED = 'mode=~"enforce|mixed"'


def enforcement() -> Frame:
    """Return the dashboard for the moment when a deployment does not go through."""
    lately = [shared.recent_blocks(*THESE).span(14), _per_minute("policy").span(10).height(9)]
    return Frame(
        "policy-enforcement",
        annotations.usual("$policy"),
        [
            Section(100, "Is something blocked that must run?", _headline()),
            Section(200, "Right now", lately),
            Section(300, "Who is hit?", [_per_minute("namespace"), shared.outcomes(*THESE)]),
            Section(400, "Who keeps trying?", [_repeated(), _first_ever()]),
            Section(500, "Is Kyverno healthy?", _kyverno()),
            Section(600, "What does the API server report?", _api_server(), collapsed=True),
        ],
    )


def _headline() -> list[Panel]:
    namespaces = q.happened(q.VIOLATED, *BLOCKED, by="cluster, namespace")
    policies = q.happened(q.VIOLATED, *BLOCKED, by="cluster, policy")
    lately = q.total(q.admitted("increase", *BLOCKED, window="5m"))
    live = q.total(q.now("policyviolation_live_events", *BLOCKED))
    dangerous = q.happened(q.VIOLATED, *THESE, SYSTEM, q.BLOCKED)
    watched = f'min(policyreport_exporter_watch_up{{{q.CLUSTER},resource=~"events.*"}})'
    return [
        _count("Blocked in 5 minutes", lately).having(thresholds=none_allowed("orange")),
        _count("Blocks still in Events", live),
        _count("In system namespaces", dangerous).having(thresholds=none_allowed()),
        _count("Namespaces affected", f"count({namespaces} > 0)"),
        _count("Policies blocking", f"count({policies} > 0)"),
        _count("Allowed (audit)", q.happened(q.VIOLATED, *THESE, q.ALLOWED)),
        number("Enforced policies", f"count({q.policies(q.POLICY, ENFORCED)})"),
        number("Events watched", watched).having(mappings=[words(YES_NO)]),
    ]


def _count(title: str, expr: str) -> Panel:
    return number(title, q.while_known(expr, q.EVENTS_SYNCED)).having(decimals=0)


def _per_minute(label: str) -> Panel:
    blocked = f"60 * {q.total(q.admitted('rate', *BLOCKED), label)} > 0"
    named = q.named(blocked, label, "(cluster)") if label == "namespace" else blocked
    panel = bars(f"Blocked per minute, by {label}", {f"{{{{{label}}}}}": named})
    return panel.having(noValue="nothing blocked")


def _repeated() -> Panel:
    by = "cluster, namespace, kind, policy, rule"
    refused = q.happened(q.VIOLATED, *BLOCKED, by=by)
    panel = tables.table_of(
        "Who was blocked most?",
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
    return panel.having(noValue="nothing was blocked in this time").span(14)


def _first_ever() -> Panel:
    by = "cluster, policy"
    counter = q.total(q.now(q.EVENTS, *BLOCKED), by)
    before = f"{q.of(q.EVENTS, q.SCOPE, q.BLOCKED)} offset $__range"
    panel = tables.table_of(
        "Which policies blocked for the first time?",
        [
            tables.policy(),
            value("Blocked so far", f"({counter} > 0) unless on ({by}) ({before} > 0)").wide(140),
            tables.cluster(),
        ],
        sort=["-Blocked so far"],
    )
    return panel.having(noValue="none, or no data from before the selected time").span(10)


def _kyverno() -> list[Panel]:
    durations = q.of("kyverno_admission_review_duration_seconds_bucket", q.CLUSTER)
    buckets = f"sum by (le, cluster) (rate({durations}[$__rate_interval]))"
    reviews = q.of("kyverno_admission_requests_total", q.CLUSTER)
    drops = q.of("kyverno_controller_drop_total", q.CLUSTER)
    lacking = "Prometheus does not scrape Kyverno"
    latency = {"{{cluster}}": f"histogram_quantile(0.99, {buckets})"}
    reviewed = f"sum by (request_allowed) (rate({reviews}[$__rate_interval]))"
    dropped = f"60 * sum by (controller_name) (rate({drops}[$__rate_interval]))"
    gave_up = "Objects that Kyverno's controllers gave up on"
    return [
        _foreign("Admission latency, 99th percentile", latency, lacking).having(unit="s"),
        _foreign(
            "Admission requests per second", {"allowed: {{request_allowed}}": reviewed}, lacking
        ),
        _foreign(gave_up, {"{{controller_name}}": dropped}, f"none, or {lacking}"),
    ]


def _api_server() -> list[Panel]:
    buckets = _webhook_rate("admission_duration_seconds_bucket")
    lacking = "Prometheus does not scrape the API server"
    refused = {"{{error_type}}": f"60 * sum by (error_type) ({_webhook_rate('rejection_count')})"}
    unchecked = {"{{name}}": f"60 * sum by (name) ({_webhook_rate('fail_open_count')})"}
    latency = {"{{name}}": f"histogram_quantile(0.99, sum by (le, name) ({buckets}))"}
    return [
        _foreign("Webhook refusals per minute", refused, lacking),
        _foreign("Requests allowed unchecked, per minute", unchecked, lacking),
        _foreign("Webhook latency, 99th percentile", latency, lacking).having(unit="s"),
    ]


def _foreign(title: str, queries: dict[str, str], lacking: str) -> Panel:
    """Show metrics of another program, and say why where there are none."""
    return lines(title, queries).having(min=0, noValue=lacking).span(8)


def _webhook_rate(name: str) -> str:
    family = q.of(f"apiserver_admission_webhook_{name}", q.CLUSTER, WEBHOOK)
    return f"rate({family}[$__rate_interval])"
