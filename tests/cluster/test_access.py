"""What the exporter may do changes under it: tokens rotate, roles are taken away and given back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from kubernetes import client

from exporter.app.serve import start
from exporter.kube.credentials import InCluster
from exporter.settings.flags import Flags
from exporter.simulator.checks import LABELS
from tests.app.running import Life, Samples, self_metrics, summaries
from tests.cluster.gate import Gate
from tests.cluster.harness import ISSUER, ControlPlane, Object
from tests.cluster.objects import as_open_report, namespace_report, pod_report, sums
from tests.cluster.running import exporter
from tests.tools import eventually

pytestmark = pytest.mark.tier("cluster")

ACCOUNT = "default"
REPORTS = "policyreports.wgpolicyk8s.io"
TEN_MINUTES = 600
REPORT_GROUP = ["wgpolicyk8s.io"]
OTHER_GROUPS = ["openreports.io", "kyverno.io", "policies.kyverno.io", "events.k8s.io"]


def role(name: str, namespace: str, groups: list[str], place: str = "") -> list[Object]:
    """Let the default account of a namespace read all of some groups, in one place or in all."""
    kind = "Role" if place else "ClusterRole"
    metadata = {"name": name, "namespace": place} if place else {"name": name}
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
    rule = {"apiGroups": groups, "resources": ["*"], "verbs": ["get", "list", "watch"]}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    return [
        head | {"kind": kind, "rules": [rule]},
        head | {"kind": f"{kind}Binding", "roleRef": reference, "subjects": [subject]},
    ]


def may(plane: ControlPlane, namespace: str, groups: list[str]) -> list[Object]:
    """Give the default account of a namespace what it takes to read some groups everywhere."""
    given = role(f"{namespace}-{groups[0]}", namespace, groups)
    plane.apply(given)
    return given


@pytest.fixture
def allowed(cluster: ControlPlane, namespace: str) -> str:
    """A namespace whose default account may read everything."""
    may(cluster, namespace, REPORT_GROUP + OTHER_GROUPS)
    return namespace


def within(samples: Samples, namespace: str) -> dict[tuple[str, str, str], int]:
    return {k: n for k, n in summaries(samples).items() if k[0] == namespace}


def bound_token(plane: ControlPlane, namespace: str, secret: str) -> str:
    """Return a token of ten minutes that is good for as long as a Secret exists."""
    plane.kubectl("create", "secret", "generic", secret, "-n", namespace)
    with plane.api() as api:
        core = client.CoreV1Api(api)
        uid = core.read_namespaced_secret(secret, namespace).metadata.uid
        bound = client.V1BoundObjectReference(api_version="v1", kind="Secret", name=secret, uid=uid)
        spec = client.V1TokenRequestSpec(
            audiences=[ISSUER], expiration_seconds=TEN_MINUTES, bound_object_ref=bound
        )
        body = client.AuthenticationV1TokenRequest(spec=spec)
        made = core.create_namespaced_service_account_token(ACCOUNT, namespace, body)
        return str(made.status.token)


def revoke(plane: ControlPlane, namespace: str, secret: str, token: str) -> None:
    """Take back a bound token, and wait until the server has forgotten that it was good."""
    plane.kubectl("delete", "secret", secret, "-n", namespace)
    eventually(lambda: status(plane, token) == 401, what="the old token is refused")


def status(plane: ControlPlane, token: str) -> int:
    """Return the status of a request with a token."""
    request = Request(f"{plane.server}/version/", headers={"Authorization": f"Bearer {token}"})
    context = plane.trust()
    try:
        with urlopen(request, timeout=10, context=context) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


@asynccontextmanager
async def in_pod(gate: Gate, directory: Path) -> AsyncIterator[Life]:
    """Run the exporter in this process with a Pod's credentials."""
    environ = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(gate.port),
    }
    async with AsyncExitStack() as stack:
        found = await start(Flags(), InCluster(environ, directory), stack)
        task = asyncio.create_task(found.run())
        try:
            yield Life(found.present.exporter, task)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def mounted(cluster: ControlPlane, tmp_path: Path) -> Path:
    """A directory as a Pod's service account is mounted, its token still to come."""
    (tmp_path / "ca.crt").write_bytes(cluster.ca_file.read_bytes())
    return tmp_path


async def test_a_rotated_token_is_used_before_the_old_one_is_refused(
    cluster: ControlPlane, gate: Gate, allowed: str, mounted: Path
) -> None:
    old = bound_token(cluster, allowed, "old")
    (mounted / "token").write_text(old, encoding="ascii")
    async with in_pod(gate, mounted) as life:
        # A first list that is cut off in its middle begins again, and that counts as a relist.
        reflectors = life.exporter.reflectors
        await life.until(lambda _: all(f.up or f.state == "not served" for f in reflectors))
        (mounted / "token").write_text(bound_token(cluster, allowed, "new"), encoding="ascii")
        await asyncio.to_thread(revoke, cluster, allowed, "old", old)
        gate.cut()
        report = pod_report(allowed, "web", LABELS.policy)
        await asyncio.to_thread(cluster.apply, [report])
        after = await life.until(lambda s: within(s, allowed) == sums([report]), within=60)
    assert self_metrics(after, "relists_total") is None
    assert self_metrics(after, "api_requests_total", code="401") is None


