"""Policy / Exporter: is what the other dashboards show complete and fresh."""

from grafana.dashboards import annotations, palette, shared, tables
from grafana.dashboards import panels as p
from grafana.dashboards import promql as q
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.palette import none_allowed, steps, words
from grafana.dashboards.panels import Panel
from grafana.dashboards.tables import Column, value

TARGET = 'cluster=~"$cluster",job=~"$job",instance=~"$instance"'
PREFIX = "policyreport_exporter"
# Process metrics have no prefix of ours: the job may scrape other programs too.
MINE = (
    "on (cluster, job, instance) group_left () "
    f"group by (cluster, job, instance) ({PREFIX}_build_info{{{TARGET}}})"
)
INSTANCE = "{{cluster}} {{instance}}"
YES_NO = palette.YES_NO | {"2": ("-", palette.MUTED)}
WATCH = {"0": ("down", "red"), "1": ("up", "green"), "2": ("not served", "#4a4f57")}
SAME = "on (cluster, job, instance, resource)"
SERVED = {"0": ("no", palette.MUTED), "1": ("yes", "green")}


def exporter() -> Frame:
    """Return the dashboard that says whether to believe the others."""
    return Frame(
        "policy-exporter",
        [annotations.exporter_started()],
        [
            Section(100, "Is the data complete and fresh?", _headline()),
            Section(200, "What does it watch?", [_resources(), _watches(), _changes()]),
            Section(300, "Does the API server answer?", _api()),
            Section(400, "Does Prometheus get everything?", _exposition()),
            Section(500, "Are alerts delivered and counters kept?", _duties()),
            Section(600, "What does it cost?", _process()),
        ],
    )


def _own(family: str, *matchers: str) -> str:
    """Return the selector of one of the exporter's own families."""
    return f"{PREFIX}_{family}{{{','.join((TARGET, *matchers))}}}"


def _per_second(family: str) -> str:
    """Return how fast one of the exporter's own counters grows."""
    return f"rate({_own(family)}[$__rate_interval])"


def _headline() -> list[Panel]:
    accepted = words({"0": ("rejected", "red"), "1": ("accepted", "green")})
    reloaded = f"min({_own('config_last_reload_successful')})"
    some = none_allowed("orange")
    return [
        p.number("Exporters up", f"count({_own('build_info')})", steps("red", (1, "green"))),
        p.number("Resources not synced", _served_but_not("synced"), none_allowed()),
        p.number("Watches down", _served_but_not("watch_up"), none_allowed()),
        shared.age_of_data(TARGET),
        p.number("Folded label sets", _counted("series_folded_total"), some).having(decimals=0),
        p.number("Skipped objects", _counted("objects_skipped_total"), some).having(decimals=0),
        p.number("Event gap", _counted("event_gap_seconds_total"), some).having(unit="s"),
        p.number("Configuration", reloaded).having(mappings=[accepted]),
    ]


def _served_but_not(family: str) -> str:
    lacking = f"count(({_own(family)} == 0) and {SAME} ({_own('served')} == 1))"
    return q.known(lacking, f"count({_own(family)})")


def _counted(family: str) -> str:
    grown = f"sum(increase({_own(family)}[$__range]))"
    return q.while_known(grown, f"group({_own('build_info')})")


def _resources() -> Panel:
    by = "cluster, instance, resource"
    served = f"max by ({by}) ({_own('served')})"
    changed = f"1000 * max by ({by}) ({_own('last_change_timestamp_seconds')})"
    listed = f"1000 * max by ({by}) ({_own('last_sync_timestamp_seconds')})"
    relists = f"round(sum by ({by}) (increase({_own('relists_total')}[$__range])))"
    return tables.table_of(
        "What is watched?",
        [
            tables.cluster(),
            Column("instance", "Instance").wide(170),
            Column("resource", "Resource"),
            value("Served", served).words(SERVED).wide(85),
            value("Synced", _unless_absent("synced", by)).words(YES_NO).wide(100),
            value("Watched", _unless_absent("watch_up", by)).words(YES_NO).wide(100),
            value("Objects", f"max by ({by}) ({_own('objects')})").wide(95),
            value("Last change", changed).having(unit="dateTimeFromNow").wide(150),
            value("Last full list", listed).having(unit="dateTimeFromNow").wide(150),
            tables.count("Relists", q.known(relists, served)),
        ],
        sort=["-Objects"],
    ).height(14)


