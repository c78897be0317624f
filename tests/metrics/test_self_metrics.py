"""What the exporter says about itself."""

from prometheus_client.parser import text_string_to_metric_families as parse

from exporter.metrics.self_catalogue import OWN
from exporter.metrics.self_metrics import SelfMetrics


def samples(self_metrics: SelfMetrics) -> dict[str, float]:
    text = self_metrics.render(openmetrics=False).decode()
    return {s.name: s.value for family in parse(text) for s in family.samples}


def test_counters_without_labels_are_born_at_zero() -> None:
    shown = samples(SelfMetrics("1"))
    plain = [each.full_name for each in OWN if each.type == "counter" and not each.labels]
    assert {name: shown.get(name) for name in plain} == dict.fromkeys(plain, 0.0)


def test_a_kind_of_request_costs_ten_series_at_most() -> None:
    self_metrics = SelfMetrics("1")
    before = self_metrics.render(openmetrics=False).count(b"\npolicyreport_")
    self_metrics.request("policyreports.wgpolicyk8s.io", "list", 200, 0.02)
    self_metrics.request("policyreports.wgpolicyk8s.io", "list", 200, 20.0)
    assert self_metrics.render(openmetrics=False).count(b"\npolicyreport_") - before <= 10
