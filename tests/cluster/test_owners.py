"""Workloads from the metadata that a real API server gives of Pods, ReplicaSets and Jobs."""

import json
from collections.abc import Iterator

import pytest

from exporter.simulator import kyverno
from exporter.simulator.checks import LABELS
from exporter.simulator.kyverno import ReportTarget
from tests.app.running import Samples, self_metrics
from tests.cluster.harness import ControlPlane, Object
from tests.cluster.running import Running, exporter

pytestmark = pytest.mark.tier("cluster")

BY_NAME = "policyreport_resource_results"
EXACT = {
    "birth_hold": 0,
    "workloads": {"watch": "metadata"},
    "policies": {"watch": False},
    "events": {"watch": False},
}
RULES = (
    ("wgpolicyk8s.io", "policyreports"),
    ("openreports.io", "reports"),
    ("", "pods"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
)
CONTAINERS = {"containers": [{"name": "app", "image": "app"}], "restartPolicy": "Never"}
ALWAYS = CONTAINERS | {"restartPolicy": "Always"}
LABELLED = {"labels": {"app": "app"}}


def allow(cluster: ControlPlane, namespace: str) -> None:
    """Let the default account list and watch what is read, as the chart's Role does, no more."""
    metadata = {"name": "owners", "namespace": namespace}
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
    rules = [
        {"apiGroups": [group], "resources": [plural], "verbs": ["list", "watch"]}
        for group, plural in RULES
    ]
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "owners"}
    binding = head | {"kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
    cluster.apply([head | {"kind": "Role", "rules": rules}, binding])


def create(cluster: ControlPlane, namespace: str, item: Object, owner: Object) -> Object:
    """Create an object with a controller, and its failing report; return a reference to it."""
    metadata = {"namespace": namespace, "ownerReferences": [{**owner, "controller": True}]}
    given = item["metadata"]
    assert isinstance(given, dict)
    text = json.dumps({**item, "metadata": given | metadata})
    made = json.loads(cluster.kubectl("create", "-f", "-", "-o", "json", stdin=text))
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]
    target = ReportTarget(made["kind"], namespace, name, uid)
    cluster.apply([kyverno.report(target, [kyverno.result(LABELS, "fail", target, 1_795_435_200)])])
    return {"apiVersion": made["apiVersion"], "kind": made["kind"], "name": name, "uid": uid}


@pytest.fixture
def running(cluster: ControlPlane, namespace: str) -> Iterator[Running]:
    allow(cluster, namespace)
    access = cluster.token_kubeconfig(namespace, "default")
    with exporter(access, f"--namespace={namespace}", config=EXACT) as process:
        yield process


def workloads(samples: Samples) -> dict[str, str]:
    return {
        series.label("name"): f"{series.label('workload_kind')}/{series.label('workload')}"
        for series in samples
        if series.name == BY_NAME
    }


def test_metadata_name_the_controllers_and_follow_them(
    running: Running, cluster: ControlPlane, namespace: str
) -> None:
    rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "shop", "uid": "r"}
    workflow = {**rollout, "kind": "Workflow", "name": "nightly", "uid": "w"}
    template = {"metadata": LABELLED, "spec": ALWAYS}
    selector = {"matchLabels": LABELLED["labels"]}
    replica_set = create(
        cluster,
        namespace,
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "canary"},
            "spec": {"replicas": 0, "selector": selector, "template": template},
        },
        rollout,
    )
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "odd"}, "spec": ALWAYS}
    create(cluster, namespace, pod, replica_set)
    job = {"spec": {"template": {"spec": CONTAINERS}}}
    create(
        cluster,
        namespace,
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "step"}, **job},
        workflow,
    )
    top = "Rollout/shop"
    wanted = {"canary": top, "odd": top, "step": "Workflow/nightly"}
    samples = running.until(lambda s: workloads(s) == wanted)
    for resource in ("pods", "replicasets.apps", "jobs.batch"):
        assert self_metrics(samples, "objects", resource=resource) == 1
        assert self_metrics(samples, "watch_up", resource=resource) == 1
    orphan = '[{"op": "remove", "path": "/metadata/ownerReferences"}]'
    cluster.kubectl("patch", "pod", "odd", "-n", namespace, "--type=json", "-p", orphan)
    running.until(lambda s: workloads(s) == wanted | {"odd": "Pod/odd"}, BY_NAME)
