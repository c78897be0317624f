"""The HTTP session to an API server, and its refusals as errors."""

import ipaddress
import re
import socket
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from exporter.connection import check_url
from exporter.errors import ApiError, ConfigError, error_of_status
from exporter.wire.codec import BROKEN, WatchError, status_of


def environment_proxy(server: str, environ: Mapping[str, str]) -> str:
    """Find the proxy for a server's URL, "" for none.

    Raises:
        ConfigError: the variable does not hold the URL of an HTTP proxy.
    """
    url = urlsplit(server)
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    name = f"{url.scheme}_proxy"
    proxy = environ.get(name) or environ.get(name.upper()) or ""
    excluded = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not proxy or _is_loopback(host) or _is_excluded(host, port, excluded):
        return ""
    return checked_proxy(proxy if "://" in proxy else f"http://{proxy}", name.upper())


def checked_proxy(url: str, origin: str) -> str:
    """Check that a proxy speaks HTTP; *origin* is where it is set, for the message.

    Raises:
        ConfigError: it does not, or the URL is invalid.
    """
    if url.startswith("socks"):
        raise ConfigError(
            f"{origin}: SOCKS proxies are not supported, expected http:// or https://"
        )
    try:
        check_url(url)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {_without_password(url, str(error))}") from error
    return url


def _without_password(url: str, message: str) -> str:
    return message.replace(url, "...") if "@" in url else message


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_excluded(host: str, port: int, excluded: str) -> bool:
    host = host.lower().removesuffix(".")
    patterns = [each.strip().lower() for each in excluded.split(",")]
    return "*" in patterns or any(_matches(host, port, each) for each in patterns)


def _matches(host: str, port: int, pattern: str) -> bool:
    """Match an entry of NO_PROXY: a name, an address or a block, perhaps with a port."""
    if "/" in pattern:
        return _is_in_block(host, pattern)
    if _address(pattern) is None:
        name, colon, number = pattern.rpartition(":")
        if colon and number.isdecimal():
            if number != str(port):
                return False
            pattern = name.strip("[]")
    if (address := _address(host)) is not None:
        return address == _address(pattern)
    suffix = pattern.removeprefix("*")
    return bool(pattern) and (host == suffix or host.endswith("." + suffix.removeprefix(".")))


def _is_in_block(host: str, block: str) -> bool:
    address = _address(host)
    try:
        return address is not None and address in ipaddress.ip_network(block, strict=False)
    except ValueError:
        return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


READ_BYTES: Final = 2**18
CONNECT_SECONDS: Final = 10.0
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


def new_session() -> aiohttp.ClientSession:
    """Open a session without a bound on connections: every watch holds one."""
    connector = aiohttp.TCPConnector(limit=0, socket_factory=_kept_alive)
    return aiohttp.ClientSession(connector=connector, read_bufsize=READ_BYTES)


def accepted_encoding() -> str:
    """Let aiohttp inflate with isal and ask for gzip; with zlib, plain JSON arrives sooner."""
    try:
        from isal import isal_zlib  # noqa: PLC0415 - not on every platform
    except ImportError:
        return "identity"
    aiohttp.set_zlib_backend(isal_zlib)
    return "gzip"


def drop(response: aiohttp.ClientResponse) -> None:
    """End an answer. What was not read to its end is cut off, its connection with it.

    Closing TLS cleanly waits for the other side: a stream would leave its socket behind in a
    loop that ends meanwhile.
    """
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


def _kept_alive(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket whose peer is asked, when all is quiet, whether it is still there."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # Linux has all of them
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


MESSAGE_CHARACTERS: Final = 300


def refusal(code: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """Read the Status in a body, or describe the code where there is none."""
    status = _status(body)
    wait = status.retry_after
    message = status.message[:MESSAGE_CHARACTERS] or _phrase(code)
    return error_of_status(
        code, f"{message} ({code})", _seconds(headers.get("Retry-After", "")) or wait
    )


def _status(body: bytes) -> WatchError:
    try:
        return status_of(body)
    except BROKEN:
        return WatchError(0, "", "", 0.0)


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "unknown status"


def _seconds(retry_after: str) -> float:
    # API servers send seconds; a date, which a proxy may send, is as good as no answer.
    return float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else 0.0
