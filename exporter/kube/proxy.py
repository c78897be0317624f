"""Which proxy the environment names for a server, by the rules of Go's clients.

golang.org/x/net/http/httpproxy has the rules: host names match with their subdomains, addresses
may be CIDR blocks, each entry may have a port, and loopback never goes through a proxy.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from exporter.connection import check_url
from exporter.errors import ConfigError


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
    """Check that a proxy speaks HTTP; *origin* says in the message who named it.

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
