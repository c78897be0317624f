"""Dashboards use only metrics and labels that exist."""

import re

import msgspec
import pytest
import yaml

from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.self_catalogue import OWN
from grafana.classic import Dashboard, JsonDict, Panel
from tests.grafana.boards import BOARDS, IDS, PANELS, ROOT, expressions, grouped, selectors

# What scraping adds, what namespace_labels may add, and what the queries themselves make.
SCRAPE = {"cluster", "job", "instance", "pod", "node", "endpoint", "container", "service"}
CONFIGURED = {"team"}
MADE = {"rank", "owner"}
OURS = {f.name: set(f.labels) for f in CATALOGUE} | {f.full_name: set(f.labels) for f in OWN}
# Of prometheus-client, Prometheus and the API server; outside our contract.
OTHERS = {
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
    "process_start_time_seconds": set(),
    "ALERTS": {"alertname", "alertstate", "severity", "namespace", "policy"},
    "kyverno_admission_review_duration_seconds": set(),
    "kyverno_admission_requests_total": {"request_allowed"},
    "kyverno_controller_drop_total": {"controller_name"},
    "apiserver_admission_webhook_rejection_count": {"name", "error_type"},
    "apiserver_admission_webhook_fail_open_count": {"name"},
    "apiserver_admission_webhook_admission_duration_seconds": {"name", "le"},
}


def recorded() -> dict[str, set[str]]:
    """Return each recording rule's series with the labels that its outermost aggregation keeps."""
    text = (ROOT / "alerts" / "recording.rules.yaml").read_text(encoding="utf-8")
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    found = {}
    for rule in rules:
        labels = re.match(r"(?:sum|max|min) by \(([\w, ]+)\)", rule["expr"].strip())
        found[rule["record"]] = set(re.findall(r"\w+", labels[1])) if labels else set()
    return found


KNOWN = OURS | OTHERS | recorded()


def family(metric: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", metric) if metric not in KNOWN else metric


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_metrics_and_matched_labels_exist(board: Dashboard) -> None:
    for expr in expressions(board):
        for selector in selectors(expr):
            name = family(selector.metric)
            assert name in KNOWN, name
            allowed = KNOWN[name] | SCRAPE | CONFIGURED
            assert {label for label, _ in selector.matchers} <= allowed, expr


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_labels_to_group_by_exist_in_a_metric_of_the_query(board: Dashboard) -> None:
    for expr in expressions(board):
        names = {family(selector.metric) for selector in selectors(expr)}
        allowed = set().union(*(KNOWN[name] for name in names)) | SCRAPE | CONFIGURED | MADE
        assert grouped(expr) <= allowed | {"le"}, expr


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=IDS)
def test_legends_and_columns_show_labels_that_the_query_keeps(
    board: Dashboard, panel: Panel
) -> None:
    for target in panel.targets:
        for label in re.findall(r"\{\{(\w+)\}\}", target.legend_format):
            assert label in grouped(target.expr) or label == "instance", target.legend_format
    if panel.type == "table":
        kept = set().union(*(grouped(target.expr) for target in panel.targets)) | MADE
        (organize,) = [step for step in panel.transformations if step["id"] == "organize"]
        fields = msgspec.convert(organize["options"], dict[str, JsonDict])["indexByName"]
        shown = {field for field in fields if not field.startswith("Value")}
        assert shown - kept <= {"title", "mode"}, shown - kept
