"""Policy / Exporter: is what the other dashboards show complete and fresh."""

from grafana.dashboards import annotations, shared, tables
from grafana.dashboards import promql as q
from grafana.dashboards import variables as v
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.palette import MUTED, none_allowed, steps, words
from grafana.dashboards.panels import (
    BarGauge,
    Stat,
    StateTimeline,
    TimeSeries,
    bars,
    fixed,
    instant,
    legend_table,
    lines,
    number,
    ranking,
    setting,
    states,
)
from grafana.dashboards.self_metrics import MINE, TARGET, own, per_second
from grafana.dashboards.tables import Column, Table, value

INSTANCE = "{{cluster}} {{instance}}"
YES_NO = {"0": ("no", "red"), "1": ("yes", "green"), "2": ("-", MUTED)}
WATCH = {"0": ("down", "red"), "1": ("up", "green"), "2": ("not served", "#4a4f57")}
SAME = "on (cluster, job, instance, resource)"
SERVED = {"0": ("no", MUTED), "1": ("yes", "green")}


def exporter() -> Frame:
    """Return the dashboard that says whether to believe the others."""
    return Frame(
        uid="policy-exporter",
        title="Policy / Exporter",
        description=(
            "Whether the exporter's data is complete and current, and how much CPU and "
            "memory it uses."
        ),
        since="now-3h",
        refresh="30s",
        variables=[v.cluster(), v.job(), v.instance()],
        annotations=[annotations.exporter_started()],
        sections=[
            Section(100, "Is the data complete and fresh?", _headline()),
            Section(200, "What does it watch?", [_resources(), _watches(), _changes()]),
            Section(300, "Does the API server answer?", _api()),
            Section(400, "Does Prometheus get everything?", _exposition()),
            Section(500, "Are alerts delivered and counters kept?", _duties()),
            Section(600, "What does it cost?", _process()),
        ],
    )


def _headline() -> list[Stat]:
    accepted = words({"0": ("rejected", "red"), "1": ("accepted", "green")})
    some = none_allowed("orange")
    return [
        number("Exporters up", f"count({own('build_info')})", steps("red", (1, "green"))),
        number("Resources not synced", _served_but_not("synced"), none_allowed()),
        number("Watches down", _served_but_not("watch_up"), none_allowed()),
        shared.age_of_data(TARGET),
        number("Folded label sets", _counted("series_folded_total"), some).decimals(0),
        number("Skipped objects", _counted("objects_skipped_total"), some).decimals(0),
        number("Event gap", _counted("event_gap_seconds_total"), some).unit("s"),
        number("Configuration", f"min({own('config_last_reload_successful')})").mappings(
            [accepted]
        ),
    ]


def _served_but_not(family: str) -> str:
    lacking = f"count(({own(family)} == 0) and {SAME} ({own('served')} == 1))"
    return q.known(lacking, f"count({own(family)})")


def _counted(family: str) -> str:
    grown = f"sum(increase({own(family)}[$__range]))"
    return q.while_known(grown, f"group({own('build_info')})")


def _resources() -> Table:
    by = "cluster, instance, resource"
    served = f"max by ({by}) ({own('served')})"
    changed = f"1000 * max by ({by}) ({own('last_change_timestamp_seconds')})"
    listed = f"1000 * max by ({by}) ({own('last_sync_timestamp_seconds')})"
    relists = f"round(sum by ({by}) (increase({own('relists_total')}[$__range])))"
    yes_no = words(YES_NO)
    return tables.table_of(
        "What is watched, and how well?",
        [
            tables.cluster(),
            Column("instance", "Instance").wide(170),
            Column("resource", "Resource"),
            value("Served", served).words(words(SERVED)).wide(85),
            value("Synced", _unless_absent("synced", by)).words(yes_no).wide(100),
            value("Watched", _unless_absent("watch_up", by)).words(yes_no).wide(100),
            value("Objects", f"max by ({by}) ({own('objects')})").wide(95),
            value("Last change", changed).unit("dateTimeFromNow").wide(150),
            value("Last full list", listed).unit("dateTimeFromNow").wide(150),
            tables.count("Relists", q.known(relists, served)),
        ],
        sort=["-Objects"],
    ).height(14)


