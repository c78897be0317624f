"""The Kustomize manifests: they follow the namespace and the labels of whoever builds on them."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from helm.build import DEPLOY, ROOT
from tests.chart.rendering import Chart, at, documents, fields, items
from tests.tools import tool

pytestmark = pytest.mark.tier("chart")

STACK = DEPLOY / "overlays" / "kube-prometheus-stack"
CHANGES = {
    "namespace": "observability",
    "nameSuffix": "-b",
    "labels": [{"pairs": {"app.kubernetes.io/instance": "b"}, "includeSelectors": True}],
}


def built(folder: Path) -> Chart:
    """Return what `kubectl kustomize` prints."""
    done = subprocess.run(
        [str(tool("kubectl")), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Chart(done.stdout, documents(done.stdout))


def overlay(tmp_path: Path, base: Path, **more: object) -> Chart:
    """Return the base as an overlay of a user's own changes it."""
    # Kustomize takes a base by a relative path only.
    up = Path(*[".."] * (len(tmp_path.resolve().parts) - 1))
    resource = str(up / base.relative_to(base.anchor))
    written = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **more}
    (tmp_path / "kustomization.yaml").write_text(json.dumps({**written, "resources": [resource]}))
    return built(tmp_path)


def test_the_base_is_the_exporter_for_any_prometheus() -> None:
    assert built(DEPLOY / "base").kinds() == [
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "Deployment",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
    ]


def test_with_kube_prometheus_stack_everything_carries_its_label_and_one_namespace() -> None:
    chart = built(STACK)
    found = chart.all("ServiceMonitor") + chart.all("PrometheusRule")
    assert [at(o, "metadata", "labels", "release") for o in found] == ["kube-prometheus-stack"] * 2
    namespaces = {
        at(o, "metadata", "namespace") for o in chart.objects if "Cluster" not in str(o["kind"])
    }
    assert namespaces == {"monitoring"}


@pytest.mark.parametrize("changes", [{"namespace": "observability"}, CHANGES], ids=["ns", "all"])
def test_the_service_monitor_selects_the_service_of_an_overlay(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    chart = overlay(tmp_path, STACK, **changes)
    monitor, service = chart.one("ServiceMonitor"), chart.one("Service")
    wanted = fields(at(monitor, "spec", "selector", "matchLabels")).items()
    assert wanted <= fields(at(service, "metadata", "labels")).items()
    places = {at(o, "metadata", "namespace") for o in (monitor, service)}
    assert places == {"observability"}
    assert at(monitor, "spec", "namespaceSelector") is None  # that is: the monitor's own


def test_the_service_selects_the_pods_of_an_overlay(tmp_path: Path) -> None:
    chart = overlay(tmp_path, DEPLOY / "base", **CHANGES)
    pod = at(chart.one("Deployment"), "spec", "template", "metadata", "labels")
    wanted = fields(at(chart.one("Service"), "spec", "selector"))
    assert wanted["app.kubernetes.io/instance"] == "b"
    assert wanted.items() <= fields(pod).items()


def test_the_role_is_bound_to_the_account_of_an_overlay(tmp_path: Path) -> None:
    chart = overlay(tmp_path, DEPLOY / "base", **CHANGES)
    [subject] = items(at(chart.one("ClusterRoleBinding"), "subjects"))
    account = chart.one("ServiceAccount")
    for key in ("name", "namespace"):
        assert at(subject, key) == at(account, "metadata", key)
    assert at(chart.pod(), "serviceAccountName") == at(account, "metadata", "name")


def test_each_dashboard_is_among_the_config_maps_for_grafana() -> None:
    boards = [o for o in built(STACK).all("ConfigMap") if "grafana_dashboard" in str(o["metadata"])]
    names = {key for board in boards for key in fields(board["data"])}
    assert names == {path.name for path in (ROOT / "grafana").glob("policy-*.json")}


def test_the_rules_are_those_of_the_plain_files() -> None:
    source = yaml.safe_load((ROOT / "alerts" / "prometheusrule.yaml").read_text("utf-8"))
    assert at(built(STACK).one("PrometheusRule"), "spec") == source["spec"]
