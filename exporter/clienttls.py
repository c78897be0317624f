"""TLS contexts of a client, which follow the files they are made of."""

import logging
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from exporter.errors import ConfigError

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]

_EXPLAINED: Final = {
    "NO_CERTIFICATE_OR_CRL_FOUND": "expected certificates in PEM",
    "NO_START_LINE": "expected certificates in PEM",
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "WRONG_VERSION_NUMBER": "the response is not TLS; is this a plain HTTP port?",
}


class PemPair(NamedTuple):
    """A client certificate with its chain and its key, both in PEM; a secret."""

    cert: str
    key: str


class TlsFiles(NamedTuple):
    """Which authorities to trust and which certificate to present, as files or as PEM.

    Empty means the system's authorities, and no certificate. PEM comes before files.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True
    ca_pem: str = ""
    pair: PemPair | None = None

    @property
    def paths(self) -> list[str]:
        """The files that are read."""
        return [name for name in (self.ca, self.cert, self.key) if name]


class ClientTlsContext:
    """The TLS context of a client, rebuilt when a file that it was made of is replaced."""

    def __init__(self, files: TlsFiles) -> None:
        self.files = files
        self._stamp: list[Stamp | None] = []
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return a context of the files as they are now.

        Files that cannot be used leave the former context in use, with a warning: they may be in
        the middle of a rotation.

        Raises:
            ConfigError: the files cannot be used and there is no former context.
        """
        stamp = [_stamp(Path(name)) for name in self.files.paths]
        if self._context is not None and stamp == self._stamp:
            return self._context
        self._stamp = stamp
        try:
            self._context = _make(self.files)
        except ConfigError as error:
            if self._context is None:
                raise
            log.warning("%s; the previous certificates stay in use", error)
        return self._context


def tls_reason(error: ssl.SSLError) -> str:
    """Describe a failure of TLS without OpenSSL's codes and Python's source lines."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    reason = error.reason or ""
    return _EXPLAINED.get(reason) or f"TLS failed: {reason.replace('_', ' ').lower() or 'unknown'}"


def _make(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Python 3.13 asks for extensions that Go does not, and that many clusters' authorities lack.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    _trust(context, files)
    if files.pair is not None:
        with TemporaryDirectory(
            prefix="exporter-"
        ) as folder:  # OpenSSL reads pairs from files only
            cert, key = Path(folder, "cert"), Path(folder, "key")
            cert.write_text(files.pair.cert, encoding="utf-8")
            key.write_text(files.pair.key, encoding="utf-8")
            _show(context, str(cert), str(key), "client certificate")
    elif files.cert:
        _show(context, files.cert, files.key, " and ".join(files.paths[-2:]))
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trust(context: ssl.SSLContext, files: TlsFiles) -> None:
    name = "certificate authority" if files.ca_pem else files.ca
    try:
        if files.ca_pem:
            context.load_verify_locations(cadata=files.ca_pem)
        elif files.ca:
            context.load_verify_locations(cafile=files.ca)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    except ssl.SSLError as error:
        raise ConfigError(f"TLS: {name}: {_EXPLAINED['NO_START_LINE']}") from error
    except (OSError, ValueError) as error:  # ValueError: PEM that is not ASCII
        raise ConfigError(f"TLS: {name}: {getattr(error, 'strerror', '') or error}") from error


def _show(context: ssl.SSLContext, cert: str, key: str, name: str) -> None:
    try:
        # Without a password OpenSSL would ask the terminal for one.
        context.load_cert_chain(cert, key or None, password="")
    except ssl.SSLError as error:
        reason = _EXPLAINED.get(error.reason or "", "expected a certificate and its key in PEM")
        raise ConfigError(f"TLS: {name}: {reason}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ConfigError(f"TLS: {name}: {getattr(error, 'strerror', '') or error}") from error


def _stamp(file: Path) -> Stamp | None:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
