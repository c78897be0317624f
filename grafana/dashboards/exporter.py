"""Policy / Exporter: is what the other dashboards show complete and fresh."""

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana.dashboards import (
    annotations,
    palette,
    panels,
    promql,
    shared,
    tables,
    upkeep,
    variables,
)
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.self_metrics import TARGET, own, per_second
from grafana.dashboards.tables import Column, value

YES_NO = {"0": ("no", "red"), "1": ("yes", "green"), "2": ("-", palette.MUTED)}
WATCH = {"0": ("down", "red"), "1": ("up", "green"), "2": ("not served", "#4a4f57")}
SAME = "on (cluster, job, instance, resource)"
SERVED = {"0": ("no", palette.MUTED), "1": ("yes", "green")}


def exporter() -> Frame:
    """Return the dashboard that says whether to believe the other four."""
    return Frame(
        uid="policy-exporter",
        title="Policy / Exporter",
        description=(
            "Whether the exporter's data is complete and current, and how much CPU and "
            "memory it uses."
        ),
        since="now-3h",
        refresh="30s",
        variables=[
            variables.data_source(),
            variables.cluster(),
            variables.job(),
            variables.instance(),
        ],
        annotations=[annotations.exporter_started()],
        sections=[
            Section(100, "Is the data complete and fresh?", _headline()),
            Section(200, "What does it watch?", [_resources(), _watches(), _changes()]),
            Section(300, "Does the API server answer?", _api()),
            Section(400, "Does Prometheus get everything?", upkeep.exposition()),
            Section(500, "Are alerts delivered and counters kept?", upkeep.duties()),
            Section(600, "What does it cost?", upkeep.process()),
        ],
    )


def _headline() -> list[Stat]:
    unsynced = f"count(({own('synced')} == 0) and {SAME} ({own('served')} == 1))"
    return [
        panels.number(
            "Exporters up",
            "Exporter processes that Prometheus can scrape. Metric: "
            "policyreport_exporter_build_info. If it shows no data, there is no exporter, and all "
            "other numbers are old.",
            f"count({own('build_info')})",
        ).thresholds(palette.steps("red", (1, "green"))),
        panels.number(
            "Resources not synced",
            "Resources that the API server serves, but whose first list is not complete. Metrics: "
            "policyreport_exporter_synced and policyreport_exporter_served. If it stays above 0 "
            "for more than a minute, see the log for the reason.",
            promql.known(unsynced, f"count({own('synced')})"),
        ).thresholds(palette.none_allowed()),
        panels.number(
            "Watches down",
            "Served resources that are currently not watched. Metrics: "
            "policyreport_exporter_watch_up and policyreport_exporter_served.",
            promql.known(
                f"count(({own('watch_up')} == 0) and {SAME} ({own('served')} == 1))",
                f"count({own('watch_up')})",
            ),
        ).thresholds(palette.none_allowed()),
        shared.age_of_data(TARGET),
        panels.number(
            "Folded label sets",
            "Series above a family's limit in the selected time. Their sums are exact, but most of"
            " their labels are __overflow__. Metric: policyreport_exporter_series_folded_total. "
            "Raise the limit or drop a label.",
            _counted("series_folded_total"),
        )
        .decimals(0)
        .thresholds(palette.none_allowed("orange")),
        panels.number(
            "Skipped objects",
            "Objects that could not be read in the selected time. Metric: "
            "policyreport_exporter_objects_skipped_total. The log contains their names.",
            _counted("objects_skipped_total"),
        )
        .decimals(0)
        .thresholds(palette.none_allowed("orange")),
        panels.number(
            "Event gap",
            "Time in the selected range for which Events are lost, because the exporter was down "
            "longer than the API server keeps them. Metric: "
            "policyreport_exporter_event_gap_seconds_total.",
            _counted("event_gap_seconds_total"),
        )
        .unit("s")
        .thresholds(palette.none_allowed("orange")),
        panels.number(
            "Configuration",
            "Whether the last reload of the configuration succeeded. Metric: "
            "policyreport_exporter_config_last_reload_successful. If not, the old configuration is"
            " active and the log contains the error.",
            f"min({own('config_last_reload_successful')})",
        ).mappings([palette.words({"0": ("rejected", "red"), "1": ("accepted", "green")})]),
    ]


def _counted(family: str) -> str:
    grown = f"sum(increase({own(family)}[$__range]))"
    return promql.while_known(grown, f"group({own('build_info')})")


