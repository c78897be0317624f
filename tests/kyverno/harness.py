"""A real Kyverno: its admission, reports and background controllers beside a control plane."""

import ssl
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import yaml

from tests.cluster.harness import ControlPlane
from tests.kyverno.api import Api, Object
from tests.tools import Process, answers, eventually, free_port, tool

NAMESPACE = "kyverno"
ADMISSION, REPORTS, BACKGROUND = "kyverno", "reports-controller", "background-controller"
ACCOUNTS = {
    ADMISSION: "kyverno-admission-controller",
    REPORTS: "kyverno-reports-controller",
    BACKGROUND: "kyverno-background-controller",
}
LEASES = {ADMISSION: "kyverno", REPORTS: "kyverno-reports-controller", BACKGROUND: ""}
WITHIN_SECONDS = 120.0
APISERVER_FLAGS = ("--disable-admission-plugins=ServiceAccount",)
"""No controller makes ServiceAccounts, and Kyverno's Pods are processes here."""


class Kyverno:
    """Three processes; the certificates of the webhooks are Kyverno's own."""

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        self._plane = plane
        self._api = Api(plane)
        self._directory = directory
        self._ports = {name: free_port() for name in ("webhook", *ACCOUNTS)}
        self.openreports = False
        self.processes: dict[str, Process] = {}

    def install(self) -> None:
        """Create the CRDs of both report groups, and everything else that Kyverno looks up."""
        manifests = tool("kyverno-manifests")
        self._plane.apply(manifests)
        crds = ("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        self._plane.kubectl(*crds)
        self._api.apply(map(_administrator, ACCOUNTS.values()))

    def start(self) -> None:
        """Start the controllers and wait until the webhooks answer."""
        self.processes = {name: self._process(name) for name in ACCOUNTS}
        for process in self.processes.values():
            process.start()

    def stop(self) -> None:
        """Stop what runs; a controller that ended already is no error."""
        for process in self.processes.values():
            process.stop()

    def kill(self) -> None:
        """End what runs without asking."""
        for process in self.processes.values():
            process.kill()

    def restart(self, name: str, *, openreports: bool = False) -> None:
        """Stop one controller and start it, to write one group of reports or the other."""
        self.openreports = openreports
        self.processes[name].stop()
        self.processes[name] = self._process(name)
        self.processes[name].start()

    def wait_until_over(self) -> None:
        """Wait until every controller has ended by itself, as each does without an API server."""
        for process in self.processes.values():
            eventually(partial(_is_over, process), within=WITHIN_SECONDS, what=process.name)

    def _process(self, name: str) -> Process:
        account = ACCOUNTS[name]
        home = self._directory / name
        home.mkdir(exist_ok=True)
        return Process(
            [tool(name), *self._flags(name)],
            cwd=home,
            ready=partial(self._ready, name),
            within=WITHIN_SECONDS,
            env=_environment(account),
        )

    def _ready(self, name: str) -> bool:
        if name == ADMISSION:
            url = f"https://127.0.0.1:{self._ports['webhook']}/health/readiness"
            return answers(url, trust=_trust_anybody())
        return answers(f"http://127.0.0.1:{self._ports[name]}/metrics")

    def _flags(self, name: str) -> Sequence[str]:
        kubeconfig = self._plane.token_kubeconfig(NAMESPACE, ACCOUNTS[name], seconds=86400)
        shared = [
            f"--kubeconfig={kubeconfig}",
            "--omitEvents=PolicyApplied,PolicySkipped",
            "--enablePolicyException=true",
            "--exceptionNamespace=*",
            "--enableReporting=validate,mutate,mutateExisting,imageVerify,generate",
            "--metricsHost=127.0.0.1",
            f"--metricsPort={self._ports[name]}",
            "--loggingFormat=text",
        ]
        own = {ADMISSION: self._admission, REPORTS: self._reports, BACKGROUND: _background}
        return [*shared, *own[name]()]

    def _admission(self) -> Sequence[str]:
        port, service = self._ports["webhook"], f"kyverno-svc.{NAMESPACE}.svc"
        return [
            f"--serverIP=127.0.0.1:{port}",
            "--webhookServerHost=127.0.0.1",
            f"--webhookServerPort={port}",
            f"--caSecretName={service}.kyverno-tls-ca",
            f"--tlsSecretName={service}.kyverno-tls-pair",
            f"--backgroundServiceAccountName={_user(ACCOUNTS[BACKGROUND])}",
            f"--reportsServiceAccountName={_user(ACCOUNTS[REPORTS])}",
            "--generateValidatingAdmissionPolicy=true",
            "--controllerRuntimeMetricsAddress=0",
        ]

    def _reports(self) -> Sequence[str]:
        return [
            "--skipResourceFilters=true",
            "--backgroundScanInterval=2m",
            "--validatingAdmissionPolicyReports=true",
            f"--openreportsEnabled={str(self.openreports).lower()}",
        ]


def _is_over(process: Process) -> bool:
    return not process.running


def _background() -> Sequence[str]:
    return ["--controllerRuntimeMetricsAddress=0"]


def _environment(account: str) -> Mapping[str, str]:
    return {
        "KYVERNO_NAMESPACE": NAMESPACE,
        "KYVERNO_SERVICEACCOUNT_NAME": account,
        "KYVERNO_ROLE_NAME": f"kyverno:{account.removeprefix('kyverno-')}",
        "KYVERNO_DEPLOYMENT": account,
        "KYVERNO_POD_NAME": f"{account}-0",
        "KYVERNO_SVC": "kyverno-svc",
        "INIT_CONFIG": "kyverno",
        "METRICS_CONFIG": "kyverno-metrics",
        "POD_IP": "127.0.0.1",
    }


def _user(account: str) -> str:
    return f"system:serviceaccount:{NAMESPACE}:{account}"


def _administrator(account: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"test:{account}"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
    }


def _trust_anybody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load(path: Path) -> list[Object]:
    """Read the objects of a file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]
