"""An alert, and how Alertmanager's API v2 spells it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

Labels = tuple[tuple[str, str], ...]
"""Sorted by name, none empty: to Alertmanager they are the alert's identity."""

Origin = Literal["reports", "events", "both"]


class Alert(NamedTuple):
    """An alert that should fire; *starts* in Unix seconds, *origin* is what it was derived from."""

    labels: Labels
    annotations: Mapping[str, str]
    starts: float
    origin: Origin
    generator: str = ""


class PostedAlert(NamedTuple):
    """An alert as it is sent: it ends at *ends* (Unix seconds) unless it is sent again."""

    alert: Alert
    ends: float


class _Wire(msgspec.Struct, rename="camel", omit_defaults=True):
    labels: dict[str, str]
    annotations: Mapping[str, str]
    starts_at: str
    ends_at: str
    generator_url: str = msgspec.field(name="generatorURL", default="")


def labels_of(values: Mapping[str, str]) -> Labels:
    """Make an identity of labels; Alertmanager drops empty ones, and so does this."""
    return tuple(sorted((name, value) for name, value in values.items() if value))


def namespace_of(labels: Labels) -> str:
    """Give the label ``namespace``, "" where an alert has none."""
    return dict(labels).get("namespace", "")


def encode(postings: Iterable[PostedAlert]) -> bytes:
    """Spell the body of ``POST /api/v2/alerts``."""
    return msgspec.json.encode([_wire(*posting) for posting in postings])


def _wire(alert: Alert, ends: float) -> _Wire:
    # Alertmanager refuses an end before the start, which clocks that differ may make of them.
    starts = min(alert.starts, ends)
    return _Wire(
        labels=dict(alert.labels),
        annotations=alert.annotations,
        starts_at=rfc3339(starts),
        ends_at=rfc3339(ends),
        generator_url=alert.generator,
    )


def rfc3339(seconds: float) -> str:
    """Spell an instant, milliseconds included."""
    instant = datetime.fromtimestamp(seconds, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