def token_file_kubeconfig(gate: Gate, plane: ControlPlane, namespace: str, token: Path) -> Path:
    user = {"tokenFile": str(token)}
    return gate.kubeconfig(plane.write_kubeconfig(f"{namespace}-file", user))


def test_a_token_that_is_replaced_too_late_is_taken_up_without_a_list(
    cluster: ControlPlane, gate: Gate, allowed: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    old = bound_token(cluster, allowed, "old")
    file.write_text(old, encoding="ascii")
    before = pod_report(allowed, "before")
    cluster.apply([before])
    with exporter(token_file_kubeconfig(gate, cluster, allowed, file)) as running:
        running.until(lambda s: self_metrics(s, "watch_up", resource=REPORTS) == 1)
        revoke(cluster, allowed, "old", old)
        gate.cut()
        refused = running.until(lambda s: self_metrics(s, "watch_up") == 0)
        assert within(refused, allowed) == sums([before])
        new = bound_token(cluster, allowed, "new")
        file.write_text(new, encoding="ascii")
        after = pod_report(allowed, "after")
        cluster.apply([after])
        samples = running.until(lambda s: within(s, allowed) == sums([before, after]))
        assert self_metrics(samples, "relists_total", resource=REPORTS) is None
        assert self_metrics(samples, "api_requests_total", code="401")
        assert "Unauthorized (401)" in running.process.log
        assert not [token for token in (old, new) if token in running.process.log]


def test_a_role_taken_away_stops_its_reports_alone_and_given_back_resumes_them(
    cluster: ControlPlane, gate: Gate, namespace: str
) -> None:
    reading = may(cluster, namespace, REPORT_GROUP)
    may(cluster, namespace, OTHER_GROUPS)
    kubeconfig = cluster.token_kubeconfig(namespace, ACCOUNT, TEN_MINUTES)
    before = pod_report(namespace, "before", LABELS.policy)
    cluster.apply([before])
    with exporter(gate.kubeconfig(kubeconfig)) as running:
        running.until(lambda s: self_metrics(s, "watch_up", resource=REPORTS) == 1)
        cluster.kubectl("delete", "clusterrolebinding", f"{namespace}-{REPORT_GROUP[0]}")
        eventually(lambda: not can_list(cluster, kubeconfig), what="the role is gone")
        gate.cut()
        eventually(lambda: running.states()[REPORTS] == "refused", what="that is shown")
        unseen = pod_report(namespace, "unseen")
        other = as_open_report(pod_report(namespace, "other"))
        cluster.apply([unseen, other])
        samples = running.until(lambda s: within(s, namespace) == sums([before, other]))
        assert self_metrics(samples, "watch_up", resource=REPORTS) == 0
        assert self_metrics(samples, "api_requests_total", code="403")
        cluster.apply(reading)
        samples = running.until(lambda s: within(s, namespace) == sums([before, other, unseen]))
        assert self_metrics(samples, "relists_total", resource=REPORTS) is None


def can_list(plane: ControlPlane, kubeconfig: Path) -> bool:
    try:
        return plane.kubectl("auth", "can-i", "list", REPORTS, "-A", kubeconfig=kubeconfig) != ""
    except AssertionError:
        return False


def test_namespaced_a_role_in_each_namespace_is_enough(
    cluster: ControlPlane, namespace: str
) -> None:
    second, third = (cluster.create_namespace(f"{namespace}-{n}") for n in ("b", "c"))
    for place in (namespace, second):
        cluster.apply(role("reader", namespace, REPORT_GROUP + OTHER_GROUPS, place))
    reports = [pod_report(place, "web", LABELS.policy) for place in (namespace, second)]
    hidden = [pod_report(third, "web"), namespace_report(third, LABELS.policy)]
    cluster.apply([*reports, *hidden])
    kubeconfig = cluster.token_kubeconfig(namespace, ACCOUNT, TEN_MINUTES)
    flags = (f"--namespace={namespace}", f"--namespace={second}")
    with exporter(kubeconfig, *flags) as running:
        late = as_open_report(pod_report(second, "late"))
        cluster.apply([late])
        wanted = sums([*reports, late])
        samples = running.until(lambda s: summaries(s) == wanted and self_metrics(s, "watch_up"))
        assert set(running.states().values()) == {"watching"}
        assert self_metrics(samples, "api_requests_total", code="403") is None
