"""Access by kubeconfig, read and run by the official package; import it late, it is large."""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec
import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.exec_provider import ExecProvider
from kubernetes.aio.config.kube_config import (
    ConfigNode,
    FileOrData,
    KubeConfigLoader,
    KubeConfigMerger,
)

from exporter.errors import ConfigError, Refused
from exporter.kube.access import Access, bearer
from exporter.kube.tls import ClientTlsContext, TlsFiles

EXEC_SECONDS: Final = 60.0
RENEW_SECONDS: Final = 10.0  # at least this long between two attempts to get other credentials
EXPIRY_LEEWAY_SECONDS: Final = 60.0
_QUOTED: Final = re.compile(r"\{.*\}")  # a user's entry has secrets in it
# The package does not check the shape of what it reads.
_BROKEN: Final = (
    ConfigException,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    yaml.YAMLError,
)


class _Named(msgspec.Struct):
    name: str


class _Document(msgspec.Struct, rename="kebab"):
    """What must be right before the package can make sense of a file."""

    current_context: str | None = None
    contexts: list[_Named] | None = None


class _Loader(KubeConfigLoader):  # type: ignore[misc]  # the package has no usable types
    """The package's loader, with plugins whose failures are heard and whose tokens expire.

    ``expires`` is in Unix seconds.
    """

    expires = float("inf")
    _user: ConfigNode

    def set_active_context(self, context_name: str | None = None) -> None:
        """Choose the context. One without a user, which the package trips over, is anonymous."""
        super().set_active_context(context_name)
        if self._user is None:
            self._user = ConfigNode("user", {}, self._cluster.path)

    async def load_from_exec_plugin(self) -> bool:
        """Run the plugin."""
        async with asyncio.timeout(EXEC_SECONDS):
            status = await ExecProvider(self._user["exec"]).run()
        if "token" in status:
            self.token = f"Bearer {status['token']}"
        if "clientCertificateData" in status:
            self.cert_file = _stored(status, "clientCertificateData")
            self.key_file = _stored(status, "clientKeyData")
        if not {"token", "clientCertificateData"} & set(status):
            raise ConfigException("exec: the plugin gave neither a token nor a certificate")
        if expiry := status.get("expirationTimestamp"):
            self.expires = datetime.fromisoformat(expiry).timestamp()
        return True

    def load_cluster(self) -> None:
        """Read where the server is, and whether the files that prove it can be read."""
        self._load_cluster_info()
        if not str(getattr(self, "host", "")).startswith(("https://", "http://")):
            raise ConfigException(f"server: expected an http or https URL in {self._cluster.name}")

    @property
    def token_file(self) -> Path | None:
        """The file that holds the user's token, to be read again whenever it is used."""
        name = self._user.safe_get("tokenFile")
        return Path(self._get_base_path(self._user.path), name) if name else None


def _stored(status: Mapping[str, str], key: str) -> str:
    if key not in status:
        raise ConfigException(f"exec: the plugin gave no {key}")
    return str(FileOrData(status, None, key, base64_file_content=False).as_file())


