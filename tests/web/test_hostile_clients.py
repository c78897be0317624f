"""Clients that mean harm, at their real size, against the real command in its own process."""

import asyncio
import base64
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import bcrypt
import pytest

from tests.app.commands import Command, serving
from tests.app.running import Cluster
from tests.pki import Authority
from tests.tools import eventually

pytestmark = pytest.mark.tier("simulator")

MIB: Final = 1024 * 1024
_TICK: Final = os.sysconf("SC_CLK_TCK")


@pytest.fixture
async def api() -> AsyncIterator[str]:
    async with Cluster() as cluster:
        yield cluster.api.url


def peak_bytes(command: Command) -> int:
    """VmHWM: the most memory that the process ever had."""
    status = Path(f"/proc/{command.pid}/status").read_text("utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def cpu_seconds(command: Command) -> float:
    fields = Path(f"/proc/{command.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


@contextmanager
def costs_little(command: Command) -> Iterator[None]:
    """Assert what the block may cost: 60 MB, and half a second of CPU before liveness answers."""
    before = peak_bytes(command)
    yield
    spent = cpu_seconds(command)
    assert command.get("/livez") == "ok\n"
    assert cpu_seconds(command) - spent < 0.5
    assert peak_bytes(command) - before < 60_000_000


def connect(command: Command) -> socket.socket:
    host, _, port = command.url.rpartition("/")[2].partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def send(command: Command, text: str) -> bytes:
    """Send and read the beginning of the answer; nothing where it was cut."""
    with connect(command) as sock:
        try:
            sock.sendall(text.encode())
            return sock.recv(100)
        except ConnectionError:
            return b""


async def attacked(api: str, tmp_path: Path, attack: Callable[[Command], None]) -> None:
    """Run an attack on ``serve`` while this process's loop serves the API."""

    def run() -> None:
        with serving(tmp_path, api) as command:
            eventually(lambda: "policyreport" in command.get(), what="a scrape")
            with costs_little(command):
                attack(command)

    await asyncio.to_thread(run)


@pytest.mark.parametrize("name", ["Accept", "Accept-Encoding"])
@pytest.mark.parametrize("path", ["/metrics", "/", "/api/v1/blocks"])
async def test_megabytes_of_a_negotiating_header_cost_nothing(
    api: str, tmp_path: Path, name: str, path: str
) -> None:
    value = "a/b;q=0.5,c," * 1300
    fields = "".join(f"{name}: {value}\r\n" for _ in range(120))

    def attack(command: Command) -> None:
        before = cpu_seconds(command)
        for _ in range(5):
            answer = send(command, f"GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
            assert answer == b"" or b" 431 " in answer
        assert cpu_seconds(command) - before < 0.5

    await attacked(api, tmp_path, attack)


@pytest.mark.parametrize("name", ["Accept", "Accept-Encoding"])
async def test_one_negotiating_header_of_16_kb_costs_nothing(
    api: str, tmp_path: Path, name: str
) -> None:
    def attack(command: Command) -> None:
        before = cpu_seconds(command)
        for _ in range(100):
            field = f"{name}: {'a,' * 8000}\r\n"
            answer = send(command, f"GET /metrics HTTP/1.1\r\nHost: x\r\n{field}\r\n")
            assert b" 431 " in answer
        assert cpu_seconds(command) - before < 0.5

    await attacked(api, tmp_path, attack)


async def test_1500_pages_whose_readers_hang_up_at_once_cost_little(
    api: str, tmp_path: Path
) -> None:
    def attack(command: Command) -> None:
        for n in range(1500):
            path = ("/", "/api/v1/status?search=x", "/api/v1/blocks")[n % 3]
            with connect(command) as sock:
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    await attacked(api, tmp_path, attack)


def web_config(folder: Path, text: str) -> str:
    path = folder / "web.yml"
    path.write_text(text, "utf-8")
    return f"--web.config.file={path}"


def listening(folder: Path, api: str, *arguments: str) -> Command:
    """``serve``, started when its port accepts connections, whatever it speaks there."""
    command = serving(folder, api, *arguments)

    def accepts() -> bool:
        try:
            connect(command).close()
        except OSError:
            return False
        return True

    command._ready = accepts
    return command


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"])
async def test_510_tls_connections_without_a_handshake_cost_little(
    api: str, tmp_path: Path, hello: bytes
) -> None:
    authority = Authority()
    authority.server().write(tmp_path, "s")
    option = web_config(tmp_path, "tls_server_config: {cert_file: s.crt, key_file: s.key}")
    trust = ssl.create_default_context(cadata=authority.pem)

    def get(command: Command, path: str) -> bytes:
        url = command.url.replace("http:", "https:") + path
        with urlopen(url, context=trust, timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def run() -> None:
        with listening(tmp_path, api, option) as command, ExitStack() as stack:
            get(command, "/metrics")
            before = peak_bytes(command)
            for _ in range(510):
                stack.enter_context(connect(command)).sendall(hello)
            spent = cpu_seconds(command)
            assert get(command, "/livez") == b"ok\n"
            assert cpu_seconds(command) - spent < 0.5
            assert peak_bytes(command) - before < 60_000_000

    await asyncio.to_thread(run)


async def test_a_stop_does_not_wait_for_the_logins_of_a_guessing_storm(
    api: str, tmp_path: Path
) -> None:
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(13)).decode()
    option = web_config(tmp_path, f"basic_auth_users: {{prometheus: {hashed}}}")

    def run() -> None:
        with listening(tmp_path, api, option) as command, ExitStack() as stack:
            for n in range(32):
                sock = stack.enter_context(connect(command))
                guess = base64.b64encode(f"prometheus:{n}".encode()).decode()
                head = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {guess}\r\n\r\n"
                sock.sendall(head.encode())
            assert command.get("/livez") == "ok\n"
            began = time.monotonic()
            assert command.stop() == 128 + signal.SIGTERM
            assert time.monotonic() - began < 8, "32 comparisons take 15 s and more"

    await asyncio.to_thread(run)
