"""TLS contexts made from files, and made again when these change."""

import logging
import ssl
from pathlib import Path
from typing import NamedTuple

from exporter.errors import ConfigError

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class TlsFiles(NamedTuple):
    """What to trust and what to show; "" for the system's authorities and no certificate."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


class ClientTlsContext:
    """A client's TLS context, renewed when a file that it was made of is replaced."""

    def __init__(self, files: TlsFiles) -> None:
        self.files = files
        self._stamp: list[Stamp | None] = []
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return a context of the files as they are now.

        Files that cannot be used leave the former context in use: they may be half-way through a
        rotation. Raises ConfigError where there is none yet.
        """
        stamp = self._stamps()
        if self._context is not None and stamp == self._stamp:
            return self._context
        self._stamp = stamp
        try:
            self._context = _make(self.files)
        except OSError as error:  # ssl.SSLError is one
            reason = f"{self._names}: {error.strerror or error}"
            if self._context is None:
                raise ConfigError(f"TLS: {reason}") from error
            log.warning("TLS: the former certificates are kept: %s", reason)
        return self._context

    @property
    def _names(self) -> str:
        return ", ".join(name for name in self.files[:3] if name)

    def _stamps(self) -> list[Stamp | None]:
        return [_stamp(Path(name)) for name in self.files[:3] if name]


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


def _stamp(file: Path) -> Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
