"""Turns --web.listen-address into a listening socket."""

import errno
import os
import socket

from exporter.errors import ConfigError

BACKLOG = 128
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - recognised, not bound by default


def bind(address: str) -> socket.socket:
    """Bind ``host:port``, ``[v6]:port`` or ``:port`` (every address of the machine, v4 and v6)."""
    host, port = _split(address)
    try:
        return _everywhere(port) if not host else _at(host, port)
    except (OSError, UnicodeError) as error:  # a label that is too long is a UnicodeError
        raise ConfigError(f"--web.listen-address {address}: {_reason(error)}") from error


def url(sock: socket.socket, scheme: str) -> str:
    """Spell where a bound socket is reached from this machine."""
    host, port = sock.getsockname()[:2]
    if host in _WILDCARDS:
        host = "localhost"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _reason(error: OSError | UnicodeError) -> str:
    number = getattr(error, "errno", None) or 0
    return os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    plain = host[1:-1] if bracketed else host
    if not colon or (":" in plain) != bracketed or "[" in plain:
        raise ConfigError(
            f"--web.listen-address {address}: expected HOST:PORT, [IPV6]:PORT or :PORT"
        )
    if not (port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ConfigError(f"--web.listen-address {address}: expected a port from 0 to 65535")
    return plain, int(port)


def _everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return _listenable(socket.AF_INET6, ("::", port), dualstack=True)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:  # IPv6 compiled in, but switched off
                raise
    return _listenable(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104 - asked for


def _at(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name such as localhost means one socket, as in Go: its IPv4 address when it has one.
    family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
    return _listenable(family, where)


def _listenable(
    family: int, where: tuple[int | str | bytes, ...], *, dualstack: bool = False
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dualstack else 1)
        sock.setblocking(False)
        sock.bind(where)
        # Here and not later: an address that is taken may only show itself now.
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
