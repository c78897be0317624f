"""What can go wrong between an HTTP client and its server, in words, and in one place."""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from exporter.clienttls import tls_reason
from exporter.errors import ConfigError, Unavailable

FAILURES: Final = (aiohttp.ClientError, OSError, ValueError, OverflowError)
"""Everything that a request raises.

ClientError is aiohttp's own. OSError has DNS, sockets, TLS and time-outs. ValueError has host
names that IDNA cannot encode (UnicodeError), headers with control characters, and URLs that yarl
refuses; OverflowError, a port that no socket has.
"""

_REASONS: Final[dict[type[BaseException], str]] = {
    TimeoutError: "no response in time",
    aiohttp.ClientPayloadError: "the connection broke in the middle of a response",
    aiohttp.ServerDisconnectedError: "the connection was closed without a response",
    aiohttp.InvalidURL: "the URL is invalid",
    UnicodeError: "the host name is invalid",
}
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_LABEL_CHARACTERS: Final = 63
_HOST_CHARACTERS: Final = 253


@contextmanager
def translated(server: str) -> Iterator[None]:
    """Turn every way in which a request to *server* can fail into Unavailable.

    Raises:
        Unavailable: the request failed; the message has *server* and the reason.
    """
    try:
        yield
    except FAILURES as error:
        raise Unavailable(f"{server}: {failure_reason(error)}") from error


def failure_reason(error: BaseException) -> str:
    """Describe why a request failed: "connection refused", "its certificate is not trusted"."""
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return failure_reason(error.certificate_error)
        case aiohttp.ClientConnectorError():
            return failure_reason(error.os_error)
        case ssl.SSLError():
            return tls_reason(error)
        case OSError():
            return _os_reason(error)
    return " ".join(str(error).split()) or type(error).__name__


def _os_reason(error: OSError) -> str:
    """Name the error as the system does; asyncio words it as "Connect call failed"."""
    found = _ERRNO.search(str(error))  # of several addresses that were tried, the first
    number = error.errno or (int(found[1][:5]) if found else 0)
    text = os.strerror(number) if number > 0 else error.strerror or str(error)
    return text[:1].lower() + text[1:]


def check_url(url: str) -> None:
    """Check that an address can be asked at all, before anything is sent.

    Raises:
        ConfigError: it is not http or https, or has no valid host or port.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r}: expected a port from 1 to 65535") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{url!r}: expected http://host or https://host")
    if port == 0:
        raise ConfigError(f"{url!r}: expected a port from 1 to 65535")
    host = parts.hostname.removesuffix(".")
    labels = host.split(".")
    if ":" not in host and (
        len(host) > _HOST_CHARACTERS
        or any(not each or len(each) > _LABEL_CHARACTERS for each in labels)
    ):
        raise ConfigError(
            f"{url[:80]!r}: the host name is invalid: "
            f"each part between dots has 1 to {_LABEL_CHARACTERS} characters"
        )
    if not url.isprintable() or " " in url:
        raise ConfigError(f"{url!r}: expected no spaces and no control characters")