def _unless_absent(family: str, by: str) -> str:
    """Return 0 or 1, and 2 for a resource that the cluster does not serve."""
    served = f"max by ({by}) ({own('served')})"
    return f"2 * ({served} == bool 0) > 0 or min by ({by}) ({own(family)})"


def _watches() -> StateTimeline:
    up = {"{{cluster}} {{resource}}": _unless_absent("watch_up", "cluster, resource")}
    return states("Was every watch up?", up).mappings([words(WATCH)]).height(12)


def _changes() -> TimeSeries:
    changes = f"sum by (cluster, resource) ({per_second('watch_changes_total')}) > 0"
    panel = lines("Changes received per second", {"{{cluster}} {{resource}}": changes})
    return legend_table(panel.height(12))


def _api() -> list[TimeSeries]:
    codes = f"sum by (code) ({per_second('api_requests_total')})"
    by_status = bars("Requests per second, by status", {"{{code}}": codes})
    for code, color in {"/^2/": "green", "/^4/": "orange", "/^5/": "red"}.items():
        by_status.override_by_regexp(code, [fixed(color)])
    bucket = f"sum by (le) ({per_second('api_request_duration_seconds_bucket')})"
    took = {
        "median": f"histogram_quantile(0.5, {bucket}) >= 0",
        "99 %": f"histogram_quantile(0.99, {bucket}) >= 0",
    }
    answer = lines("Time to answer", took).unit("s").interval("5m")
    restarts = f"3600 * sum by (reason) ({per_second('watch_restarts_total')}) > 0"
    quiet = f'label_replace(0 * group({own("build_info")}), "reason", "none", "", "")'
    return [
        by_status.span(8),
        answer.no_value("no request in this time").span(8),
        bars("Watch restarts per hour", {"{{reason}}": f"{restarts} or on () {quiet}"}).span(8),
    ]


def _exposition() -> list[TimeSeries | BarGauge]:
    series = {"{{family}}": f"max by (family) ({own('series')}) > 0"}
    used = f"max by (family) ({own('series')} / ({own('series_limit')} > 0))"
    fullest = instant(f"sort_desc(topk(5, {used}))", "{{family}}")
    limits = steps("blue", (0.8, "orange"), (1, "red"))
    scrape = {
        "render": f"max({own('render_duration_seconds')})",
        "size": f"max({own('exposition_bytes')})",
    }
    on_the_right = [setting("unit", "bytes"), setting("custom.axisPlacement", "right")]
    cost = lines("Time and size of a scrape", scrape).unit("s").span(6)
    share = ranking("Share of the series budget in use", fullest).unit("percentunit").max(1)
    return [
        legend_table(lines("Series by family", series)),
        share.thresholds(limits),
        cost.override_by_name("size", on_the_right),
    ]


def _duties() -> list[TimeSeries]:
    sent = f"60 * sum by (alertmanager) ({per_second('alerts_sent_total')})"
    failed = f"60 * sum by (alertmanager, reason) ({per_second('alerts_failed_total')}) > 0"
    dropped = f"60 * sum by (reason) ({per_second('alerts_dropped_total')}) > 0"
    delivered = {
        "sent to {{alertmanager}}": sent,
        "failed: {{reason}}": failed,
        "dropped: {{reason}}": dropped,
    }
    saved = own("checkpoint_last_success_timestamp_seconds")
    age = {INSTANCE: f"time() - max by (cluster, instance) ({saved})"}
    return [
        bars("Alerts delivered per minute", delivered).no_value("no Alertmanager is configured"),
        lines("Age of the checkpoint", age).unit("s").min(0).no_value("no stored state"),
    ]


def _process() -> list[TimeSeries]:
    cpu = f"rate(process_cpu_seconds_total{{{TARGET}}}[$__rate_interval]) * {MINE}"
    memory = f"process_resident_memory_bytes{{{TARGET}}} * {MINE}"
    lag = f"max by (cluster, instance) ({own('event_loop_lag_seconds')})"
    return [
        lines("Memory", {INSTANCE: memory}).unit("bytes").min(0).span(8),
        lines("CPU", {INSTANCE: cpu}).min(0).span(8),
        lines("Event loop lag", {INSTANCE: lag}).unit("s").min(0).span(8),
    ]
