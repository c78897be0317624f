"""Sockets are open, and probes are answered, before the server is loaded."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Final

import pytest

from exporter.errors import ConfigError
from exporter.web.listen import MAX_EARLY, Listeners, early_answer

ANY: Final = ["127.0.0.1:0"]
HEAVY: Final = ("aiohttp", "asyncio", "ssl", "yaml", "bcrypt", "isal", "xxhash", "logging.handlers")
NEVER: Final = ("kubernetes", "rich", "exporter.simulator")
SERVE: Final = """
import sys
from exporter.cli import main

def report(event, arguments):
    if event == "socket.bind":
        print("bound", *sys.modules)

sys.addaudithook(report)
status = main(["serve", "--web.listen-address=127.0.0.1:0", "--kubeconfig=/nowhere/config"])
print("ended", *sys.modules)
sys.exit(status)
"""


@pytest.fixture
def early() -> Iterator[Listeners]:
    with Listeners(ANY, early=True) as listeners:
        yield listeners


def connected(listeners: Listeners) -> socket.socket:
    return socket.create_connection(listeners.sockets[0].getsockname(), 10)


def ask(listeners: Listeners, request: bytes) -> bytes:
    with connected(listeners) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(4096), b""))


def flood(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"x" * 4096)


@pytest.mark.parametrize("path", [b"/-/healthy", b"/livez", b"/livez?verbose"])
def test_a_process_that_is_being_loaded_is_alive(early: Listeners, path: bytes) -> None:
    answer = ask(early, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nok\n")


@pytest.mark.parametrize("path", [b"/-/ready", b"/readyz", b"/metrics", b"/"])
def test_it_is_not_ready_and_has_no_metrics(early: Listeners, path: bytes) -> None:
    answer = ask(early, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert answer.endswith(b"\r\n\r\nnot ready: the program is being loaded\n")


def test_a_head_has_no_body() -> None:
    assert early_answer(b"HEAD /livez HTTP/1.1\r\n\r\n").endswith(b"Content-Length: 3\r\n\r\n")


def test_clients_that_send_nothing_keep_no_other_out(early: Listeners) -> None:
    silent = [connected(early) for _ in range(MAX_EARLY + 5)]
    assert ask(early, b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    for sock in silent:
        sock.close()


def test_a_head_without_end_is_cut_off(early: Listeners) -> None:
    with connected(early) as sock, pytest.raises((ConnectionResetError, BrokenPipeError)):
        flood(sock)


def test_a_client_that_resets_ends_nothing(early: Listeners) -> None:
    sock = connected(early)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    sock.close()
    assert ask(early, b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_after_the_handover_connections_are_the_servers(early: Listeners) -> None:
    [listening] = early.hand_over()
    with listening, socket.create_connection(listening.getsockname(), 10):
        listening.settimeout(10)
        accepted, _ = listening.accept()
        accepted.close()
    assert early.sockets == []


def test_with_a_web_configuration_nothing_is_answered_in_plain_text() -> None:
    with Listeners(ANY, early=False) as listeners, connected(listeners) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_what_was_not_handed_over_is_closed() -> None:
    before = threading.active_count()
    with Listeners(ANY, early=True) as listeners:
        address = listeners.sockets[0].getsockname()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 10)


def test_an_address_that_is_taken_is_named(early: Listeners) -> None:
    port = early.sockets[0].getsockname()[1]
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: Address already in use"):
        Listeners([*ANY, f"127.0.0.1:{port}"], early=True)


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """The modules that serve has loaded when it binds its port, and in the end."""
    done = subprocess.run(
        [sys.executable, "-c", SERVE], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return {moment: set(names) for moment, *names in lines}


@pytest.mark.parametrize("name", HEAVY)
def test_the_port_is_open_before_what_takes_long_is_loaded(
    name: str, loaded: dict[str, set[str]]
) -> None:
    assert name not in loaded["bound"]


@pytest.mark.parametrize("name", NEVER)
def test_what_serving_does_not_use_is_not_loaded(name: str, loaded: dict[str, set[str]]) -> None:
    assert name not in loaded["ended"]
    assert "aiohttp" in loaded["ended"]
