"""The chart on a real API server: it is accepted, its pod is restricted, its roles are exact."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from helm.build import CHART, DEPLOY
from tests.chart.rendering import (
    FEATURES,
    Chart,
    Json,
    Object,
    Run,
    at,
    call,
    fields,
    items,
    render,
    render_file,
)
from tests.chart.roles import Permission, permissions
from tests.cluster.harness import ControlPlane, control_plane
from tests.tools import Process, fetch, free_port

pytestmark = pytest.mark.tier("cluster")

ACCOUNT = "r-policy-report-exporter"
# Kinds whose definitions the control plane of the tests does not have.
FOREIGN = {
    "ServiceMonitor",
    "PodMonitor",
    "PrometheusRule",
    "GrafanaDashboard",
    "CiliumNetworkPolicy",
    "VerticalPodAutoscaler",
    "HTTPRoute",
}
CLAIMS = ("spec", "volumeClaimTemplates")
CLUSTER_ID = (("get", "", "namespaces", "kube-system"), "kube-system")
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    userGroups: [system:serviceaccounts]
  - level: None
"""


class Audited(NamedTuple):
    """A control plane that writes down what ServiceAccounts ask for."""

    plane: ControlPlane
    log: Path

    def asked(self, namespace: str) -> set[tuple[Permission, str, int]]:
        """Return (permission, namespace, status) of each request of the exporter there."""
        user = f"system:serviceaccount:{namespace}:{ACCOUNT}"
        entries = map(json.loads, self.log.read_text(encoding="utf-8").splitlines())
        return {
            (
                (
                    entry["verb"],
                    entry["objectRef"].get("apiGroup", ""),
                    entry["objectRef"]["resource"],
                    entry["objectRef"].get("name", "*"),
                ),
                entry["objectRef"].get("namespace", ""),
                entry["responseStatus"]["code"],
            )
            for entry in entries
            if entry["user"]["username"] == user and "objectRef" in entry
        }


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    home = tmp_path_factory.mktemp("audit")
    (home / "policy.yaml").write_text(AUDIT_POLICY, encoding="utf-8")
    log = home / "audit.log"
    flags = [
        f"--audit-policy-file={home / 'policy.yaml'}",
        f"--audit-log-path={log}",
        "--service-cluster-ip-range=10.0.0.0/24,fd00::/112",  # one feature asks for both families
    ]
    with control_plane(flags) as plane:
        yield Audited(plane, log)


@pytest.fixture
def plane(audited: Audited) -> ControlPlane:
    return audited.plane


def native(chart: Chart) -> list[Object]:
    """Return the objects that a plain API server knows."""
    return [found for found in chart.objects if found["kind"] not in FOREIGN]


def prepare(plane: ControlPlane, objects: Sequence[Object]) -> None:
    """Create the namespaces that the objects name."""
    for name in {str(at(o, "metadata", "namespace") or "default") for o in objects}:
        plane.create_namespace(name)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda path: path.name[:-12])
def test_the_api_server_takes_a_feature_for_real(plane: ControlPlane, feature: Path) -> None:
    objects = native(render_file(feature, Run(kubernetes="1.34.0")))
    prepare(plane, objects)
    # A pod that the priority class or the runtime class is missing for is refused, rightly.
    applied = [o for o in objects if o["kind"] != "Pod"]
    text = yaml.safe_dump_all(map(dict, applied))
    plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)
    plane.apply(text)
    plane.kubectl("delete", "--wait=false", "-f", "-", stdin=text)


