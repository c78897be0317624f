"""The chart inside another chart, and several releases of it in one place."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from helm.build import CHART
from tests.chart.rendering import (
    Chart,
    Object,
    RefusedError,
    at,
    call,
    documents,
    fields,
    items,
    render,
)

pytestmark = pytest.mark.tier("chart")

DEPENDENCY = {
    "name": "policy-report-exporter",
    "version": ">=0.0.0-0",
    "condition": "policy-report-exporter.enabled",
}


@pytest.fixture
def umbrella(tmp_path: Path) -> Path:
    """A chart that depends on a package of ours."""
    folder = tmp_path / "platform"
    (folder / "charts").mkdir(parents=True)
    (folder / "templates").mkdir()
    call("helm4", "package", str(CHART), "--destination", str(folder / "charts"))
    about = {"apiVersion": "v2", "name": "platform", "version": "1.0.0"}
    text = json.dumps({**about, "dependencies": [DEPENDENCY]})
    (folder / "Chart.yaml").write_text(text, encoding="utf-8")
    return folder


def rendered(folder: Path, ours: Mapping[str, object], **more: object) -> Chart:
    values = json.dumps({"policy-report-exporter": ours, **more})
    options = ["--namespace=here", "--api-versions=monitoring.coreos.com/v1", "--values=-"]
    text = call("helm4", "template", "p", str(folder), *options, stdin=values)
    return Chart(text, documents(text))


def test_an_umbrella_chart_switches_it_on_and_off_by_its_condition(umbrella: Path) -> None:
    assert "Deployment" in rendered(umbrella, {"enabled": True}).kinds()
    assert not rendered(umbrella, {"enabled": False}).objects


def test_an_umbrella_chart_may_have_globals_of_its_own(umbrella: Path) -> None:
    chart = rendered(
        umbrella,
        {"enabled": True},
        **{"global": {"storageClass": "fast", "imagePullSecrets": [{"name": "mirror"}]}},
    )
    assert at(chart.pod(), "imagePullSecrets") == [{"name": "mirror"}]


def test_rules_and_dashboards_are_whole_inside_an_umbrella_chart(umbrella: Path) -> None:
    inside = rendered(umbrella, {"enabled": True})
    alone = render({"dashboards": {"enabled": True}})
    for kind, key in {"PrometheusRule": "spec", "ConfigMap": "data"}.items():
        assert [o.get(key) for o in inside.all(kind)] == [o.get(key) for o in alone.all(kind)]


def test_an_umbrella_chart_may_hold_it_twice_by_aliases(umbrella: Path) -> None:
    about = json.loads((umbrella / "Chart.yaml").read_text("utf-8"))
    aliases = ("east", "west")
    about["dependencies"] = [
        {**DEPENDENCY, "alias": alias, "condition": f"{alias}.enabled"} for alias in aliases
    ]
    (umbrella / "Chart.yaml").write_text(json.dumps(about), encoding="utf-8")
    chart = rendered(
        umbrella, {}, east={"enabled": True}, west={"enabled": True, "secondary": True}
    )
    assert len(chart.all("PrometheusRule")) == 2
    pods = [at(o, "spec", "template", "metadata", "labels") for o in chart.all("Deployment")]
    for service in chart.all("Service"):
        wanted = fields(at(service, "spec", "selector")).items()
        assert [wanted <= fields(labels).items() for labels in pods].count(True) == 1
    names = [(o["kind"], at(o, "metadata", "name")) for o in chart.objects]
    assert len(names) == len(set(names))


PULL_SECRETS: dict[str, Object] = {
    "strings": {"imagePullSecrets": ["a", "b"]},
    "objects": {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]},
    "both": {"imagePullSecrets": [{"name": "a"}, "b"]},
    "global strings": {"global": {"imagePullSecrets": ["a"]}, "imagePullSecrets": ["b", "a"]},
    "global objects": {"global": {"imagePullSecrets": [{"name": "a"}]}, "imagePullSecrets": ["b"]},
}


@pytest.mark.parametrize("values", PULL_SECRETS.values(), ids=PULL_SECRETS.keys())
def test_pull_secrets_are_names_or_objects(values: Object) -> None:
    wanted = [{"name": "a"}, {"name": "b"}]
    assert at(render(values).pod(), "imagePullSecrets") == wanted
    assert at(render(values).one("Pod"), "spec", "imagePullSecrets") == wanted


def test_a_pull_secret_without_a_name_is_refused() -> None:
    with pytest.raises(RefusedError, match="/imagePullSecrets/0"):
        render({"imagePullSecrets": [{"secret": "a"}]})


def test_a_secondary_release_is_scraped_and_has_no_rules_and_no_dashboards() -> None:
    values: Object = {"dashboards": {"enabled": True, "grafanaOperator": {"enabled": True}}}
    removed = set(render(values).kinds()) - set(render({**values, "secondary": True}).kinds())
    assert removed == {"PrometheusRule", "GrafanaDashboard"}
    chart = render({**values, "secondary": True})
    assert len(chart.all("ConfigMap")) == 2  # configuration and state
    assert chart.one("ServiceMonitor")


def test_an_ingress_and_a_route_lead_to_the_port_of_the_service() -> None:
    chart = render(
        {
            "service": {"port": 9999},
            "ingress": {"enabled": True, "hosts": ["a.example", "b.example"]},
            "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
        }
    )
    service = chart.one("Service")
    name, port = at(service, "metadata", "name"), at(service, "spec", "ports", 0)
    rules = items(at(chart.one("Ingress"), "spec", "rules"))
    assert [at(rule, "host") for rule in rules] == ["a.example", "b.example"]
    for rule in rules:
        backend = at(rule, "http", "paths", 0, "backend", "service")
        assert backend == {"name": name, "port": {"name": at(port, "name")}}
    backend = at(chart.one("HTTPRoute"), "spec", "rules", 0, "backendRefs", 0)
    assert backend == {"name": name, "port": at(port, "port")}
