"""Events drawn over the time series; all can be switched at the top of the dashboard."""

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery

from grafana.dashboards.panels import SOURCE
from grafana.dashboards.promql import CLUSTER


def usual(policy: str = ".*") -> list[AnnotationQuery]:
    """Return the moments that a policy's spec changed, and that an exporter process started."""
    return [policy_changed(policy), exporter_started()]


def policy_changed(policy: str) -> AnnotationQuery:
    """Return the moment that a policy's spec changed."""
    family = "policyreport_policy_last_changed_timestamp_seconds"
    changed = f'1000 * max by (policy) ({family}{{{CLUSTER},policy=~"{policy}"}})'
    note = _note("Policy changed", changed, "purple").use_value_for_time(True)
    return note.title_format("Policy changed").text_format("{{policy}}")


def exporter_started() -> AnnotationQuery:
    """Return the moment that an exporter process started."""
    info = "policyreport_exporter_build_info"
    ours = f"on (cluster, instance, job) group_left () {info}"
    started = f"process_start_time_seconds{{{CLUSTER}}} * {ours}"
    note = _note("Exporter started", f"1000 * {started}", "blue").use_value_for_time(True)
    return note.title_format("Exporter started").text_format("{{instance}}")


def _note(name: str, expr: str, color: str) -> AnnotationQuery:
    note = AnnotationQuery().name(name).datasource(SOURCE).icon_color(color)
    return note.enable(False).expr(expr).step("60s")