def test_the_plain_manifests_are_taken_as_they_are(plane: ControlPlane) -> None:
    plane.create_namespace("monitoring")
    text = plane.kubectl("kustomize", str(DEPLOY / "base"))
    plane.apply(text)
    plane.kubectl("delete", "--wait=false", "-f", "-", stdin=text)


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_helm_installs_upgrades_and_leaves_nothing_behind(plane: ControlPlane, helm: str) -> None:
    where = ["--namespace", helm, f"--kubeconfig={plane.kubeconfig}"]
    said = call(helm, "install", "r", str(CHART), "--create-namespace", *where)
    assert "does not serve monitoring.coreos.com/v1" in said
    assert "neither wgpolicyk8s.io" not in said
    state = ["configmap", "r-policy-report-exporter-state", "--namespace", helm]
    content = '{"binaryData": {"checkpoint": "a2VwdA=="}}'
    plane.kubectl("patch", *state, "--type=merge", f"--patch={content}")
    for change in ("log.level=debug", "shards=2"):
        changes = ["--reset-then-reuse-values", f"--set={change}"]
        call(helm, "upgrade", "r", str(CHART), *changes, *where)
        kept = plane.kubectl("get", *state, "-o", "jsonpath={.binaryData.checkpoint}")
        assert kept == "a2VwdA==", "an upgrade leaves the state alone, also what is no longer used"
    kinds = "deployment,statefulset,clusterrole,configmap"
    listing = ["get", kinds, "--namespace", helm, "-l", "app.kubernetes.io/instance=r", "-oname"]
    made = [line for line in plane.kubectl(*listing).split() if f"-{helm}" in line or "/r-" in line]
    assert "statefulset.apps/r-policy-report-exporter" in made
    assert "deployment.apps/r-policy-report-exporter" not in made
    call(helm, "uninstall", "r", *where)
    left = plane.kubectl(*listing).split()
    gone = [line for line in left if "-state-" not in line and not line.endswith("-state")]
    assert not [line for line in gone if "configmap" in line or "set" in line or helm in line]
    call(helm, "install", "r", str(CHART), *where)
    kept = plane.kubectl("get", *state, "-o", "jsonpath={.binaryData.checkpoint}")
    assert kept == "a2VwdA==", "another installation goes on with it"


PODS: dict[str, Object] = {
    "the default": {},
    "a shard on a claim": {"shards": 2, "state": {"persistence": {"enabled": True}}},
    "all secrets mounted": {
        "web": {"existingSecret": "w", "tls": True},
        "alertmanager": {"urls": ["http://am"], "existingSecret": "a"},
    },
}


