"""What ended the process once: the real command names it and goes on."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from exporter.checkpoint.file import NAME
from tests.app.commands import Command, serving
from tests.app.running import Cluster
from tests.kube.kubeconfigs import kubeconfig
from tests.tools import answers, eventually

pytestmark = pytest.mark.tier("simulator")

API_VERSION: Final = "client.authentication.k8s.io/v1"


def with_file(directory: Path, token: str) -> dict[str, object]:
    """Credentials that are read from a file at each request."""
    (directory / "token").write_bytes(token.encode())
    return {"tokenFile": str(directory / "token")}


def with_plugin(directory: Path, token: str) -> dict[str, object]:
    """Credentials that a plugin prints, as they are in a file."""
    credential = {"apiVersion": API_VERSION, "kind": "ExecCredential", "status": {"token": token}}
    (directory / "credential").write_text(json.dumps(credential))
    arguments = [str(directory / "credential")]
    return {"exec": {"apiVersion": API_VERSION, "command": "cat", "args": arguments}}


@pytest.mark.parametrize(
    ("user", "token"),
    [(with_file, "one\ntwo"), (with_plugin, "one\r\nX-Other: two")],
    ids=["file of two lines", "plugin with CR LF"],
)
async def test_a_token_with_control_characters_is_refused(
    tmp_path: Path, user: Callable[[Path, str], dict[str, object]], token: str
) -> None:
    async with Cluster() as cluster:
        config = kubeconfig(tmp_path, cluster.api.url, user(tmp_path, token))
        command = Command(tmp_path, "serve", f"--kubeconfig={config}", ready="/livez")

        def run() -> None:
            with command:
                eventually(lambda: "token" in command.log, within=120, what="a line about it")
                assert answers(f"{command.url}/livez")
                assert not answers(f"{command.url}/-/ready")
                assert "Traceback" not in command.log
                assert "X-Other" not in command.log

        await asyncio.to_thread(run)


@pytest.mark.parametrize(
    "body",
    [b'{"schema":%b}', b'{"schema":2,"watermarks":{"x":%b}}', b'{"schema":2,"saved_at":%b}'],
    ids=["schema", "version", "time"],
)
async def test_a_checkpoint_with_a_number_of_5_000_digits_is_set_aside(
    tmp_path: Path, body: bytes
) -> None:
    (tmp_path / NAME).write_bytes(body % (b"9" * 5_000))
    async with Cluster() as cluster:
        command = serving(tmp_path, cluster.api.url, "--state.dir=.")

        def run() -> None:
            with command:
                eventually(lambda: answers(f"{command.url}/-/ready"), within=120)
                assert "checkpoint not used" in command.log
                assert "Traceback" not in command.log

        await asyncio.to_thread(run)
