"""The names and labels that rules may use."""

from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.self_catalogue import OWN

# Labels that the scrape adds.
SCRAPE = {"cluster", "job", "instance"}

# Not ours: of Prometheus, of the API server, of Kyverno.
EXTERNAL = {
    "up",
    "ALERTS",
    "process_start_time_seconds",
    "apiserver_admission_webhook_fail_open_count",
    "apiserver_admission_webhook_rejection_count",
    "kyverno_events_dropped_total",
}


def families() -> dict[str, set[str]]:
    """Return the labels of each family as Prometheus shows them."""
    cluster = {family.name: {*family.labels} | SCRAPE for family in CATALOGUE}
    return cluster | {family.full_name: {*family.labels} | SCRAPE for family in OWN}
