"""TLS contexts made from files, and made again when these change."""

import logging
import ssl
from pathlib import Path
from typing import NamedTuple

from exporter.errors import ConfigError

log = logging.getLogger(__name__)


class TlsFiles(NamedTuple):
    """What to trust and what to show; "" for the system's authorities and no certificate."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


class Tls:
    """A client's TLS context, renewed when a file that it was made of is replaced."""

    def __init__(self, files: TlsFiles) -> None:
        self.files = files
        self._stamp: tuple[tuple[int, int, int], ...] = ()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return a context of the files as they are now.

        Files that cannot be used leave the former context in use: they may be half-way through a
        rotation. Raises ConfigError where there is none yet.
        """
        try:
            stamp = self._stamps()
            if self._context is None or stamp != self._stamp:
                self._context, self._stamp = _make(self.files), stamp
        except (OSError, ssl.SSLError) as error:
            if self._context is None:
                raise ConfigError(f"TLS: {self._name(error)}: {_reason(error)}") from error
            log.warning("TLS: former certificates kept: %s", _reason(error))
        return self._context

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        files = (Path(name).stat() for name in self.files[:3] if name)
        return tuple((file.st_ino, file.st_size, file.st_mtime_ns) for file in files)

    def _name(self, error: OSError) -> str:
        return error.filename or ", ".join(name for name in self.files[:3] if name)


def _make(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.ca or None)
    # Python 3.13 asks for extensions that Go does not, and that many clusters' authorities lack.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if files.cert:
        context.load_cert_chain(files.cert, files.key or None)
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
