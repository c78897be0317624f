"""What --web.listen-address may say."""

import socket

import pytest

from exporter.errors import ConfigError
from exporter.web.listen import bind, url


def test_an_empty_host_is_reached_over_both_protocols() -> None:
    with bind(":0") as sock:
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
        if sock.family == socket.AF_INET6:
            with socket.create_connection(("::1", port), 5):
                pass
        assert url(sock, "https") == f"https://localhost:{port}"


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0"])
def test_a_host_is_bound_and_nothing_else(address: str) -> None:
    with bind(address) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
        assert url(sock, "http") == f"http://127.0.0.1:{sock.getsockname()[1]}"


def test_ipv6_stands_in_brackets() -> None:
    with bind("[::1]:0") as sock:
        assert url(sock, "http") == f"http://[::1]:{sock.getsockname()[1]}"


@pytest.mark.parametrize(
    "address",
    ["", "9", "127.0.0.1", "::1:9", "[::1]", ":70000", ":-1", ":http", ":\u0663", "[127.0.0.1:9"],
)
def test_what_is_not_an_address_is_named(address: str) -> None:
    with pytest.raises(ConfigError, match=r"--web\.listen-address .*: expected"):
        bind(address)


def test_an_address_in_use_is_named() -> None:
    with bind("127.0.0.1:0") as sock:
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"{address}: Address already in use"):
            bind(address)


def test_a_host_that_cannot_be_is_named() -> None:
    host = "a" * 64
    with pytest.raises(ConfigError, match=rf"{host}:9: .*too long"):
        bind(f"{host}:9")


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:9: Cannot assign requested address"):
        bind("192.0.2.1:9")
