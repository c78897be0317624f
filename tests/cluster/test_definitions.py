"""Definitions of reports that come, change and go while the exporter runs."""

from collections.abc import Iterator

import pytest
import yaml

from exporter.simulator.checks import LABELS
from tests.app.running import Samples, self_metrics, summaries, total
from tests.cluster.harness import CRDS, ControlPlane, control_plane
from tests.cluster.objects import Object, as_open_report, namespace_report, pod_report, sums
from tests.cluster.running import SUMMARY, Running, exporter
from tests.tools import fetch

pytestmark = pytest.mark.tier("cluster")


def definitions(group: str) -> list[Object]:
    """Return the definitions of a group's report kinds."""
    found = yaml.safe_load((CRDS / "reports.yaml").read_text(encoding="utf-8"))["items"]
    return [each for each in found if each["spec"]["group"] == group]


def define(plane: ControlPlane, group: str) -> None:
    plane.apply(definitions(group))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A cluster with the older group of reports, and without Kyverno's own kinds."""
    with control_plane(crds=False) as running:
        define(running, "wgpolicyk8s.io")
        yield running


@pytest.fixture(scope="module")
def running(plane: ControlPlane) -> Iterator[Running]:
    with exporter(plane.kubeconfig) as process:
        yield process


def served(samples: Samples, resource: str) -> float | None:
    return self_metrics(samples, "served", resource=resource)


def shows(samples: Samples, namespace: str, reports: list[Object]) -> bool:
    found = summaries(samples)
    return {k: n for k, n in found.items() if k[0] == namespace} == sums(reports)


def test_what_is_not_defined_holds_nobody_up(plane: ControlPlane, running: Running) -> None:
    fetch(f"{running.url}/readyz")
    samples = running.scrape()
    assert served(samples, "clusterpolicies.kyverno.io") == 0
    assert served(samples, "policyreports.wgpolicyk8s.io") == 1
    assert running.states()["clusterpolicies.kyverno.io"] == "not served"


def test_reports_defined_after_us_are_found(plane: ControlPlane, running: Running) -> None:
    namespace = plane.create_namespace("later")
    assert served(running.scrape(), "reports.openreports.io") == 0
    define(plane, "openreports.io")
    report = as_open_report(pod_report(namespace, "web", LABELS.policy))
    plane.apply([report])
    samples = running.until(lambda s: shows(s, namespace, [report]))
    assert served(samples, "reports.openreports.io") == 1


def test_reports_whose_definition_goes_are_gone_and_no_others(
    plane: ControlPlane, running: Running
) -> None:
    namespace = plane.create_namespace("stays")
    report, doomed = pod_report(namespace, "web"), namespace_report(namespace, LABELS.policy)
    plane.apply([report, doomed])
    running.until(lambda s: shows(s, namespace, [report]) and shows(s, "", [doomed]))
    plane.kubectl("delete", "crd", "clusterpolicyreports.wgpolicyk8s.io", "--wait=false")
    samples = running.until(lambda s: served(s, "clusterpolicyreports.wgpolicyk8s.io") == 0)
    assert total(samples, SUMMARY, namespace="") is None
    assert shows(samples, namespace, [report])
    assert self_metrics(samples, "watch_up", resource="policyreports.wgpolicyk8s.io") == 1


def test_reports_are_followed_into_a_new_version(plane: ControlPlane, running: Running) -> None:
    namespace = plane.create_namespace("moves")
    old = pod_report(namespace, "old", LABELS.policy)
    plane.apply([old])
    running.until(lambda s: shows(s, namespace, [old]))
    name = "policyreports.wgpolicyk8s.io"
    [crd] = [d for d in definitions("wgpolicyk8s.io") if d["metadata"]["name"] == name]
    plane.apply([in_version_two(crd)])
    new = pod_report(namespace, "new") | {"apiVersion": "wgpolicyk8s.io/v1beta1"}
    running.until(lambda s: self_metrics(s, "relists_total", reason="rediscovered"))
    plane.apply([new])
    samples = running.until(lambda s: shows(s, namespace, [old, new]))
    assert served(samples, name) == 1


def in_version_two(crd: Object) -> Object:
    """Serve v1beta1, and v1alpha2 no more, though objects are stored in it."""
    spec = crd["spec"]
    [version] = spec["versions"]
    old, new = version | {"served": False, "storage": False}, version | {"name": "v1beta1"}
    return crd | {"spec": spec | {"versions": [old, new]}}
