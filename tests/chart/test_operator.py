"""The chart on a real API server with the real definitions of the operator and of Gateway API."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from helm.build import CHART
from tests.chart.rendering import (
    FEATURES,
    Chart,
    Json,
    Object,
    RefusedError,
    Run,
    at,
    call,
    documents,
    fields,
    items,
    render,
    render_file,
)
from tests.cluster.harness import ControlPlane, control_plane
from tests.tools import tool

pytestmark = pytest.mark.tier("cluster")

# Kinds whose definitions are not among the pinned ones.
FOREIGN = {"GrafanaDashboard", "CiliumNetworkPolicy", "VerticalPodAutoscaler"}
RELEASED = Path(__file__).with_name("released") / "0.1.0"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    definitions = tool("operator-crds"), tool("gateway-crds")
    # One feature asks for both families of addresses.
    with control_plane(["--service-cluster-ip-range=10.0.0.0/24,fd00::/112"]) as plane:
        for folder in definitions:
            plane.kubectl("apply", "--server-side", "-f", str(folder))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        yield plane


@pytest.mark.parametrize("feature", FEATURES, ids=lambda path: path.name[:-12])
def test_the_api_server_takes_every_object_of_a_feature(plane: ControlPlane, feature: Path) -> None:
    chart = render_file(feature, Run(kubernetes="1.34.0"))
    objects = [o for o in chart.objects if o["kind"] not in FOREIGN | {"Pod"}]
    for name in {str(at(o, "metadata", "namespace") or "default") for o in objects}:
        plane.create_namespace(name)
    text = yaml.safe_dump_all(map(dict, objects))
    plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)


def helm(plane: ControlPlane, verb: str, release: str, namespace: str, **values: Json) -> str:
    """Install or upgrade the release for real."""
    options = ["--namespace", namespace, "--values=-", f"--kubeconfig={plane.kubeconfig}"]
    return call("helm4", verb, release, str(CHART), *options, stdin=json.dumps(values))


def names(plane: ControlPlane, namespace: str, kind: str, release: str) -> list[str]:
    listing = ["get", kind, "-n", namespace, "-l", f"app.kubernetes.io/instance={release}"]
    return plane.kubectl(*listing, "-oname").split()


def test_two_releases_are_scraped_and_share_the_rules_and_dashboards_of_one(
    plane: ControlPlane,
) -> None:
    where = plane.create_namespace("two")
    helm(plane, "install", "one", where)
    with pytest.raises(RefusedError, match=r"release one already installs .* secondary to true"):
        helm(plane, "install", "other", where)
    helm(plane, "install", "other", where, secondary=True)
    helm(plane, "upgrade", "one", where)
    for kind, counts in {"servicemonitors": (1, 1), "prometheusrules": (2, 0)}.items():
        assert tuple(len(names(plane, where, kind, r)) for r in ("one", "other")) == counts
    boards = plane.kubectl("get", "configmaps", "-n", where, "-l", "grafana_dashboard=1", "-oname")
    assert len(boards.split()) == 6
    assert all("/one-" in name for name in boards.split())


def test_a_release_for_another_prometheus_brings_its_own_rules(plane: ControlPlane) -> None:
    where = plane.create_namespace("apart")
    for name in ("one", "other"):
        helm(plane, "install", name, where, monitoring={"labels": {"release": name}})
        assert len(names(plane, where, "prometheusrules", name)) == 2


def test_the_services_of_two_releases_select_their_own_pods() -> None:
    chart = render({"secondary": True})
    selector = fields(at(chart.one("ServiceMonitor"), "spec", "selector", "matchLabels"))
    assert selector["app.kubernetes.io/instance"] == "r"


def pod_template(chart: Chart) -> Mapping[str, Json]:
    [workload] = chart.all("Deployment") + chart.all("StatefulSet")
    return fields(at(workload, "spec", "template"))


@pytest.mark.parametrize("name", ["default", "shards", "secured", "podmonitor"])
def test_an_upgrade_from_0_1_0_is_accepted_and_restarts_pods_once(
    plane: ControlPlane, name: str
) -> None:
    plane.create_namespace("here")
    old = (RELEASED / f"{name}.yaml").read_text(encoding="utf-8")
    new = (Path(__file__).with_name("golden") / f"{name}.yaml").read_text(encoding="utf-8")
    workloads = [
        yaml.safe_dump_all(dict(o) for o in documents(text) if o["kind"] != "Pod")
        for text in (old, new)
    ]
    for text in workloads:
        plane.apply(text)
    plane.kubectl("delete", "--wait=false", "-f", "-", stdin=workloads[1])
    before, after = (pod_template(Chart(text, documents(text))) for text in (old, new))
    metadata = fields(before["metadata"])
    labels, annotations = fields(metadata["labels"]), fields(metadata["annotations"])
    kept = {key: value for key, value in labels.items() if key != "helm.sh/chart"}
    # Keys of the configuration are new. The pods restart once anyway, because of the label.
    checksum = at(after, "metadata", "annotations", "checksum/config")
    expected = {"labels": kept, "annotations": {**annotations, "checksum/config": checksum}}
    spec = fields(before["spec"])
    kept_spec = spec if name == "shards" else stored_in_an_object(spec)  # on volume claims
    assert after == {"spec": kept_spec, "metadata": {**metadata, **expected}}


def stored_in_an_object(spec: Object) -> Object:
    """Change what the state in a ConfigMap, the default since, changes in a pod: nothing else."""
    (container,) = [fields(each) for each in items(spec["containers"])]
    args = [
        "--state.configmap=r-policy-report-exporter-state" if "--state.dir" in str(arg) else arg
        for arg in items(container["args"])
    ]
    mounts = [m for m in items(container["volumeMounts"]) if fields(m)["name"] != "state"]
    volumes = [v for v in items(spec["volumes"]) if fields(v)["name"] != "state"]
    changed = {**container, "args": args, "volumeMounts": mounts}
    return {**spec, "containers": [changed], "volumes": volumes}


def test_a_new_chart_of_the_same_program_restarts_nothing(tmp_path: Path) -> None:
    copied = tmp_path / "policy-report-exporter"
    shutil.copytree(CHART, copied)
    chart = copied / "Chart.yaml"
    chart.write_text(chart.read_text("utf-8").replace("\nversion: 0.1.0", "\nversion: 0.1.1"))
    text = call("helm4", "template", "r", str(copied), "--namespace=here", stdin="")
    assert "helm.sh/chart: policy-report-exporter-0.1.1" in text
    assert pod_template(Chart(text, documents(text))) == pod_template(render())


WORKLOAD = "r-policy-report-exporter"
UNHELD = '{"metadata": {"finalizers": null}}'
PERSISTENT: Object = {"persistence": {"enabled": True}}


@pytest.mark.parametrize(
    ("where", "before", "after", "said"),
    [
        ("removed", {"state": PERSISTENT}, {"shards": 2}, "with volume claims, but these values"),
        ("added", {"shards": 2}, {"shards": 2, "state": PERSISTENT}, "without volume claims, but"),
    ],
    ids=["removed", "added"],
)
def test_claims_that_cannot_change_are_refused_with_a_command_that_works(
    plane: ControlPlane, where: str, before: Object, after: Object, said: str
) -> None:
    plane.create_namespace(where)
    helm(plane, "install", "r", where, **before)
    with pytest.raises(RefusedError) as refused:
        helm(plane, "upgrade", "r", where, **after)
    message = str(refused.value)
    assert said in message
    command = message.partition("Run `kubectl ")[2].partition("`")[0]
    # The control plane of the tests has no garbage collector, which takes the finalizer away.
    plane.kubectl(*command.split(), "--wait=false")
    plane.kubectl("patch", "statefulset", WORKLOAD, "-n", where, "--type=merge", f"-p={UNHELD}")
    helm(plane, "upgrade", "r", where, **after)
    claims = plane.kubectl(
        *("get", "statefulset", WORKLOAD, "-n", where),
        "-o=jsonpath={.spec.volumeClaimTemplates}",
    )
    assert bool(claims) == ("state" in after)


def test_one_pod_on_a_claim_grows_into_shards_on_claims(plane: ControlPlane) -> None:
    where = plane.create_namespace("grow")
    helm(plane, "install", "r", where, state=PERSISTENT)
    helm(plane, "upgrade", "r", where, state=PERSISTENT, shards=3)
