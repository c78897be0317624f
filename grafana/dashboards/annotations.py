"""Events drawn over the time series; all can be switched at the top of the dashboard."""

from grafana.classic import JsonDict
from grafana.dashboards.data import settings
from grafana.dashboards.panels import SOURCE
from grafana.dashboards.promql import CLUSTER


def usual(policy: str = ".*") -> list[JsonDict]:
    """Return the moments that a policy's spec changed, and that an exporter process started."""
    family = "policyreport_policy_last_changed_timestamp_seconds"
    changed = f'1000 * max by (policy) ({family}{{{CLUSTER},policy=~"{policy}"}})'
    return [_note("Policy changed", changed, "purple", "{{policy}}"), exporter_started()]


def exporter_started() -> JsonDict:
    """Return the moment that an exporter process started."""
    info = "policyreport_exporter_build_info"
    ours = f"on (cluster, instance, job) group_left () {info}"
    started = f"process_start_time_seconds{{{CLUSTER}}} * {ours}"
    return _note("Exporter started", f"1000 * {started}", "blue", "{{instance}}")


def _note(name: str, expr: str, color: str, text: str) -> JsonDict:
    shown = {"name": name, "titleFormat": name, "textFormat": text, "iconColor": color}
    asked = {"datasource": SOURCE, "expr": expr}
    return settings("annotation") | shown | asked
