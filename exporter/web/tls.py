"""The SSL context that tls_server_config describes, and the names in client certificates."""

import ipaddress
import logging
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from exporter.errors import ConfigError
from exporter.web.webconfig import CIPHERS, CURVES, TlsServer, WebConfig, parse

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    "NoClientCert": ssl.CERT_NONE,
    # Asked for and never looked at, in Go; not asking is the same to the server.
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


class ServerTls(NamedTuple):
    """How to secure the next connection, and which client names it may come from."""

    context: ssl.SSLContext
    allowed_sans: frozenset[str]

    def admits(self, connection: ssl.SSLObject) -> bool:
        """Return whether the client's certificate names one of the allowed, if any are named."""
        return not self.allowed_sans or not self.allowed_sans.isdisjoint(_names(connection))


def files(config: TlsServer, beside: Path) -> list[Path]:
    """Name the files that the configuration reads, relative ones beside it."""
    named = (config.cert_file, config.key_file, config.client_ca_file)
    return [beside / name for name in named if name]


def build(config: TlsServer, path: Path) -> ServerTls:
    """Load certificates and keys; ConfigError when they cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if not config.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    _restrict(context, config)
    _load_identity(context, config, path)
    _load_authority(context, config, path)
    context.verify_mode = _VERIFY[config.client_auth_type]
    return ServerTls(context, frozenset(_normal(name) for name in config.client_allowed_sans))


def _restrict(context: ssl.SSLContext, config: TlsServer) -> None:
    suites = [CIPHERS[name] for name in config.cipher_suites if CIPHERS[name]]
    if suites:
        context.set_ciphers(":".join(suites))
    for curve in config.curve_preferences:
        context.set_ecdh_curve(CURVES[curve])


def _load_identity(context: ssl.SSLContext, config: TlsServer, path: Path) -> None:
    with (
        _named(config.cert_file, config.cert, path.parent) as cert,
        _named(config.key_file, config.key, path.parent) as key,
    ):
        try:
            # An empty passphrase makes an encrypted key an error instead of a prompt.
            context.load_cert_chain(cert, key, password="")
        except (OSError, ValueError) as error:
            what = f"{config.cert_file or 'cert'} with {config.key_file or 'key'}"
            raise ConfigError(f"{path}: tls_server_config: {what}: {_reason(error)}") from error


def _load_authority(context: ssl.SSLContext, config: TlsServer, path: Path) -> None:
    if not (config.client_ca or config.client_ca_file):
        return
    try:
        if config.client_ca:
            context.load_verify_locations(cadata=config.client_ca)
        else:
            context.load_verify_locations(cafile=path.parent / config.client_ca_file)
    except (OSError, ValueError) as error:
        what = config.client_ca_file or "client_ca"
        raise ConfigError(f"{path}: tls_server_config: {what}: {_reason(error)}") from error


@contextmanager
def _named(file: str, inline: str, beside: Path) -> Iterator[Path]:
    """Give a file name to what ``ssl`` only reads from files; a key never touches the disk."""
    if file:
        yield beside / file
        return
    descriptor = os.memfd_create("pem")
    try:
        os.write(descriptor, inline.encode())
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _names(connection: ssl.SSLObject) -> Iterator[str]:
    certificate = connection.getpeercert() or {}
    for entry in certificate.get("subjectAltName", ()):
        yield _normal(str(entry[1]))


def _normal(name: str) -> str:
    """Spell an IP address in one way: OpenSSL prints IPv6 with all its zeros."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error)


log = logging.getLogger(__name__)
LOOK_SECONDS: Final = 1.0

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Rules(NamedTuple):
    """What the file demands of connections and requests."""

    config: WebConfig
    tls: ServerTls | None


class WebFile:
    """The last good rules, looked after at most once a second.

    A file that becomes invalid while running changes nothing: the last good content is kept, and
    one line is logged.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._complaint = ""
        self._watched = [path]
        self._rules = self._read()
        self._stamp = self._stat()
        self._looked = clock()

    def current(self) -> Rules:
        """Give the rules for the connection or request that is at hand."""
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp
                self._reread()
        return self._rules

    def _reread(self) -> None:
        try:
            rules = self._read()
            self._check_scheme(rules)
        except ConfigError as error:
            if str(error) != self._complaint:
                log.error("web configuration not reloaded, the old one stays active: %s", error)  # noqa: TRY400
            self._complaint = str(error)
        else:
            self._complaint = ""
            self._rules = rules
            log.info("web configuration reloaded: %s", self._path)

    def _check_scheme(self, rules: Rules) -> None:
        if (rules.tls is None) != (self._rules.tls is None):
            raise ConfigError(f"{self._path}: switching TLS on or off needs a restart")

    def _read(self) -> Rules:
        try:
            text = self._path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise ConfigError(f"{self._path}: {reason}") from error
        config = parse(text, self._path)
        server = config.tls_server_config
        if server is None:
            self._watched = [self._path]
            return Rules(config, None)
        self._watched = [self._path, *files(server, self._path.parent)]
        return Rules(config, build(server, self._path))

    def _stat(self) -> _Stamp:
        return tuple(_stamp(path) for path in self._watched)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
