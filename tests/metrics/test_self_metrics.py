"""What the exporter says about itself."""

from collections.abc import Callable, Iterable
from typing import Any

import prometheus_client as client
import pytest
from prometheus_client.exposition import generate_latest as text_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.self_catalogue import OWN, PROCESS, OwnFamily
from exporter.metrics.self_metrics import BUCKETS, SelfMetrics

HOSTILE = 'a "quoted" \\ back\\slash, 100 %s, two\nlines, \N{SNOWMAN}'
SECONDS = (0.001, 0.01, 0.3, 77.0)


def samples(self_metrics: SelfMetrics) -> dict[str, float]:
    text = self_metrics.render(openmetrics=False).decode()
    return {s.name: s.value for family in parse_text(text) for s in family.samples}


def series(self_metrics: SelfMetrics) -> int:
    return self_metrics.render(openmetrics=False).count(b"\npolicyreport_")


def test_counters_without_labels_are_born_at_zero() -> None:
    shown = samples(SelfMetrics("1"))
    plain = [each.full_name for each in OWN if each.type == "counter" and not each.labels]
    assert {name: shown.get(name) for name in plain} == dict.fromkeys(plain, 0.0)


def test_requests_to_another_resource_cost_no_series() -> None:
    self_metrics = SelfMetrics("1")
    self_metrics.request("policyreports.wgpolicyk8s.io", "list", 200, 0.02)
    before = series(self_metrics)
    self_metrics.request("events.events.k8s.io", "list", 200, 20.0)
    assert series(self_metrics) == before


def test_a_bookmark_is_no_change() -> None:
    self_metrics = SelfMetrics("1")
    before = series(self_metrics)
    self_metrics.change("reports", "bookmark")
    assert series(self_metrics) == before


def ours() -> SelfMetrics:
    self_metrics = SelfMetrics("1")
    self_metrics.counter("relists_total", "reports", HOSTILE).inc(2)
    self_metrics.counter("relists_total", "events", "expired").inc()
    self_metrics.gauge("alertmanager_up", "http://a:9093").set(True)
    self_metrics.gauge("render_duration_seconds").set(0.25)
    for seconds in SECONDS:
        self_metrics.request("reports", "list", 200, seconds)
    self_metrics.readings.on("results_left_out", lambda: [(("source", HOSTILE), 3)])
    return self_metrics


def reference() -> client.CollectorRegistry:
    """Note the same with prometheus-client."""
    client.disable_created_metrics()
    registry = client.CollectorRegistry()

    def of(name: str, make: Callable[..., Any], **settings: object) -> Any:
        [family] = [each for each in OWN if each.name == name]
        return make(family.full_name, family.help, family.labels, registry=registry, **settings)

    relists = of("relists_total", client.Counter)
    relists.labels("reports", HOSTILE).inc(2)
    relists.labels("events", "expired").inc()
    of("alertmanager_up", client.Gauge).labels("http://a:9093").set(1)
    of("render_duration_seconds", client.Gauge).set(0.25)
    of("results_left_out", client.Gauge).labels("source", HOSTILE).set(3)
    duration = of("api_request_duration_seconds", client.Histogram, buckets=BUCKETS)
    for seconds in SECONDS:
        duration.labels("list").observe(seconds)
    of("api_requests_total", client.Counter).labels("list", "200").inc(4)
    client.ProcessCollector(registry=registry)
    client.PlatformCollector(registry=registry)
    return registry


def read(families: Iterable[Any], *, values: bool = True) -> dict[str, object]:
    """Give type, help and samples by the name of a family; the process changes by the moment."""
    return {
        each.name: (
            each.type,
            each.documentation,
            sorted(
                (s.name, tuple(sorted(s.labels.items())), s.value if values else None)
                for s in each.samples
            ),
        )
        for each in families
    }


FORMATS = pytest.mark.parametrize(
    ("latest", "parse", "openmetrics"),
    [
        pytest.param(text_latest, parse_text, False, id="text"),
        pytest.param(openmetrics_latest, parse_openmetrics, True, id="openmetrics"),
    ],
)


def both(
    latest: Callable[[client.CollectorRegistry], bytes],
    parse: Callable[[str], Iterable[Any]],
    *,
    openmetrics: bool,
    values: bool,
) -> tuple[dict[str, object], dict[str, object]]:
    body = ours().render(openmetrics=openmetrics).decode() + "# EOF\n" * openmetrics
    theirs = read(parse(latest(reference()).decode()), values=values)
    found = read(parse(body), values=values)
    return {name: found.get(name) for name in theirs}, theirs


@FORMATS
def test_families_read_as_prometheus_client_writes_them(
    latest: Callable[[client.CollectorRegistry], bytes],
    parse: Callable[[str], Iterable[Any]],
    openmetrics: bool,
) -> None:
    found, theirs = both(latest, parse, openmetrics=openmetrics, values=True)
    own = {name for name in theirs if name.startswith("policyreport_")}
    assert len(own) == 6
    assert {name: found[name] for name in own} == {name: theirs[name] for name in own}


@FORMATS
def test_the_process_has_the_families_that_prometheus_client_has(
    latest: Callable[[client.CollectorRegistry], bytes],
    parse: Callable[[str], Iterable[Any]],
    openmetrics: bool,
) -> None:
    found, theirs = both(latest, parse, openmetrics=openmetrics, values=False)
    process = {name for name in theirs if not name.startswith("policyreport_")}
    assert len(process) == len(PROCESS)
    assert {name: found[name] for name in process} == {name: theirs[name] for name in process}


@pytest.mark.parametrize("family", PROCESS, ids=lambda family: family.full_name)
def test_the_process_measures_what_prometheus_client_measures(family: OwnFamily) -> None:
    registry = client.CollectorRegistry()
    client.ProcessCollector(registry=registry)
    client.PlatformCollector(registry=registry)
    theirs = {s.name: s.value for each in registry.collect() for s in each.samples}
    slack = {"cpu_seconds_total": 1.0, "start_time_seconds": 1.0, "open_fds": 2.0}
    near = slack.get(family.name, 0.1 * theirs[family.full_name])
    assert samples(SelfMetrics("1"))[family.full_name] == pytest.approx(
        theirs[family.full_name], abs=near
    )


def test_a_forgotten_series_is_not_exposed() -> None:
    self_metrics = ours()
    self_metrics.forget("alertmanager_up", "http://a:9093")
    self_metrics.forget("alertmanager_up", "http://b:9093")
    assert "policyreport_exporter_alertmanager_up" not in samples(self_metrics)


def test_a_family_that_is_read_has_only_the_series_of_this_moment() -> None:
    self_metrics, rows = SelfMetrics("1"), {("a",): 1.0, ("b",): 2.0}
    self_metrics.readings.on("objects", rows.items)
    before = series(self_metrics)
    del rows["a",]
    assert series(self_metrics) == before - 1
    assert samples(self_metrics)["policyreport_exporter_objects"] == 2


def test_label_values_must_be_as_many_as_the_catalogue_names() -> None:
    with pytest.raises(ValueError, match=r"relists_total: .* expected labels: resource, reason"):
        SelfMetrics("1").counter("relists_total", "reports")
