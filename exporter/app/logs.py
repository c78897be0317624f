"""Log lines: one event a line with its fields, logfmt or JSON."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

_LEVELS: Final = {"debug": 10, "info": 20, "warn": 30, "error": 40}
_NAMES: Final = {10: "debug", 20: "info", 30: "warn", 40: "error", 50: "error"}


_STANDARD: Final = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", None, None)), "message", "asctime", "taskName"}
)
"""What every record has; anything else was given as ``extra``."""


class LogFormatter(logging.Formatter):
    """Writes a record as logfmt or as a JSON object."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, logger, message and the fields of ``extra``, numbers as numbers."""
        fields: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": _NAMES.get(record.levelno, "info"),
            "logger": record.name.removeprefix("exporter."),
            "msg": record.getMessage(),
        }
        fields |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        if self._json:
            return json.dumps(fields, ensure_ascii=False, default=str)
        return " ".join(f"{key}={_quoted(str(value))}" for key, value in fields.items())


def _quoted(value: str) -> str:
    plain = value and not any(c in value for c in ' ="\\') and value.isprintable()
    return value if plain else json.dumps(value, ensure_ascii=False)


def log_to_stderr(level: str, style: str) -> None:
    """Write log lines of *level* and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter(style))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    # aiohttp and asyncio log single connections, which no operator acts on.
    for name in ("aiohttp", "asyncio", "kubernetes", "urllib3"):
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))
