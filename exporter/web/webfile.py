"""Keeps up with --web.config.file: read again when it, a certificate or a key changes."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from exporter.errors import ConfigError
from exporter.web import tls
from exporter.web.tls import Tls
from exporter.web.webconfig import WebConfig, parse

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 1.0

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Rules(NamedTuple):
    """What the file demands of connections and requests."""

    config: WebConfig
    tls: Tls | None


class WebFile:
    """The last good rules, looked after at most once a second.

    A file that goes bad while running changes nothing: what was good stays, and is said once.
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
                LOG.error("web configuration not taken, the old one stays: %s", error)  # noqa: TRY400
            self._complaint = str(error)
        else:
            self._complaint = ""
            self._rules = rules
            LOG.info("web configuration read again: %s", self._path)

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
        self._watched = [self._path, *tls.files(server, self._path.parent)]
        return Rules(config, tls.build(server, self._path))

    def _stat(self) -> _Stamp:
        return tuple(_stamp(path) for path in self._watched)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
