"""A journal as its reader has it: lines by id, and how many each series has."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from exporter.checkpoint.format import counters_of, decode
from exporter.metrics.catalogue import CATALOGUE
from exporter.state.cluster import ClusterState
from tests.app.running import EVENTS_TOTAL

OPENED: Final = "policyreport_failures_opened_total"
CLOSED: Final = "policyreport_failures_closed_total"
_COUNTERS: Final = {"events": EVENTS_TOTAL, "opened": OPENED, "closed": CLOSED}
_EVENT_LABELS: Final = (
    "namespace",
    "policy",
    "policy_kind",
    "rule",
    "severity",
    "category",
    "controller",
)
_FAMILIES: Final = {
    "request_blocked": EVENTS_TOTAL,
    "violation_allowed": EVENTS_TOTAL,
    "failure_opened": OPENED,
    "failure_closed": CLOSED,
}

Row = tuple[str, frozenset[tuple[str, str]]]
"""A counter's name and labels."""


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a journal with its rotated files, the oldest line first, without halves of lines."""
    rotated = sorted(path.parent.glob(f"{path.name}.*"), key=lambda p: -int(p.suffix[1:]))
    lines: list[dict[str, Any]] = []
    for each in (*rotated, path):
        for line in each.read_bytes().split(b"\n") if each.exists() else ():
            try:
                lines.append(json.loads(line))
            except ValueError:
                assert not line or not line.endswith(b"}"), line
    return lines


def by_id(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Deduplicate lines; those of one id must be equal."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        assert found.setdefault(line["id"], line) == line
    return found


def rows_of(lines: list[dict[str, Any]]) -> Counter[Row]:
    """Count distinct lines by the counter's row that they belong to."""
    rows: Counter[Row] = Counter()
    for line in by_id(lines).values():
        name = line["event_name"]
        family = _FAMILIES.get(name)
        if family == EVENTS_TOTAL:
            labels = {label: line.get(label, "") for label in _EVENT_LABELS}
            labels["kind"] = line["resource_kind"]
            labels["outcome"] = "blocked" if name == "request_blocked" else "allowed"
        elif family:
            labels = {n: line.get(n, "") for n in ("namespace", "policy", "severity", "source")}
        else:
            continue
        rows[family, frozenset(labels.items())] += 1
    return rows


def shown(state: ClusterState) -> Counter[Row]:
    """Give the counters that a state shows by row, without those at 0."""
    return rows_with({name: counters.shown for name, counters in counters_of(state).items()})


def durable(checkpoint: Path) -> Counter[Row]:
    """Give the counters of a checkpoint by row, without those at 0."""
    counters = decode(checkpoint.read_bytes()).counters
    return rows_with({name: dict(rows) for name, rows in counters.items()})


def rows_with(counters: Mapping[str, Mapping[tuple[str, ...], int]]) -> Counter[Row]:
    rows: Counter[Row] = Counter()
    for name, each in counters.items():
        family = next(f for f in CATALOGUE if f.name == _COUNTERS[name])
        for values, count in each.items():
            if count:
                rows[family.name, frozenset(zip(family.labels, values, strict=True))] = count
    return rows
