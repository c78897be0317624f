"""The control plane behaves as a cluster does, where the tests of the exporter lean on it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.cluster.harness import ControlPlane, control_plane, service_account
from tests.tools import eventually

pytestmark = pytest.mark.tier("cluster")

REPORTS = "/apis/wgpolicyk8s.io/v1alpha2"
EXPIRED_NOW = 0


@pytest.fixture(scope="module")
def forgetful() -> Iterator[ControlPlane]:
    """A control plane that watches etcd directly, and whose Events live for two seconds."""
    with control_plane(("--watch-cache=false", "--event-ttl=2s")) as plane:
        yield plane


def report(name: str, namespace: str, *, fail: int = 0) -> dict[str, object]:
    return {
        "apiVersion": "wgpolicyk8s.io/v1alpha2",
        "kind": "PolicyReport",
        "metadata": {"name": name, "namespace": namespace},
        "scope": {"apiVersion": "v1", "kind": "Pod", "name": "web", "namespace": namespace},
        "summary": {"pass": 1, "fail": fail, "warn": 0, "error": 0, "skip": 0},
        "results": [{"policy": "p", "rule": "r", "result": "pass", "source": "kyverno"}],
    }


def config_map(name: str, namespace: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def pod(name: str, namespace: str, security: dict[str, object]) -> dict[str, object]:
    container = {"name": "c", "image": "busybox", "securityContext": security}
    metadata = {"name": name, "namespace": namespace}
    spec = {"containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def version_of(plane: ControlPlane, path: str) -> str:
    """Return the resource version of a list now."""
    return str(json.loads(plane.kubectl("get", "--raw", path))["metadata"]["resourceVersion"])


def watch(plane: ControlPlane, path: str, query: str) -> list[dict[str, object]]:
    """Return what a watch of two seconds delivers."""
    stream = plane.kubectl("get", "--raw", f"{path}?watch=1&timeoutSeconds=2&{query}")
    return [json.loads(line) for line in stream.splitlines()]


def refused(plane: ControlPlane, kubeconfig: Path, namespace: str) -> int:
    """Return the status of listing reports with a kubeconfig, 200 where it works."""
    with plane.api(kubeconfig) as api:
        objects = client.CustomObjectsApi(api)
        try:
            objects.list_namespaced_custom_object(
                "wgpolicyk8s.io", "v1alpha2", namespace, "policyreports"
            )
        except ApiException as error:
            return int(error.status)
        return 200


@pytest.mark.parametrize(
    "path",
    [
        "/apis/wgpolicyk8s.io/v1alpha2/policyreports",
        "/apis/wgpolicyk8s.io/v1alpha2/clusterpolicyreports",
        "/apis/openreports.io/v1alpha1/reports",
        "/apis/openreports.io/v1alpha1/clusterreports",
        "/apis/kyverno.io/v1/clusterpolicies",
        "/apis/kyverno.io/v1/policies",
        *(
            f"/apis/policies.kyverno.io/{version}/{scope}{kind}policies"
            for version in ("v1", "v1beta1")
            for scope in ("", "namespaced")
            for kind in ("validating", "imagevalidating", "mutating", "generating", "deleting")
        ),
    ],
)
def test_every_kind_is_served(cluster: ControlPlane, path: str) -> None:
    assert json.loads(cluster.kubectl("get", "--raw", path))["kind"].endswith("List")


def test_a_report_made_with_the_official_client_comes_back_as_servers_send_it(
    cluster: ControlPlane, namespace: str
) -> None:
    place = ("wgpolicyk8s.io", "v1alpha2", namespace, "policyreports")
    with cluster.api() as api:
        objects = client.CustomObjectsApi(api)
        objects.create_namespaced_custom_object(*place, body=report("one", namespace, fail=2))
        back = objects.get_namespaced_custom_object(*place, name="one")
    assert back["summary"]["fail"] == 2
    assert back["metadata"]["managedFields"]
    assert back["metadata"]["uid"]


def test_kubectl_prints_the_columns_of_kyverno(cluster: ControlPlane, namespace: str) -> None:
    cluster.apply([report("one", namespace, fail=2)])
    header, row = cluster.kubectl("get", "policyreports", "-n", namespace).splitlines()
    assert header.split() == [
        "NAME",
        "KIND",
        "NAME",
        "PASS",
        "FAIL",
        "WARN",
        "ERROR",
        "SKIP",
        "AGE",
    ]
    assert row.split()[:-1] == ["one", "Pod", "web", "1", "2", "0", "0", "0"]


def test_a_result_that_is_no_result_is_refused(cluster: ControlPlane, namespace: str) -> None:
    bad = report("bad", namespace) | {"results": [{"policy": "p", "result": "perhaps"}]}
    with pytest.raises(AssertionError, match=r"results\[0\].result: Unsupported value"):
        cluster.apply([bad])


async def test_many_objects_are_made_at_once(cluster: ControlPlane, namespace: str) -> None:
    path = f"{REPORTS}/namespaces/{namespace}/policyreports"
    await cluster.create_all(path, (report(f"r{n}", namespace) for n in range(300)))
    assert len(json.loads(cluster.kubectl("get", "--raw", path))["items"]) == 300


def test_an_unbound_account_is_refused_and_a_role_admits_it_to_its_namespace_only(
    cluster: ControlPlane, namespace: str
) -> None:
    cluster.apply([service_account(namespace, "reader")])
    kubeconfig = cluster.token_kubeconfig(namespace, "reader", seconds=600)
    assert refused(cluster, kubeconfig, namespace) == 403
    rule = ("--verb=get,list,watch", "--resource=policyreports.wgpolicyk8s.io")
    cluster.kubectl("create", "role", "reader", *rule, "-n", namespace)
    account = f"--serviceaccount={namespace}:reader"
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", account, "-n", namespace)
    eventually(lambda: refused(cluster, kubeconfig, namespace) == 200, what="the role is seen")
    assert refused(cluster, kubeconfig, "default") == 403


def test_a_short_token_is_good_until_it_expires(cluster: ControlPlane, namespace: str) -> None:
    good = cluster.token_kubeconfig(namespace, "default", seconds=30)
    assert refused(cluster, good, namespace) == 403  # known, though without rights
    stale = cluster.token_kubeconfig(namespace, "default", seconds=EXPIRED_NOW)
    assert refused(cluster, stale, namespace) == 401


def test_pod_security_refuses_a_privileged_pod(cluster: ControlPlane) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    strict = cluster.create_namespace("strict", labels)
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted:latest"'):
        cluster.apply([pod("bad", strict, {"privileged": True})])
    cluster.apply(
        [
            pod(
                "good",
                strict,
                {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "runAsNonRoot": True,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            )
        ]
    )


def test_a_watch_from_before_a_compaction_is_gone(forgetful: ControlPlane) -> None:
    path = f"{REPORTS}/namespaces/default/policyreports"
    before = version_of(forgetful, path)
    forgetful.apply([report("one", "default"), report("two", "default")])
    kinds = [event["type"] for event in watch(forgetful, path, f"resourceVersion={before}")]
    assert kinds == ["ADDED", "ADDED"]
    assert forgetful.compact_etcd() > int(before)
    (event,) = watch(forgetful, path, f"resourceVersion={before}")
    assert event["type"] == "ERROR"
    assert isinstance(event["object"], dict)
    assert event["object"]["code"] == 410


def test_events_live_as_long_as_they_are_told(forgetful: ControlPlane) -> None:
    regarding = {"kind": "ConfigMap", "name": "none", "namespace": "default"}
    metadata = {"name": "brief", "namespace": "default"}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": metadata}
    forgetful.apply([event | {"involvedObject": regarding, "reason": "PolicyViolation"}])
    assert "brief" in forgetful.kubectl("get", "events", "-o", "name")
    eventually(lambda: not forgetful.kubectl("get", "events", "-o", "name"), what="it expires")


def test_streaming_lists_can_be_switched_off_and_objects_survive_the_restart(
    forgetful: ControlPlane,
) -> None:
    query = (
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        "&allowWatchBookmarks=true&resourceVersion="
    )
    path = "/api/v1/namespaces/default/configmaps"
    forgetful.apply([config_map("kept", "default")])
    kinds = [event["type"] for event in watch(forgetful, path, query)]
    assert kinds == ["ADDED", "BOOKMARK"]
    forgetful.restart_apiserver(["--feature-gates=WatchList=false"])
    with pytest.raises(AssertionError, match="sendInitialEvents is forbidden"):
        watch(forgetful, path, query)
    assert "kept" in forgetful.kubectl("get", "configmaps", "-o", "name")


def test_a_restored_backup_runs_through_the_same_versions_again() -> None:
    with control_plane(crds=False) as plane:
        path = "/api/v1/namespaces/default/configmaps"
        plane.apply([config_map("old", "default")])
        backup = plane.save("early")
        plane.apply([config_map("new", "default")])
        late = int(version_of(plane, path))
        plane.restore(backup)
        assert int(version_of(plane, path)) < late
        assert "new" not in plane.kubectl("get", "configmaps", "-o", "name")
        assert "old" in plane.kubectl("get", "configmaps", "-o", "name")
    assert not plane.apiserver.running
    assert not plane.etcd.running