class Kubeconfig:
    """Access by one context of one or several kubeconfig files, joined by os.pathsep.

    Everything is read again, and plugins are run again, when a token expires or is refused.
    """

    def __init__(
        self, paths: str, context: str = "", *, renew_seconds: float = RENEW_SECONDS
    ) -> None:
        files = existing(paths)
        self._paths = os.pathsep.join(files)
        self._context = chosen_context(files, context)
        self.name = f"kubeconfig {self._paths}, context {self._context}"
        self._renew_seconds = renew_seconds
        self._lock = asyncio.Lock()
        self._loader = self._read()
        self._tls = ClientTlsContext(_tls_files(self._loader))
        if self._loader.host.startswith("https"):
            self._tls.context()
        self._loaded: Access | None = None
        self._loaded_at = 0.0

    async def access(self) -> Access:
        """Return access as it is now; run a plugin again before its token expires."""
        async with self._lock:
            return self._present(await self._valid())

    async def renewed(self, refused: Access) -> Access:
        """Read everything again, unless that was done meanwhile or a moment ago."""
        async with self._lock:
            present = self._present(await self._valid())
            if present != refused or time.monotonic() - self._loaded_at < self._renew_seconds:
                return present
            return self._present(await self._load())

    async def _valid(self) -> Access:
        expired = self._loader.expires - EXPIRY_LEEWAY_SECONDS < time.time()
        return await self._load() if self._loaded is None or expired else self._loaded

    def _present(self, loaded: Access) -> Access:
        if token_file := self._loader.token_file:
            loaded = loaded._replace(authorization=bearer(token_file))
        if loaded.server.startswith("https"):
            loaded = loaded._replace(tls=self._tls.context())
        return loaded

    def _use(self, files: TlsFiles) -> None:
        if files != self._tls.files:
            tls = ClientTlsContext(files)
            tls.context()
            self._tls = tls

    def _read(self) -> _Loader:
        try:
            merged = KubeConfigMerger(self._paths).config
            loader = _Loader(merged, active_context=self._context, config_base_path=None)
            loader.load_cluster()
        except _BROKEN as error:
            raise ConfigError(f"{self.name}: {_said(error)}") from error
        return loader

    async def _load(self) -> Access:
        self._loaded_at = time.monotonic()
        configuration = Configuration()
        try:
            self._loader = self._read()
            await self._loader.load_and_set(configuration)
            self._use(_tls_files(configuration))
        except (ConfigError, *_BROKEN) as error:
            raise Refused(f"{self.name}: {_said(error)}") from error
        self._loaded = Access(
            configuration.host,
            configuration.api_key.get("BearerToken", ""),
            server_name=configuration.tls_server_name or "",
            proxy=configuration.proxy or environment_proxy(configuration.host),
        )
        return self._loaded


def _said(error: Exception) -> str:
    """Repeat what the package says, on one line and without the entries that it quotes whole."""
    return _QUOTED.sub("{...}", " ".join(str(error).split())) or type(error).__name__


def _tls_files(holder: _Loader | Configuration) -> TlsFiles:
    return TlsFiles(
        ca=getattr(holder, "ssl_ca_cert", None) or "",
        cert=getattr(holder, "cert_file", None) or "",
        key=getattr(holder, "key_file", None) or "",
        verify=getattr(holder, "verify_ssl", True),
    )


def existing(paths: str) -> list[str]:
    """Split a list of paths and keep those that exist. Raises ConfigError if none does."""
    files = [Path(path).expanduser() for path in paths.split(os.pathsep) if path]
    found = [str(file) for file in files if file.exists()]
    if not found:
        raise ConfigError(f"kubeconfig {paths}: no such file")
    return found


def chosen_context(files: list[str], wanted: str) -> str:
    """Check the files and the context asked for, else the first file's that names one.

    Raises:
        ConfigError: with file and line, or with the names of the contexts that there are.
    """
    documents = [_parsed(file) for file in files]
    contexts = [entry.name for each in documents for entry in each.contexts or ()]
    known = "it has " + (", ".join(sorted(set(contexts))) or "none")
    where = os.pathsep.join(files)
    context = wanted or next(filter(None, (each.current_context for each in documents)), "")
    if not context:
        raise ConfigError(f"kubeconfig {where}: no current-context; choose with --context; {known}")
    if context not in contexts:
        raise ConfigError(f"kubeconfig {where}: no context {context!r}; {known}")
    return context


def _parsed(file: str) -> _Document:
    try:
        return msgspec.convert(yaml.safe_load(Path(file).read_text(encoding="utf-8")), _Document)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(f"kubeconfig {file}, line {line}: {error.problem}") from error
    except OSError as error:
        raise ConfigError(f"kubeconfig {file}: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"kubeconfig {file}: {_said(error)}") from error


def environment_proxy(server: str) -> str:
    """Find the proxy that the environment names for a server, HTTPS_PROXY and NO_PROXY."""
    url = urlsplit(server)
    if not url.hostname or proxy_bypass(url.hostname):
        return ""
    return getproxies().get(url.scheme, "")
