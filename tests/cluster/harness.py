"""A real Kubernetes control plane on loopback: etcd and kube-apiserver, RBAC on.

There is no controller-manager: namespaces stay Terminating, nothing is garbage-collected, and
ClusterRoles are not aggregated. There are no nodes, so a Pod that is admitted stays Pending.
"""

import asyncio
import base64
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import yaml
from kubernetes import client, config

from tests.cluster.tokens import TokenKey
from tests.pki import Authority
from tests.tools import Process, answers, fetch, free_port, own_directory, tool

CRDS = Path(__file__).parent / "crds"
ISSUER = "https://kubernetes.default.svc.cluster.local"
# TokenRequest refuses a shorter life; the validator forgives a token its age for a minute.
SHORTEST_TOKEN_SECONDS = 600
TOKEN_LEEWAY_SECONDS = 60
# aiohttp aborts TLS connections, and sockets are closed in later turns of the loop.
CLOSED_SECONDS = 0.1

Object = Mapping[str, object]


class ControlPlane:
    """A cluster of two processes; its data and ports outlive a stop and a start."""

    def __init__(self, directory: Path, flags: Sequence[str] = ()) -> None:
        self.directory = directory
        self.flags = tuple(flags)
        authority = Authority()
        self.ca_file = directory / "ca.crt"
        self.ca_file.write_text(authority.pem, encoding="utf-8")
        self._serving = authority.server().write(directory, "kube-apiserver")
        self._admin = authority.issue("admin", group="system:masters").write(directory, "admin")
        self._tokens = TokenKey(directory)
        self._port, self._etcd_port, self._peer_port = free_port(), free_port(), free_port()
        self.server = f"https://127.0.0.1:{self._port}"
        self.etcd_url = f"http://127.0.0.1:{self._etcd_port}"
        self.kubeconfig = self.write_kubeconfig("admin", self._admin_user())
        self.etcd = self._new_etcd()
        self.apiserver = self._new_apiserver()

    # Processes

    def _new_etcd(self) -> Process:
        peer = f"http://127.0.0.1:{self._peer_port}"
        argv: list[str | Path] = [
            tool("etcd"),
            "--data-dir=etcd",
            f"--listen-client-urls={self.etcd_url}",
            f"--advertise-client-urls={self.etcd_url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]
        return Process(argv, cwd=self.directory, ready=f"{self.etcd_url}/health")

    def _new_apiserver(self) -> Process:
        argv: list[str | Path] = [
            tool("kube-apiserver"),
            f"--etcd-servers={self.etcd_url}",
            "--etcd-compaction-interval=0",  # tests say when history ends
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # it refuses to publish a loopback address
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--tls-cert-file={self._serving[0]}",
            f"--tls-private-key-file={self._serving[1]}",
            f"--client-ca-file={self.ca_file}",
            "--authorization-mode=RBAC",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={self._tokens.file}",
            f"--service-account-signing-key-file={self._tokens.file}",
            "--profiling=false",
            "--allow-privileged=true",  # else it forbids such Pods before PodSecurity sees them
            *self.flags,
        ]
        return Process(argv, cwd=self.directory, ready=self._is_ready)

    def _is_ready(self) -> bool:
        return answers(f"{self.server}/readyz", trust=self.tls())

    def start(self) -> None:
        """Start both processes and wait until the API server is ready."""
        self.etcd.start()
        self.apiserver.start()

    def stop(self) -> None:
        """Stop both processes, the API server first; the data stays."""
        self.apiserver.stop()
        self.etcd.stop()

    def restart_apiserver(self, flags: Sequence[str] | None = None) -> None:
        """Stop the API server and start it on the same port, with other flags if given.

        What it remembered for watchers is gone: a watch from before the restart gets a 410.
        """
        self.apiserver.stop()
        if flags is not None:
            self.flags = tuple(flags)
            self.apiserver = self._new_apiserver()
        self.apiserver.start()

    def compact_etcd(self) -> int:
        """Forget all history before now in etcd, and return the revision that remains.

        A watch that missed more than the last write is gone, once the API server has to ask etcd:
        run it with --watch-cache=false, or restart it, for it serves watches from memory.
        """
        key = base64.b64encode(b"/").decode()
        answer = json.loads(self._etcd_call("range", {"key": key}))
        revision = int(answer["header"]["revision"])
        self._etcd_call("compaction", {"revision": revision, "physical": True})
        return revision

    def _etcd_call(self, method: str, body: Object) -> bytes:
        return fetch(f"{self.etcd_url}/v3/kv/{method}", post=json.dumps(body).encode())

    def save(self, name: str) -> Path:
        """Copy etcd's data, as a backup would hold it; both processes are stopped meanwhile."""
        self.stop()
        copy = shutil.copytree(self.directory / "etcd", self.directory / f"backup-{name}")
        self.start()
        return copy

    def restore(self, backup: Path) -> None:
        """Go back to a backup: resource versions run through the same numbers again."""
        self.stop()
        shutil.rmtree(self.directory / "etcd")
        shutil.copytree(backup, self.directory / "etcd")
        self.start()

    # Credentials

    def trust(self) -> ssl.SSLContext:
        """Return a context that trusts this cluster and presents nobody."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def tls(self) -> ssl.SSLContext:
        """Return a context that trusts this cluster and presents the administrator."""
        context = self.trust()
        context.load_cert_chain(*self._admin)
        return context

    def _admin_user(self) -> Object:
        certificate, key = map(_base64, self._admin)
        return {"client-certificate-data": certificate, "client-key-data": key}

    def write_kubeconfig(self, name: str, user: Object) -> Path:
        """Write a kubeconfig whose only context is ``name``, for a user entry as kubectl has it."""
        cluster = {"server": self.server, "certificate-authority-data": _base64(self.ca_file)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": dict(user)}],
            "contexts": [{"name": name, "context": {"cluster": "test", "user": name}}],
        }
        path = self.directory / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def create_token(self, namespace: str, account: str, seconds: int = 3600) -> str:
        """Return a token of a ServiceAccount, by TokenRequest, or signed here if it is shorter.

        The server remembers a token that was good for ten seconds more.
        """
        with self.api() as api:
            core = client.CoreV1Api(api)
            if seconds >= SHORTEST_TOKEN_SECONDS:
                spec = client.V1TokenRequestSpec(audiences=[ISSUER], expiration_seconds=seconds)
                body = client.AuthenticationV1TokenRequest(spec=spec)
                made = core.create_namespaced_service_account_token(account, namespace, body)
                return str(made.status.token)
            uid = core.read_namespaced_service_account(account, namespace).metadata.uid
        return self._short_token(namespace, account, str(uid), seconds)

    def _short_token(self, namespace: str, account: str, uid: str, seconds: int) -> str:
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": [ISSUER],
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "iat": now - TOKEN_LEEWAY_SECONDS,
            "nbf": now - TOKEN_LEEWAY_SECONDS,
            "exp": now - TOKEN_LEEWAY_SECONDS + seconds,
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": account, "uid": uid},
            },
        }
        return self._tokens.sign(claims)

    def token_kubeconfig(self, namespace: str, account: str, seconds: int = 3600) -> Path:
        """Write a kubeconfig that holds a fresh token of a ServiceAccount."""
        token = self.create_token(namespace, account, seconds)
        return self.write_kubeconfig(f"{namespace}-{account}", {"token": token})

    # Clients

    def api(self, kubeconfig: Path | None = None) -> client.ApiClient:
        """Return the official client, a context manager; the administrator's unless told."""
        return config.new_client_from_config(config_file=str(kubeconfig or self.kubeconfig))

    def kubectl(self, *argv: str | Path, kubeconfig: Path | None = None, stdin: str = "") -> str:
        """Run kubectl and return what it printed; its failure is an AssertionError."""
        done = subprocess.run(
            [tool("kubectl"), "--kubeconfig", kubeconfig or self.kubeconfig, *argv],
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=120,
            env={"HOME": str(self.directory)},
        )
        assert done.returncode == 0, f"kubectl {' '.join(map(str, argv))}: {done.stderr}"
        return done.stdout

    def apply(self, manifest: str | Path | Sequence[Object]) -> None:
        """Apply a file, a directory, YAML text, or objects."""
        if isinstance(manifest, Path):
            self.kubectl("apply", "--server-side", "-f", manifest)
            return
        text = manifest if isinstance(manifest, str) else yaml.safe_dump_all(map(dict, manifest))
        self.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def install_crds(self) -> None:
        """Create every CRD of the tests and wait until each is served."""
        self.apply(CRDS)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace with its default ServiceAccount, which no controller would make."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.apply(
            [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata},
                service_account(name, "default"),
            ]
        )
        return name

    async def create_all(self, path: str, objects: Iterable[Object], at_once: int = 16) -> None:
        """Post many objects to a collection such as /api/v1/namespaces/a/configmaps."""
        await self._all("POST", ((path, item) for item in objects), at_once)

    async def delete_all(self, path: str, names: Iterable[str], at_once: int = 16) -> None:
        """Delete many objects of a collection, one by one, as their owners' deletion would."""
        await self._all("DELETE", ((f"{path}/{name}", None) for name in names), at_once)

    async def _all(
        self, method: str, calls: Iterable[tuple[str, Object | None]], at_once: int
    ) -> None:
        left = iter(calls)
        connector = aiohttp.TCPConnector(ssl=self.tls(), limit=at_once)

        async def work(session: aiohttp.ClientSession) -> None:
            for path, body in left:
                async with session.request(method, path, json=body) as answer:
                    text = await answer.text()  # else its connection is dropped, and left open
                    assert answer.status in (200, 201), text

        async with (
            aiohttp.ClientSession(self.server, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(at_once):
                group.create_task(work(session))
        await asyncio.sleep(CLOSED_SECONDS)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def service_account(namespace: str, name: str) -> Object:
    """Return the manifest of a ServiceAccount."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


@contextmanager
def control_plane(flags: Sequence[str] = (), *, crds: bool = True) -> Iterator[ControlPlane]:
    """Run a control plane of its own, with further flags for the API server.

    For instance --event-ttl=5s, --watch-cache=false, --feature-gates=WatchList=false,
    --min-request-timeout=5 (watches end within ten seconds).
    """
    with own_directory() as directory:
        plane = ControlPlane(directory, flags)
        try:
            plane.start()
            if crds:
                plane.install_crds()
            yield plane
        finally:
            plane.stop()
