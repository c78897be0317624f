"""Run a kubeconfig's exec plugin: bounded in time and output, and leaving no process behind.

The protocol is client.authentication.k8s.io/v1:
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from exporter.errors import Refused, explain
from exporter.kube.access import bearer

EXEC_SECONDS: Final = 60.0
MAX_OUTPUT_BYTES: Final = 2**20
_MESSAGE_BYTES: Final = 500
_READ_BYTES: Final = 2**16


class EnvironmentVariable(msgspec.Struct, frozen=True):
    """A variable that the plugin gets besides the exporter's own."""

    name: str
    value: str = ""


class ExecPlugin(msgspec.Struct, frozen=True, rename="camel"):
    """A user's ``exec`` entry in a kubeconfig."""

    command: str
    api_version: str
    args: list[str] = []
    env: list[EnvironmentVariable] = []
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""

    def found_from(self, folder: Path) -> str:
        """Return the command; one with a slash in it is relative to the kubeconfig's folder."""
        is_path = os.sep in self.command and not Path(self.command).is_absolute()
        return str(folder / self.command) if is_path else self.command


class ExecStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What the plugin gave; PEM is in ``client_*``. A secret."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: str = ""

    @property
    def authorization(self) -> str:
        """The header value, "" without a token.

        Raises:
            Refused: no header can carry the token.
        """
        return bearer(self.token, "exec: the plugin's token") if self.token else ""

    @property
    def expires(self) -> float:
        """Unix seconds after which the plugin must run again; infinite if it does not name one.

        Raises:
            Refused: it is no RFC 3339 instant.
        """
        if not self.expiration_timestamp:
            return float("inf")
        try:
            instant = datetime.fromisoformat(self.expiration_timestamp)
            return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError) as error:
            raise Refused("exec: the plugin's expirationTimestamp is not RFC 3339") from error


class ExecCredential(msgspec.Struct, frozen=True, rename="camel"):
    """The object that a plugin prints."""

    api_version: str
    kind: str
    status: ExecStatus | None = None


async def run_plugin(
    plugin: ExecPlugin,
    folder: Path,
    cluster: Mapping[str, object],
    environ: Mapping[str, str],
    seconds: float = EXEC_SECONDS,
) -> ExecStatus:
    """Run a plugin and return what it gave.

    *cluster* is passed to it if it asks for that.

    Raises:
        Refused: the plugin failed, took longer than *seconds*, printed more than
            ``MAX_OUTPUT_BYTES``, or gave no credentials.
    """
    if plugin.interactive_mode == "Always":
        raise Refused(f"exec: {plugin.command} needs a terminal (interactiveMode: Always)")
    spec: dict[str, object] = {"interactive": False}
    if plugin.provide_cluster_info:
        spec["cluster"] = cluster
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    variables = {each.name: each.value for each in plugin.env}
    variables["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(info).decode()
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.found_from(folder),
            *plugin.args,
            env={**environ, **variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        hint = " ".join(plugin.install_hint.split())
        reason = getattr(error, "strerror", None) or "the command line is invalid"
        raise Refused(
            f"exec: {plugin.command}: {reason}" + (f"; {hint}" if hint else "")
        ) from error
    return _status(plugin, await _output(process, plugin.command, seconds))


async def _output(process: asyncio.subprocess.Process, command: str, seconds: float) -> bytes:
    """Read what a process prints until it ends; kill whatever is left of its group."""
    try:
        async with asyncio.timeout(seconds):
            output, complaint, code = await asyncio.gather(
                _read(process, process.stdout), _read(process, process.stderr), process.wait()
            )
    except TimeoutError as error:
        raise Refused(f"exec: {command} ran longer than {seconds:.0f} seconds") from error
    finally:
        _kill(process)
        await process.wait()
    if max(len(output), len(complaint)) > MAX_OUTPUT_BYTES:
        raise Refused(f"exec: {command} printed more than {MAX_OUTPUT_BYTES} bytes")
    if code:
        text = " ".join(complaint[-_MESSAGE_BYTES:].decode(errors="replace").split())
        raise Refused(f"exec: {command} exited with status {code}" + (f": {text}" if text else ""))
    return output


async def _read(process: asyncio.subprocess.Process, stream: asyncio.StreamReader | None) -> bytes:
    """Read to the end; a process that prints too much is killed."""
    parts, size = [], 0
    while stream is not None and (part := await stream.read(_READ_BYTES)):
        size += len(part)
        if size > MAX_OUTPUT_BYTES + _READ_BYTES:
            continue  # what was in the pipe when it was killed
        parts.append(part)
        if size > MAX_OUTPUT_BYTES:
            _kill(process)
    return b"".join(parts)


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the whole group has ended
        os.killpg(process.pid, signal.SIGKILL)


def _status(plugin: ExecPlugin, output: bytes) -> ExecStatus:
    try:
        credential = msgspec.json.decode(output, type=ExecCredential)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what = f"exec: {plugin.command} printed no ExecCredential"
        raise Refused(explain(what, error)) from error
    if (credential.kind, credential.api_version) != ("ExecCredential", plugin.api_version):
        raise Refused(
            f"exec: {plugin.command} printed {credential.api_version} {credential.kind}, "
            f"expected {plugin.api_version} ExecCredential"
        )
    status = credential.status or ExecStatus()
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        raise Refused(f"exec: {plugin.command} returned only one of certificate and key")
    if not (status.token or status.client_certificate_data):
        raise Refused(f"exec: {plugin.command} returned neither a token nor a certificate")
    return status