def _unless_absent(family: str, by: str) -> str:
    """Return 0 or 1, and 2 for a resource that the cluster does not serve."""
    served = f"max by ({by}) ({_own('served')})"
    return f"2 * ({served} == bool 0) > 0 or min by ({by}) ({_own(family)})"


def _watches() -> Panel:
    up = {"{{cluster}} {{resource}}": _unless_absent("watch_up", "cluster, resource")}
    return p.states("Was every watch up?", up).having(mappings=[words(WATCH)]).height(12)


def _changes() -> Panel:
    changes = f"60 * sum by (cluster, resource) ({_per_second('watch_changes_total')}) > 0"
    panel = p.lines("Changes received per minute", {"{{cluster}} {{resource}}": changes})
    return p.legend_table(panel.height(12))


def _api() -> list[Panel]:
    codes = f"sum by (code) ({_per_second('api_requests_total')})"
    by_status = p.bars("Requests per second, by status", {"{{code}}": codes})
    for code, color in {"/^2/": "green", "/^4/": "orange", "/^5/": "red"}.items():
        by_status.override(code, {"color": p.fixed(color)}, "byRegexp")
    bucket = f"sum by (le) ({_per_second('api_request_duration_seconds_bucket')})"
    median, most = (f"histogram_quantile({share}, {bucket}) >= 0" for share in (0.5, 0.99))
    answer = (
        p.lines("Time to answer", {"median": median, "99 %": most})
        .having(unit="s")
        .settings(interval="5m")
    )
    restarts = f"3600 * sum by (reason) ({_per_second('watch_restarts_total')}) > 0"
    quiet = f'label_replace(0 * group({_own("build_info")}), "reason", "none", "", "")'
    watches = p.bars("Watch restarts per hour", {"{{reason}}": f"{restarts} or on () {quiet}"})
    return [
        by_status.having(min=0).settings(interval="5m").span(8),
        answer.having(noValue="no request in this time").span(8),
        watches.settings(interval="5m").span(8),
    ]


def _exposition() -> list[Panel]:
    used = f"max by (family) ({_own('series')} / ({_own('series_limit')} > 0))"
    fullest = p.instant(f"sort_desc(topk(5, {used}))", "{{family}}")
    share = p.ranking("Share of the series budget in use", fullest)
    limits = steps("blue", (0.8, "orange"), (1, "red"))
    series = {"{{family}}": f"max by (family) ({_own('series')}) > 0"}
    rendered, size = f"max({_own('render_duration_seconds')})", f"max({_own('exposition_bytes')})"
    scrapes = p.lines("Time and size of a scrape", {"render": rendered, "size": size})
    scrapes.override("size", {"unit": "bytes", "custom.axisPlacement": "right"})
    return [
        p.legend_table(p.lines("Series by family", series)),
        share.having(unit="percentunit", max=1, thresholds=limits),
        scrapes.having(unit="s", min=0).span(6),
    ]


def _duties() -> list[Panel]:
    sent = f"60 * sum by (alertmanager) ({_per_second('alerts_sent_total')})"
    failed = f"60 * sum by (alertmanager, reason) ({_per_second('alerts_failed_total')}) > 0"
    dropped = f"60 * sum by (reason) ({_per_second('alerts_dropped_total')}) > 0"
    delivered = {
        "sent to {{alertmanager}}": sent,
        "failed: {{reason}}": failed,
        "dropped: {{reason}}": dropped,
    }
    alerts = p.bars("Alerts delivered per minute", delivered)
    saved = _own("checkpoint_last_success_timestamp_seconds")
    age = {INSTANCE: f"time() - max by (cluster, instance) ({saved})"}
    return [
        alerts.settings(interval="5m").having(noValue="no Alertmanager is configured"),
        p.lines("Age of the checkpoint", age).having(unit="s", min=0, noValue="no stored state"),
    ]


def _process() -> list[Panel]:
    cpu = f"rate(process_cpu_seconds_total{{{TARGET}}}[$__rate_interval]) * {MINE}"
    memory = f"process_resident_memory_bytes{{{TARGET}}} * {MINE}"
    lag = f"max by (cluster, instance) ({_own('event_loop_lag_seconds')})"
    return [
        p.lines("Memory", {INSTANCE: memory}).having(unit="bytes", min=0).span(8),
        p.lines("CPU", {INSTANCE: cpu}).having(min=0).span(8),
        p.lines("Event loop lag", {INSTANCE: lag}).having(unit="s", min=0).span(8),
    ]
