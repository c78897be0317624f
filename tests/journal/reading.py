"""A journal as its reader has it: lines by id, and how many each series has."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tests.app.running import EVENTS_TOTAL, Samples

OPENED: Final = "policyreport_failures_opened_total"
CLOSED: Final = "policyreport_failures_closed_total"
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
        labels |= line.get("namespace_labels", {})
        rows[family, frozenset(labels.items())] += 1
    return rows


def counted(samples: Samples) -> Counter[Row]:
    """Give the counters of a scrape by row, without those at 0."""
    families = set(_FAMILIES.values())
    return Counter(
        {
            (series.name, frozenset(series.labels)): int(value)
            for series, value in samples.items()
            if series.name in families and value
        }
    )