def _resources() -> Table:
    by = "cluster, instance, resource"
    served = f"max by ({by}) ({own('served')})"
    changed = f"1000 * max by ({by}) ({own('last_change_timestamp_seconds')})"
    listed = f"1000 * max by ({by}) ({own('last_sync_timestamp_seconds')})"
    relists = f"round(sum by ({by}) (increase({own('relists_total')}[$__range])))"
    yes_no = palette.words(YES_NO)
    return tables.table_of(
        "What is watched, and how well?",
        "One row for each resource: whether the API server serves it, whether its first list is "
        "complete, and whether it is currently watched. Metrics: policyreport_exporter_served, "
        "policyreport_exporter_synced, policyreport_exporter_watch_up, "
        "policyreport_exporter_objects, policyreport_exporter_last_change_timestamp_seconds, "
        "policyreport_exporter_last_sync_timestamp_seconds and policyreport_exporter_relists_total"
        ' (selected time). "not served" is normal for resources whose CRD you have not installed.',
        [
            tables.cluster(),
            Column("instance", "Instance").wide(170),
            Column("resource", "Resource"),
            value("Served", served).words(palette.words(SERVED)).wide(85),
            value("Synced", _unless_absent("synced", by)).words(yes_no).wide(100),
            value("Watched", _unless_absent("watch_up", by)).words(yes_no).wide(100),
            value("Objects", f"max by ({by}) ({own('objects')})").wide(95),
            value("Last change", changed).unit("dateTimeFromNow").wide(150),
            value("Last full list", listed).unit("dateTimeFromNow").wide(150),
            tables.count("Relists", promql.known(relists, served)),
        ],
        sort=["-Objects"],
    ).height(14)


def _unless_absent(family: str, by: str) -> str:
    """Return 0 or 1, and 2 for a resource that the cluster does not serve."""
    served = f"max by ({by}) ({own('served')})"
    return f"2 * ({served} == bool 0) > 0 or min by ({by}) ({own(family)})"


def _watches() -> StateTimeline:
    up = panels.over_time(
        _unless_absent("watch_up", "cluster, resource"), "{{cluster}} {{resource}}"
    )
    panel = panels.states(
        "Was every watch up?",
        "Green: the resource was watched. Red: it was not watched, and changes arrived late. Grey:"
        " the cluster does not serve it. Metrics: policyreport_exporter_watch_up and "
        "policyreport_exporter_served.",
    )
    return panel.with_target(up).mappings([palette.words(WATCH)]).height(12)


def _changes() -> TimeSeries:
    panel = panels.lines(
        "Changes received per second",
        "Objects added, modified and deleted, by resource. Metric: "
        "policyreport_exporter_watch_changes_total. Kyverno's scan rewrites all reports every "
        "hour.",
    ).with_target(
        panels.over_time(
            f"sum by (cluster, resource) ({per_second('watch_changes_total')}) > 0",
            "{{cluster}} {{resource}}",
        )
    )
    return panels.legend_table(panel.height(12))


def _api() -> list[TimeSeries]:
    bucket = f"sum by (le) ({per_second('api_request_duration_seconds_bucket')})"
    codes = f"sum by (code) ({per_second('api_requests_total')})"
    restarts = f"3600 * sum by (reason) ({per_second('watch_restarts_total')}) > 0"
    quiet = f'label_replace(0 * group({own("build_info")}), "reason", "none", "", "")'
    return [
        panels.bars(
            "Requests per second, by status",
            "Requests to the API server by status code. Metric: "
            "policyreport_exporter_api_requests_total. 403 means that a permission is missing. 410"
            " is normal from time to time; the exporter then lists again.",
        )
        .with_target(panels.over_time(codes, "{{code}}"))
        .override_by_regexp("/^2/", [panels.fixed("green")])
        .override_by_regexp("/^4/", [panels.fixed("orange")])
        .override_by_regexp("/^5/", [panels.fixed("red")])
        .span(8),
        panels.lines(
            "Time to answer",
            "Median and 99th percentile of the time for list pages and watch starts. Metric: "
            "policyreport_exporter_api_request_duration_seconds. Slow pages make the first sync "
            "slow.",
        )
        .unit("s")
        .interval("5m")
        .no_value("no request in this time")
        .with_target(panels.over_time(f"histogram_quantile(0.5, {bucket}) >= 0", "median"))
        .with_target(panels.over_time(f"histogram_quantile(0.99, {bucket}) >= 0", "99 %", "B"))
        .span(8),
        panels.bars(
            "Watch restarts per hour",
            "Watch restarts, by reason. Metric: policyreport_exporter_watch_restarts_total. The "
            "API server ends each watch after some minutes (timeout). Many restarts for other "
            "reasons point to the network or a proxy.",
        )
        .with_target(panels.over_time(f"{restarts} or on () {quiet}", "{{reason}}"))
        .span(8),
    ]
