"""Listening sockets, and the answers on them until the server is loaded."""

import errno
import os
import selectors
import socket
import threading
from collections.abc import Sequence
from typing import Final, Self

from exporter.errors import ConfigError

BACKLOG: Final = 128
_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - recognised, not bound by default


def bind(address: str) -> socket.socket:
    """Bind ``host:port``, ``[v6]:port`` or ``:port`` (every address of the machine, v4 and v6)."""
    host, port = _split(address)
    try:
        return _everywhere(port) if not host else _at(host, port)
    except (OSError, UnicodeError) as error:  # a label that is too long is a UnicodeError
        raise ConfigError(f"--web.listen-address {address}: {bind_failure(error)}") from error


def url(sock: socket.socket, scheme: str) -> str:
    """Spell where a bound socket is reached from this machine."""
    host, port = sock.getsockname()[:2]
    if host in _WILDCARDS:
        host = "localhost"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def bind_failure(error: OSError | UnicodeError) -> str:
    """Spell why an address cannot be listened on, and what to do where that is known."""
    number = getattr(error, "errno", None) or 0
    if number == errno.EADDRINUSE:
        return f"{os.strerror(number)}; choose another port"
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


def bind_all(listen: Sequence[str]) -> list[socket.socket]:
    """Bind all addresses, or none.

    Raises:
        ConfigError: an address cannot be used.
    """
    sockets: list[socket.socket] = []
    try:
        for address in listen:
            sockets.append(bind(address))  # noqa: PERF401 - those bound before a failure are closed
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


MAX_EARLY: Final = 64
"""Connections at once until the server is loaded; one more closes the oldest."""

_FULL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_HEAD_BYTES: Final = 8 * 1024
_READ_BYTES: Final = 4096
_ALIVE: Final = frozenset({b"/-/healthy", b"/livez"})
_STARTING: Final = b"not ready: the program is being loaded\n"


class Listeners:
    """Open sockets. Until they are handed over, a thread answers on them.

    Loading the server takes most of the time of a start, several seconds on a busy machine.
    Meanwhile the process is alive, and not ready. Where a web configuration file is used, nothing
    is answered (``early=False``): it may ask for TLS.
    """

    def __init__(self, addresses: Sequence[str], *, early: bool) -> None:
        self.sockets = bind_all(addresses)
        self._answers = EarlyAnswers(self.sockets) if early else None

    def hand_over(self) -> list[socket.socket]:
        """Stop answering and give the sockets away."""
        self._stop()
        sockets, self.sockets = self.sockets, []
        return sockets

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close what was not handed over."""
        self._stop()
        for sock in self.sockets:
            sock.close()

    def _stop(self) -> None:
        if self._answers is not None:
            self._answers.stop()
        self._answers = None


class EarlyAnswers:
    """Answers every request from a thread: alive, and not ready."""

    def __init__(self, listening: Sequence[socket.socket]) -> None:
        self._selector = selectors.DefaultSelector()
        self._heads: dict[socket.socket, bytes] = {}
        self._listening = frozenset(listening)
        self._wake, self._woken = socket.socketpair()
        for sock in (*listening, self._woken):
            self._selector.register(sock, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="early answers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; a request of which only a part has arrived is cut off."""
        self._wake.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            # What was accepted comes first: its answer is due, also when this ends.
            ready = {key.fileobj for key, _ in self._selector.select()}
            for sock in [each for each in self._heads if each in ready]:
                self._read(sock)
            if self._woken in ready:
                break
            for sock in self._listening & ready:
                self._accept(sock)
        for sock in [*self._heads]:
            self._close(sock)
        self._selector.close()
        self._woken.close()

    def _accept(self, listening: socket.socket) -> None:
        try:
            sock, _ = listening.accept()
        except OSError as error:
            if error.errno in _FULL:  # left to the server, instead of trying without end
                self._selector.unregister(listening)
            return
        sock.setblocking(False)
        if len(self._heads) >= MAX_EARLY:
            self._close(next(iter(self._heads)))
        self._heads[sock] = b""
        self._selector.register(sock, selectors.EVENT_READ)

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_READ_BYTES)
            head = self._heads[sock] = self._heads[sock] + data
            if b"\r\n\r\n" in head:
                sock.send(early_answer(head))
            elif data and len(head) <= _HEAD_BYTES:
                return
        except OSError:
            pass
        self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        del self._heads[sock]
        sock.close()


def early_answer(head: bytes) -> bytes:
    """Answer a request: its path is healthy, and nothing is ready."""
    method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if path in _ALIVE:
        status, body, later = b"200 OK", b"ok\n", b""
    else:
        status, body, later = b"503 Service Unavailable", _STARTING, b"Retry-After: 1\r\n"
    headers = (
        b"Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
        b"Server: policy-report-exporter\r\nConnection: close\r\n" + later
    )
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + headers + length + body * (method != b"HEAD")
