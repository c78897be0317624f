"""The format of --web.config.file, which is that of Prometheus' exporter-toolkit."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from exporter.errors import ConfigError
from exporter.yamlfile import decode

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_DURATION_UNITS = (3600.0, 60.0, 1.0, 0.001)

Version = Literal["TLS12", "TLS13"]
ClientAuth = Literal[
    "NoClientCert",
    "RequestClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
]
# As Go names them, and as OpenSSL does. TLS 1.3 suites are always all on, in both.
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
}
CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}


class TlsServer(msgspec.Struct, frozen=True):
    """Section tls_server_config; file names are relative to the file that holds them."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: ClientAuth = "NoClientCert"
    client_allowed_sans: tuple[str, ...] = ()
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()


class Headers(
    msgspec.Struct,
    frozen=True,
    rename={
        "content_security_policy": "Content-Security-Policy",
        "frame_options": "X-Frame-Options",
        "content_type_options": "X-Content-Type-Options",
        "xss_protection": "X-XSS-Protection",
        "transport_security": "Strict-Transport-Security",
    },
):
    """The headers that may be added to every response; a blank one is not sent."""

    content_security_policy: str = ""
    frame_options: Literal["", "deny", "sameorigin"] = ""
    content_type_options: Literal["", "nosniff"] = ""
    xss_protection: str = ""
    transport_security: str = ""


class HttpServer(msgspec.Struct, frozen=True):
    """Section http_server_config; http2 is read for compatibility, we speak HTTP/1.1."""

    http2: bool = True
    headers: Headers = Headers()


class RateLimit(msgspec.Struct, frozen=True):
    """Section rate_limit; interval is a Go duration, 0 switches the limit off."""

    interval: str | int = 0
    burst: int = 0


class WebConfig(msgspec.Struct, frozen=True):
    """The whole file."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[str, str] = {}
    rate_limit: RateLimit = RateLimit()

    @property
    def seconds_per_request(self) -> float:
        """The interval of the rate limit."""
        return _seconds(self.rate_limit.interval) or 0.0


def parse(text: str, path: Path) -> WebConfig:
    """Decode the file and check what its types cannot express."""
    config = decode(text, WebConfig, str(path))
    for complaint in _complaints(config):
        raise ConfigError(f"{path}: {complaint}")
    return config


def _complaints(config: WebConfig) -> Iterator[str]:
    for user, hashed in config.basic_auth_users.items():
        if not _BCRYPT.fullmatch(hashed):
            yield f"basic_auth_users.{user}: expected a bcrypt hash ($2a$, $2b$ or $2y$)"
        if ":" in user:
            yield f"basic_auth_users.{user}: a user name cannot contain a colon"
    if _seconds(config.rate_limit.interval) is None:
        yield "rate_limit.interval: expected a duration such as 1s or 250ms"
    if config.seconds_per_request and config.rate_limit.burst < 1:
        yield "rate_limit.burst: expected at least 1, because 0 refuses every request"
    if config.tls_server_config is not None:
        for complaint in _tls_complaints(config.tls_server_config):
            yield f"tls_server_config.{complaint}"


def _tls_complaints(tls: TlsServer) -> Iterator[str]:
    for name in ("cert", "key"):
        given = [key for key in (name, f"{name}_file") if getattr(tls, key)]
        if len(given) != 1:
            yield f"{name}_file: expected exactly one of {name} and {name}_file"
    if tls.min_version > tls.max_version:
        yield f"min_version: {tls.min_version} is above max_version {tls.max_version}"
    yield from _name_complaints("cipher_suites", tls.cipher_suites, CIPHERS)
    yield from _name_complaints("curve_preferences", tls.curve_preferences, CURVES)
    if len(tls.curve_preferences) > 1:
        yield "curve_preferences: expected at most one curve"
    yield from _client_complaints(tls)


def _client_complaints(tls: TlsServer) -> Iterator[str]:
    verifies = tls.client_auth_type in {"VerifyClientCertIfGiven", "RequireAndVerifyClientCert"}
    authority = bool(tls.client_ca or tls.client_ca_file)
    if tls.client_auth_type == "RequireAnyClientCert":
        yield (
            "client_auth_type: RequireAnyClientCert accepts certificates that anyone can create, "
            "and is not supported; expected RequireAndVerifyClientCert"
        )
    if tls.client_ca and tls.client_ca_file:
        yield "client_ca_file: expected at most one of client_ca and client_ca_file"
    if verifies and not authority:
        yield f"client_ca_file: {tls.client_auth_type} needs a client CA"
    if authority and tls.client_auth_type == "NoClientCert":
        yield "client_auth_type: a client CA is set, but this type requests no client certificates"
    if tls.client_allowed_sans and tls.client_auth_type != "RequireAndVerifyClientCert":
        yield "client_allowed_sans: needs client_auth_type RequireAndVerifyClientCert"


def _name_complaints(key: str, names: tuple[str, ...], known: dict[str, str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{key}: unknown {name}, expected some of {', '.join(known)}"


def _seconds(duration: str | int) -> float | None:
    if duration in {0, "0"}:
        return 0.0
    match = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    if not match or not any(match.groups()):
        return None
    return sum(
        float(n) * unit for n, unit in zip(match.groups(), _DURATION_UNITS, strict=True) if n
    )
