"""Credentials of a kubeconfig's context: tokens, certificates, passwords, exec plugins, OIDC."""

import asyncio
import os
import time
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from exporter.clienttls import ClientTlsContext, PemPair, TlsFiles
from exporter.connection import check_url
from exporter.errors import ConfigError, Refused
from exporter.kube.access import EXPIRY_LEEWAY_SECONDS, Access, bearer, bearer_of_file
from exporter.kube.exec_plugin import run_plugin
from exporter.kube.kubefiles import Cluster, KubeContext, User, read_context
from exporter.kube.oidc import OidcTokens, OidcUser
from exporter.kube.transport import checked_proxy, environment_proxy

RENEW_SECONDS: Final = 10.0
"""At least this long between two attempts to get other credentials."""

_NEVER: Final = float("inf")


class _Login(NamedTuple):
    """Who we are, for as long as it holds. ``expires`` is in Unix seconds."""

    authorization: str = ""
    pair: PemPair | None = None
    expires: float = _NEVER


class Kubeconfig:
    """Access by one context of one or several kubeconfig files, joined by os.pathsep.

    The files are read again, a plugin runs again and OIDC tokens are refreshed when a token expires
    or is refused.
    """

    def __init__(
        self,
        paths: str,
        context: str = "",
        *,
        environ: Mapping[str, str] = os.environ,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        self._paths = paths
        self._wanted = context
        self._environ = environ
        self._renew_seconds = renew_seconds
        self._lock = asyncio.Lock()
        self._oidc = OidcTokens(environ)
        self._context = read_context(paths, context)
        self.name = self._context.label
        self.cluster = self._context.name
        self._static = self._described(self._context)
        self._tls = ClientTlsContext(_tls_files(self._context, None))
        if self._static.server.startswith("https"):
            self._tls = self._usable(_tls_files(self._context, None))
        self._login: _Login | None = None
        self._loaded_at = 0.0  # when the last attempt to log in ended
        self._failure = ""  # why the last attempt to log in failed

    async def access(self) -> Access:
        """Return access as it is now; run a plugin again before its token expires.

        Raises:
            Refused: the files, the token or the plugin cannot be used now.
        """
        async with self._lock:
            return self._present(await self._valid())

    async def renewed(self, refused: Access) -> Access:
        """Read everything again, unless that was done meanwhile or a moment ago.

        Raises:
            Refused: the files, the token or the plugin cannot be used now.
        """
        async with self._lock:
            present = self._present(await self._valid())
            if present != refused or time.monotonic() - self._loaded_at < self._renew_seconds:
                return present
            return self._present(await self._load())

    async def _valid(self) -> _Login:
        login = self._login
        if login is None or login.expires - EXPIRY_LEEWAY_SECONDS < time.time():
            if self._failure and time.monotonic() - self._loaded_at < self._renew_seconds:
                raise Refused(self._failure)  # each request asks: no process for each of them
            return await self._load()
        return login

    async def _load(self) -> _Login:
        self._failure = ""
        try:
            return await self._read_and_log_in()
        except Refused as error:
            self._failure = str(error)
            raise
        finally:
            self._loaded_at = time.monotonic()

    async def _read_and_log_in(self) -> _Login:
        try:
            if self._loaded_at:
                self._context = read_context(self._paths, self._wanted)
                self._static = self._described(self._context)
            self._login = login = await self._logged_in(self._context)
            files = _tls_files(self._context, login.pair)
            if files != self._tls.files and self._static.server.startswith("https"):
                self._tls = self._usable(files)
        except ConfigError as error:
            raise Refused(str(error)) from error
        except Refused as error:
            raise Refused(f"{self.name}: {error}") from error
        return login

    async def _logged_in(self, context: KubeContext) -> _Login:
        user = context.user
        if user.token_file or user.token or user.username:
            return _Login(_static_authorization(user))
        if user.auth_provider is not None:
            oidc = OidcUser(context.user_name, user.auth_provider, context.user_file)
            authorization, expires = await self._oidc.login(oidc)
            return _Login(authorization, expires=expires)
        if user.exec is None:
            return _Login()
        cluster = _for_plugin(context.cluster, context.cluster_folder)
        status = await run_plugin(user.exec, context.user_folder, cluster, self._environ)
        pair = None
        if status.client_certificate_data:
            pair = PemPair(status.client_certificate_data, status.client_key_data)
        return _Login(status.authorization, pair, status.expires)

    def _present(self, login: _Login) -> Access:
        """Complete the access; what is in files is read each time."""
        access = self._static._replace(authorization=login.authorization)
        if token_file := self._context.user.token_file:
            path = self._context.user_folder / token_file
            access = access._replace(authorization=bearer_of_file(path))
        if access.server.startswith("https"):
            access = access._replace(tls=self._tls.context())
        return access

    def _usable(self, files: TlsFiles) -> ClientTlsContext:
        tls = ClientTlsContext(files)
        try:
            tls.context()
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {error}") from error
        return tls

    def _described(self, context: KubeContext) -> Access:
        """Gather what does not change between two readings of the files."""
        cluster = context.cluster
        try:
            check_url(cluster.server)
            proxy = (
                checked_proxy(cluster.proxy_url, "proxy-url")
                if cluster.proxy_url
                else environment_proxy(cluster.server, self._environ)
            )
            headers = context.user.impersonation
        except ConfigError as error:
            raise ConfigError(f"{context.label}: {error}") from error
        return Access(
            cluster.server.rstrip("/"),
            server_name=cluster.tls_server_name,
            proxy=proxy,
            impersonation=headers,
        )


def _static_authorization(user: User) -> str:
    if user.token_file:
        return ""  # read at each request
    if user.token:
        return bearer(user.token, "the user's token")
    pair = f"{user.username}:{user.password}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _tls_files(context: KubeContext, pair: PemPair | None) -> TlsFiles:
    cluster, user = context.cluster, context.user
    if pair is None and user.certificate_pem:
        pair = PemPair(user.certificate_pem, user.key_pem)
    ca, cert, key = cluster.certificate_authority, user.client_certificate, user.client_key
    return TlsFiles(
        ca=str(context.cluster_folder / ca) if ca else "",
        cert=str(context.user_folder / cert) if cert else "",
        key=str(context.user_folder / key) if key else "",
        verify=not cluster.insecure_skip_tls_verify,
        ca_pem=cluster.authority_pem,
        pair=pair,
    )


def _for_plugin(cluster: Cluster, folder: Path) -> dict[str, object]:
    """Describe the cluster as a plugin with ``provideClusterInfo`` gets it."""
    authority = cluster.certificate_authority_data
    if not authority and cluster.certificate_authority:
        try:
            authority = b64encode((folder / cluster.certificate_authority).read_bytes()).decode()
        except OSError as error:
            raise Refused(f"certificate-authority: {error.strerror}") from error
    info = {
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": authority,
        "proxy-url": cluster.proxy_url,
        "config": cluster.plugin_config,
    }
    return {name: value for name, value in info.items() if value}
