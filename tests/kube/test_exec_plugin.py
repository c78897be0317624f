"""Exec plugins: what they get, what they may give, and how they are ended."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.errors import Refused
from exporter.kube.exec_plugin import ExecPlugin, ExecStatus, run_plugin
from exporter.kube.kubeconfig import Kubeconfig
from tests.kube.kubeconfigs import kubeconfig
from tests.pki import Authority
from tests.tools import is_alive

API = "client.authentication.k8s.io/v1"
SERVER = "https://api.example:6443"


def printing(status: Mapping[str, object]) -> str:
    credential = {"apiVersion": API, "kind": "ExecCredential", "status": status}
    return f"print({json.dumps(json.dumps(credential))})"


def python(program: str) -> ExecPlugin:
    return ExecPlugin(sys.executable, API, ["-c", program])


async def run(plugin: ExecPlugin, cluster: Mapping[str, object] | None = None) -> ExecStatus:
    return await run_plugin(plugin, Path(), cluster or {}, os.environ)


async def test_a_relative_command_is_beside_the_kubeconfig(tmp_path: Path) -> None:
    script = tmp_path / "bin" / "login"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\n" + printing({"token": "t"}))
    script.chmod(stat.S_IRWXU)
    path = kubeconfig(tmp_path, SERVER, {"exec": {"apiVersion": API, "command": "./bin/login"}})
    assert (await Kubeconfig(path).access()).authorization == "Bearer t"


async def test_a_command_that_is_missing_comes_with_its_hint() -> None:
    plugin = ExecPlugin("no-such-plugin", API, install_hint="install it\nwith the package manager")
    with pytest.raises(Refused) as caught:
        await run(plugin)
    assert str(caught.value) == (
        "exec: no-such-plugin: No such file or directory; install it with the package manager"
    )


TELLING = """
import json, os
spec = json.loads(os.environ["KUBERNETES_EXEC_INFO"])["spec"]
token = f"{spec.get('cluster', {}).get('server')} {spec['interactive']} {os.environ.get('MODE')}"
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {"token": token}}))
"""


@pytest.mark.parametrize("asks", [True, False])
async def test_a_plugin_gets_the_cluster_if_it_asks_for_it(tmp_path: Path, asks: bool) -> None:
    plugin = {
        "apiVersion": API,
        "command": sys.executable,
        "args": ["-c", TELLING],
        "env": [{"name": "MODE", "value": "sso"}],
        "provideClusterInfo": asks,
    }
    path = kubeconfig(tmp_path, SERVER, {"exec": plugin})
    access = await Kubeconfig(path, environ={}).access()
    assert access.authorization == f"Bearer {SERVER if asks else None} False sso"


async def test_the_cluster_that_a_plugin_gets_is_whole(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(Authority().pem)
    cluster = {
        "certificate-authority": "ca.crt",
        "tls-server-name": "api",
        "proxy-url": "http://proxy:1",
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": 7}}],
    }
    program = TELLING.replace("token = f", "token = ' '.join(sorted(spec['cluster'])) #")
    plugin = {
        "apiVersion": API,
        "command": sys.executable,
        "args": ["-c", program],
        "provideClusterInfo": True,
    }
    path = kubeconfig(tmp_path, SERVER, {"exec": plugin}, cluster)
    access = await Kubeconfig(path, environ={}).access()
    assert access.authorization == (
        "Bearer certificate-authority-data config proxy-url server tls-server-name"
    )


async def test_white_space_around_a_plugin_s_token_is_cut() -> None:
    assert (await run(python(printing({"token": "abc\r\n"})))).authorization == "Bearer abc"


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        (printing({"token": "two\r\nlines"}), "the plugin's token: expected one line of ASCII"),
        (printing({"token": "t\u00f6ken"}), "the plugin's token: expected one line of ASCII"),
        (printing({"token": "t", "expirationTimestamp": "soon"}), "not RFC 3339"),
        (printing({"token": "t", "expirationTimestamp": "9" * 5000}), "not RFC 3339"),
        (printing({"token": 7}), "status.token: expected a string, got a number"),
        ("print('[' * 100000)", "printed no ExecCredential"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "printed no ExecCredential"),
        ("import sys; sys.stderr.write('x' * 10**6); sys.exit('not logged in')", "not logged in"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "exited with status -15"),
    ],
)
async def test_what_a_plugin_prints_cannot_harm(program: str, complaint: str) -> None:
    async def used() -> tuple[str, float]:
        status = await run(python(program))
        return status.authorization, status.expires

    with pytest.raises(Refused, match=complaint):
        await used()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_plugin_that_prints_for_ever_is_killed(stream: str) -> None:
    program = f"import sys\nwhile True: sys.{stream}.write('x' * 65536)"
    with pytest.raises(Refused, match="printed more than 1048576 bytes"):
        await run(python(program))


FORKING = """
import os, sys, time
if os.fork() == 0:
    time.sleep(600)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(600)
"""


async def test_a_plugin_that_hangs_is_killed_with_its_children(
    tmp_path: Path,
) -> None:
    plugin = ExecPlugin(sys.executable, API, ["-c", FORKING, str(tmp_path / "pid")])
    with pytest.raises(Refused, match="ran longer than 2 seconds"):
        await run_plugin(plugin, Path(), {}, os.environ, seconds=2)
    group = int((tmp_path / "pid").read_text())
    for _ in range(100):  # until the system has reaped what was killed
        if not is_alive(group):
            break
        await asyncio.sleep(0.05)
    assert not is_alive(group)


async def test_a_plugin_that_is_no_longer_waited_for_is_killed(tmp_path: Path) -> None:
    plugin = ExecPlugin(sys.executable, API, ["-c", FORKING, str(tmp_path / "pid")])
    task = asyncio.ensure_future(run(plugin))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(int((tmp_path / "pid").read_text()))


async def test_a_plugin_that_needs_a_terminal_is_refused() -> None:
    plugin = ExecPlugin("login", API, interactive_mode="Always")
    with pytest.raises(Refused, match="login needs a terminal"):
        await run(plugin)
