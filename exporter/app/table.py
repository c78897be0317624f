"""A snapshot as a table for people, or as JSON."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter.app.failing import failing, order
from exporter.app.status import blocked, by_severity, total, worst
from exporter.model.report import RESULTS
from exporter.state.cluster import ClusterState
from exporter.state.failures import standing
from exporter.web.view import Blocked, Counts, Failing, Standing

MOST: Final = 10
MOST_FAILING: Final = 25
MESSAGE_WIDTH: Final = 48
_STYLES: Final = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "blue",
    "fail": "red",
    "error": "magenta",
}


class Shown(NamedTuple):
    """What is shown of the failing results: those of some severities, or all."""

    severities: frozenset[str] = frozenset()


class Snapshot(msgspec.Struct):
    """The JSON form. Times are Unix seconds."""

    reports: int
    compliance: float | None
    resources: Counts
    results: Counts
    failing_by_severity: dict[str, int]
    summary: list["Summary"]
    namespaces: list[Standing]
    policies: list[Standing]
    failing: list[Failing]
    blocked: list[Blocked]


class Summary(msgspec.Struct):
    """The reports' own summaries, added up as policyreport_summary has them."""

    namespace: str
    kind: str
    counts: Counts


def as_json(state: ClusterState, shown: Shown) -> str:
    """Write the snapshot as JSON."""
    body = msgspec.json.encode(_snapshot(state, shown))
    return msgspec.json.format(body).decode() + "\n"


def as_table(state: ClusterState, shown: Shown) -> None:
    """Print the snapshot: coloured and as wide as the terminal, plain in a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=220)
    found = _snapshot(state, shown)
    console.print(_headline(found))
    if found.summary:
        console.print(_counts_table("Summary", ("NAMESPACE", "KIND"), _summary_rows(found)))
    if found.namespaces:
        console.print(_worst_table("Worst namespaces", "NAMESPACE", found.namespaces))
    if found.policies:
        console.print(_worst_table("Worst policies", "POLICY", found.policies))
    if found.failing:
        console.print(_failing_table(found.failing))
    if found.blocked:
        console.print(_blocked_table(found.blocked))


def _snapshot(state: ClusterState, shown: Shown) -> Snapshot:
    ledger = state.ledger
    rows = [failing(one) for c in ledger.failures.places.values() for one in standing(c)]
    resources = total(ledger.resources)
    return Snapshot(
        reports=int(sum(ledger.reports.rows.values())),
        compliance=resources.compliance,
        resources=resources,
        results=total(ledger.results),
        failing_by_severity=by_severity(state),
        summary=[
            Summary(n, k, Counts(*row)) for (n, k), row in sorted(ledger.summary.rows.items())
        ],
        namespaces=list(worst(ledger.by_namespace, len(ledger.by_namespace.rows))),
        policies=list(worst(ledger.by_policy, len(ledger.by_policy.rows))),
        failing=sorted(
            (r for r in rows if not shown.severities or r.severity in shown.severities), key=order
        ),
        blocked=[blocked(b) for b in reversed(state.occurrences.recent.blocks)],
    )


def _headline(found: Snapshot) -> Text:
    if found.compliance is None:
        return Text(f"{found.reports} reports, nothing judged")
    severities = ", ".join(f"{n} {s}" for s, n in found.failing_by_severity.items())
    text = Text()
    text.append(f"{found.compliance:.1%} of resources comply", style="bold")
    text.append(f"; {found.reports} reports, {found.results.fail} results fail")
    return text.append(f" ({severities})" if severities else "")


def _summary_rows(found: Snapshot) -> list[tuple[tuple[str, ...], Counts]]:
    return [((s.namespace or "(cluster)", s.kind), s.counts) for s in found.summary]


def _worst_table(title: str, name: str, found: list[Standing]) -> Table:
    rows = [((s.name or "(cluster)",), s.results) for s in found[:MOST]]
    return _counts_table(title, (name,), rows)


def _counts_table(
    title: str, names: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], Counts]]
) -> Table:
    table = _table(title)
    for name in names:
        table.add_column(name, overflow="fold")
    for word in RESULTS:
        table.add_column(word.upper(), justify="right")
    for labels, counts in rows:
        values = (counts.passed, counts.fail, counts.warn, counts.error, counts.skip)
        cells = [
            Text(str(value), style=_STYLES.get(word, "") if value else "dim")
            for word, value in zip(RESULTS, values, strict=True)
        ]
        table.add_row(*map(Text, labels), *cells)
    return table


def _failing_table(rows: list[Failing]) -> Table:
    more = f", first {MOST_FAILING} of {len(rows)}" if len(rows) > MOST_FAILING else ""
    table = _table(f"Failing resources{more}")
    for name in ("SEVERITY", "NAMESPACE", "KIND", "NAME", "POLICY", "RULE", "SINCE"):
        table.add_column(name, overflow="fold")
    table.add_column("MESSAGE", overflow="ellipsis", no_wrap=True, max_width=MESSAGE_WIDTH)
    now = time.time()
    for row in rows[:MOST_FAILING]:
        where = (row.namespace or "(cluster)", row.kind, row.name, row.policy, row.rule)
        message = " ".join(row.message.split())
        severity = Text(row.severity, style=_STYLES.get(row.severity, ""))
        table.add_row(severity, *map(Text, (*where, _ago(now - row.since), message)))
    return table


def _blocked_table(rows: list[Blocked]) -> Table:
    table = _table("Blocked in the last hour")
    for name in ("AGO", "NAMESPACE", "KIND", "NAME", "POLICY", "RULE"):
        table.add_column(name, overflow="fold")
    table.add_column("MESSAGE", overflow="ellipsis", no_wrap=True, max_width=MESSAGE_WIDTH)
    now = time.time()
    for row in rows[:MOST_FAILING]:
        where = (row.namespace or "(cluster)", row.kind, row.name, row.policy, row.rule)
        message = " ".join(row.message.split())
        table.add_row(*map(Text, (_ago(now - row.time), *where, message)))
    return table


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )


def _ago(seconds: float) -> str:
    """Say a duration in its largest unit, as kubectl does."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(seconds, 0))}s"
