"""The lower half of Policy / Exporter: what it exposes, delivers, keeps and costs."""

from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from grafana.dashboards import panels
from grafana.dashboards.palette import steps
from grafana.dashboards.self_metrics import MINE, TARGET, own, per_second


def exposition() -> list[TimeSeries | BarGauge]:
    """Return the panels about series and scrapes."""
    return [_series(), _budgets(), _scrapes()]


def _series() -> TimeSeries:
    panel = panels.lines(
        "Series by family",
        "Number of series that each family exposes. Metric: policyreport_exporter_series. "
        "Prometheus' memory depends on it.",
    ).with_target(panels.over_time(f"max by (family) ({own('series')}) > 0", "{{family}}"))
    return panels.legend_table(panel)


def _budgets() -> BarGauge:
    used = f"max by (family) ({own('series')} / ({own('series_limit')} > 0))"
    panel = panels.ranking(
        "Share of the series budget in use",
        "The five families closest to their series limit. Metrics: policyreport_exporter_series "
        "and policyreport_exporter_series_limit. At 100 %, further series are added up in "
        "overflow series. Raise the limit or drop a label before a family gets there.",
        panels.instant(f"sort_desc(topk(5, {used}))", "{{family}}"),
    )
    return panel.unit("percentunit").max(1).thresholds(steps("blue", (0.8, "orange"), (1, "red")))


def _scrapes() -> TimeSeries:
    return (
        panels.lines(
            "Time and size of a scrape",
            "Seconds to render (left) and bytes sent (right). Metrics: "
            "policyreport_exporter_render_duration_seconds and "
            "policyreport_exporter_exposition_bytes. If rendering approaches the scrape timeout, "
            "use shards.",
        )
        .unit("s")
        .with_target(panels.over_time(f"max({own('render_duration_seconds')})", "render"))
        .with_target(panels.over_time(f"max({own('exposition_bytes')})", "size", "B"))
        .override_by_name("size", _right_axis("bytes"))
        .span(6)
    )


def duties() -> list[TimeSeries]:
    """Return the panels about alerts and the checkpoint."""
    sent = f"60 * sum by (alertmanager) ({per_second('alerts_sent_total')})"
    failed = f"60 * sum by (alertmanager, reason) ({per_second('alerts_failed_total')}) > 0"
    dropped = f"60 * sum by (reason) ({per_second('alerts_dropped_total')}) > 0"
    saved = own("checkpoint_last_success_timestamp_seconds")
    return [
        panels.bars(
            "Alerts delivered per minute",
            "Alerts sent to each Alertmanager, and alerts that failed or were dropped. Metrics: "
            "policyreport_exporter_alerts_sent_total, policyreport_exporter_alerts_failed_total "
            "and policyreport_exporter_alerts_dropped_total. Empty without --alertmanager.url.",
        )
        .no_value("no Alertmanager is configured")
        .with_target(panels.over_time(sent, "sent to {{alertmanager}}"))
        .with_target(panels.over_time(failed, "failed: {{reason}}", "B"))
        .with_target(panels.over_time(dropped, "dropped: {{reason}}", "C")),
        panels.lines(
            "Age of the checkpoint",
            "Time since counters and ages were last stored. Metric: "
            "policyreport_exporter_checkpoint_last_success_timestamp_seconds. Above ten minutes, "
            "the ConfigMap or the state directory cannot be written. Empty without stored state.",
        )
        .unit("s")
        .min(0)
        .no_value("no stored state")
        .with_target(
            panels.over_time(
                f"time() - max by (cluster, instance) ({saved})", "{{cluster}} {{instance}}"
            )
        ),
    ]


def process() -> list[TimeSeries]:
    """Return the panels about memory, processor and the event loop."""
    cpu = f"rate(process_cpu_seconds_total{{{TARGET}}}[$__rate_interval]) * {MINE}"
    memory = f"process_resident_memory_bytes{{{TARGET}}} * {MINE}"
    return [
        panels.lines(
            "Memory",
            "Resident memory by instance. Metric: process_resident_memory_bytes. About 100 MB for "
            "100,000 reports. Set the limit to twice the usual value.",
        )
        .unit("bytes")
        .min(0)
        .with_target(panels.over_time(memory, "{{cluster}} {{instance}}"))
        .span(8),
        panels.lines(
            "CPU",
            "Cores in use. Metric: process_cpu_seconds_total. The exporter has one thread. If it "
            "approaches 1, use shards.",
        )
        .min(0)
        .with_target(panels.over_time(cpu, "{{cluster}} {{instance}}"))
        .span(8),
        panels.lines(
            "Event loop lag",
            "Delay of the event loop. Metric: policyreport_exporter_event_loop_lag_seconds. Above "
            "a second, health checks and scrapes are late, too.",
        )
        .unit("s")
        .min(0)
        .with_target(
            panels.over_time(
                f"max by (cluster, instance) ({own('event_loop_lag_seconds')})",
                "{{cluster}} {{instance}}",
            )
        )
        .span(8),
    ]


def _right_axis(unit: str) -> list[DynamicConfigValue]:
    return [
        DynamicConfigValue(id_val="unit", value=unit),
        DynamicConfigValue(id_val="custom.axisPlacement", value="right"),
    ]