def pod_of(chart: Chart, namespace: str, **security: Json) -> Object:
    """Return the pod that the workload's controller would make."""
    [workload] = chart.all("Deployment") + chart.all("StatefulSet")
    template = fields(at(workload, "spec", "template"))
    claims = [at(claim, "metadata", "name") for claim in items(at(workload, *CLAIMS) or [])]
    volumes: list[Json] = [{"name": name, "emptyDir": {}} for name in claims]
    spec = {**fields(template["spec"]), "serviceAccountName": "default"}
    spec["volumes"] = [*items(spec["volumes"]), *volumes]
    metadata = {**fields(template["metadata"]), "name": "made", "namespace": namespace}
    if security:
        [container] = items(spec["containers"])
        changed = {**fields(at(container, "securityContext")), **security}
        spec["containers"] = [{**fields(container), "securityContext": changed}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture
def restricted(plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own in which the restricted standard is enforced."""
    number = request.session.items.index(request.node)
    return plane.create_namespace(
        f"restricted-{number}", {"pod-security.kubernetes.io/enforce": "restricted"}
    )


@pytest.mark.parametrize("values", PODS.values(), ids=PODS.keys())
def test_the_pod_is_admitted_where_restricted_is_enforced(
    plane: ControlPlane, restricted: str, values: Object
) -> None:
    plane.apply([pod_of(render(values), restricted)])


def test_the_test_pod_is_admitted_where_restricted_is_enforced(
    plane: ControlPlane, restricted: str
) -> None:
    pod = render().one("Pod")
    metadata = {**fields(pod["metadata"]), "namespace": restricted}
    plane.apply([{**pod, "metadata": metadata}])


def test_a_pod_that_may_escalate_is_refused_there(plane: ControlPlane, restricted: str) -> None:
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        plane.apply([pod_of(render(), restricted, allowPrivilegeEscalation=True)])


@contextmanager
def exporter(plane: ControlPlane, chart: Chart, home: Path) -> Iterator[str]:
    """Run the exporter with the chart's flags, configuration and account; yield its address."""
    namespace = str(at(chart.one("ServiceAccount"), "metadata", "namespace"))
    config = home / "config.yaml"
    config.write_text(
        str(at(chart.one("ConfigMap", "exporter"), "data", "config.yaml")), encoding="utf-8"
    )
    port = free_port()
    places = {
        "--state.configmap=": f"--state.configmap={namespace}/",
        "/etc/policy-report-exporter/config/config.yaml": str(config),
        "/var/lib/policy-report-exporter": str(home),
        "=:10480": f"=127.0.0.1:{port}",
    }
    flags = [str(flag) for flag in items(at(chart.container(), "args"))]
    for inside, outside in places.items():
        flags = [flag.replace(inside, outside) for flag in flags]
    kubeconfig = plane.token_kubeconfig(namespace, ACCOUNT)
    argv = [sys.executable, "-m", "exporter", *flags, f"--kubeconfig={kubeconfig}"]
    url = f"http://127.0.0.1:{port}"
    root = Path(__file__).resolve().parents[2]
    with Process(argv, cwd=home, ready=f"{url}/-/ready", env={"PYTHONPATH": str(root)}):
        yield url


def installed(plane: ControlPlane, values: Object, namespace: str) -> Chart:
    """Apply the chart's account and roles, and return the chart."""
    chart = render({**values, "namespaceOverride": namespace})
    wanted = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    plane.create_namespace(namespace)
    plane.apply([o for o in chart.objects if o["kind"] in wanted or is_state(o)])
    return chart


def is_state(item: Object) -> bool:
    return item["kind"] == "ConfigMap" and "data" not in item


def asks(chart: Chart, url: str) -> int:
    """Run what the chart's test pod runs against another address, and return its exit status."""
    _, flag, script, _, *rest = (
        str(word) for word in items(at(chart.one("Pod"), "spec", "containers", 0, "command"))
    )
    command = [sys.executable, flag, script, url, *rest]
    return subprocess.run(command, capture_output=True, check=False).returncode


MODES: dict[str, Object] = {
    "the default": {},
    "labels of namespaces": {"config": {"labels": {"namespace_labels": ["team"]}}},
    "reports only": {"config": {"events": {"watch": False}, "policies": {"watch": False}}},
    "no state": {"state": {"enabled": False}},
    "state on an emptyDir": {"state": {"configMap": {"enabled": False}}},
}


@pytest.mark.parametrize("values", MODES.values(), ids=MODES.keys())
def test_the_exporter_uses_every_permission_and_misses_none(
    audited: Audited, values: Object, tmp_path: Path
) -> None:
    namespace = re.sub(r"[\W_]+", "-", tmp_path.name)
    chart = installed(audited.plane, values, namespace)
    with exporter(audited.plane, chart, tmp_path) as url:
        text = fetch(f"{url}/metrics").decode()
        assert asks(chart, url) == 0
    assert asks(chart, url) != 0
    asked = audited.asked(namespace)
    assert not [a for a in asked if a[2] == 403]
    roles = chart.all("ClusterRole") + chart.all("Role")
    assert {a[0] for a in asked} == {p for role in roles for p in permissions(role)}
    assert 'policyreport_exporter_synced{resource="policyreports.wgpolicyk8s.io"} 1' in text


def test_namespaced_it_stays_in_its_namespaces_with_roles_alone(
    audited: Audited, tmp_path: Path
) -> None:
    for name in ("carts", "checkout"):
        audited.plane.create_namespace(name)
    chart = installed(audited.plane, {"namespaces": ["carts", "checkout"]}, "tenant")
    with exporter(audited.plane, chart, tmp_path):
        pass
    asked = audited.asked("tenant")
    # Which cluster this is cannot be read with a Role elsewhere; the exporter does without.
    assert {a for a in asked if a[2] == 403} == {(*CLUSTER_ID, 403)}
    assert {a[1] for a in asked} - {"kube-system"} == {"carts", "checkout", "tenant"}
    for role in chart.all("Role"):
        self_metrics = {a[0] for a in asked if a[1] == at(role, "metadata", "namespace")}
        assert self_metrics == permissions(role)
