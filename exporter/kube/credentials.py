"""Choose credentials: a kubeconfig's, a Pod's service account, or none."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from exporter.clienttls import ClientTlsContext, TlsFiles
from exporter.errors import ConfigError
from exporter.kube.access import Access, Credentials, bearer_of_file
from exporter.kube.kubeconfig import Kubeconfig

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Anonymous:
    """Access without credentials, to the embedded server or a local proxy."""

    def __init__(self, server: str) -> None:
        self.name = server
        self.cluster = urlsplit(server).netloc
        self._access = Access(server.rstrip("/"))

    async def access(self) -> Access:
        """Return access as it is now."""
        return self._access

    async def renewed(self, refused: Access) -> Access:
        """Return what there is: there is nothing to renew."""
        return refused


class InCluster:
    """A Pod's service account. Its token rotates, so each request reads the file."""

    def __init__(self, environ: Mapping[str, str], directory: Path = SERVICE_ACCOUNT) -> None:
        self.name = f"service account {directory}"
        host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
        self._server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self.cluster = urlsplit(self._server).netloc
        self._token = directory / "token"
        self._tls = ClientTlsContext(TlsFiles(ca=str(directory / "ca.crt")))
        self._tls.context()

    async def access(self) -> Access:
        """Return access with the token that is in the file now."""
        return Access(self._server, bearer_of_file(self._token), self._tls.context())

    async def renewed(self, refused: Access) -> Access:  # noqa: ARG002 - the file knows best
        """Return access with the token that is in the file now."""
        return await self.access()


def find_credentials(
    kubeconfig: str = "",
    context: str = "",
    *,
    environ: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
) -> Credentials:
    """Choose: a kubeconfig that was named, the Pod's service account, $KUBECONFIG, the default.

    Raises:
        ConfigError: none is there, or the kubeconfig does not hold what is asked for.
    """
    named = bool(kubeconfig or context)
    if not named and is_in_cluster(environ, service_account):
        return InCluster(environ, service_account)
    default = Path(environ.get("HOME") or Path.home()) / ".kube" / "config"
    paths = kubeconfig or environ.get("KUBECONFIG") or str(default)
    if paths == str(default) and not default.exists():
        raise ConfigError(
            "no cluster found: this is not a Pod with a service account, KUBECONFIG is not set, "
            f"and {default} does not exist; set --kubeconfig, or try the command demo"
        )
    return Kubeconfig(paths, context, environ=environ)


def own_namespace(service_account: Path = SERVICE_ACCOUNT) -> str:
    """Read the namespace of the Pod that this is.

    Raises:
        ConfigError: it is none.
    """
    try:
        return (service_account / "namespace").read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(
            "--state.configmap: this is not a Pod, so there is no default namespace: expected "
            "NAMESPACE/NAME"
        ) from error


def is_in_cluster(environ: Mapping[str, str], service_account: Path) -> bool:
    """Return whether this is a Pod that has a service account's token."""
    names = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
    return all(environ.get(name) for name in names) and (service_account / "token").exists()
