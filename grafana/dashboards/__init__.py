"""The six dashboards, one module each."""

from grafana.dashboards.enforcement import enforcement
from grafana.dashboards.exporter import exporter
from grafana.dashboards.fleet import fleet
from grafana.dashboards.frame import Frame
from grafana.dashboards.namespace import namespace
from grafana.dashboards.overview import overview
from grafana.dashboards.policy import policy


def frames() -> tuple[Frame, ...]:
    """All dashboards, in the order in which one follows a problem."""
    return fleet(), overview(), namespace(), policy(), enforcement(), exporter()
