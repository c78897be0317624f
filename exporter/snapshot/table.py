"""A snapshot as a table for people, or as JSON."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter.model.report import RESULTS
from exporter.state.cluster import ClusterState
from exporter.state.failures import standing
from exporter.state.sums import SumTable
from exporter.state.tally import FiveFold
from exporter.view.failing import failing, order
from exporter.view.summary import blocked, by_first, by_severity, total, worst
from exporter.view.values import BlockedRequest, Counts, FailingResult, NamedCounts
from exporter.web.page.wording import percent

MOST: Final = 10
MOST_FAILING: Final = 25
MESSAGE_WIDTH: Final = 48
WIDE: Final = 180
"""Columns of a terminal in which every label has a column of its own."""
ROOMY: Final = 120
"""Columns of a terminal in which there is room for messages."""
_NAMESPACE: Final = 0
_POLICY: Final = 2
_SEVERITY: Final = 4
"""Where the ledger's rows of results have these labels."""
_STYLES: Final = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "blue",
    "fail": "red",
    "error": "magenta",
}


class SeverityFilter(NamedTuple):
    """Results of which severities are shown, none for all; whether they were read at all."""

    severities: frozenset[str] = frozenset()
    whole: bool = True

    def __call__(self, severity: str) -> bool:
        """Say whether results of this severity are shown."""
        return not self.severities or severity in self.severities


class SnapshotDocument(msgspec.Struct):
    """The JSON form. Times are Unix seconds; None is what summaries do not tell."""

    reports: int
    compliance: float | None
    resources: Counts
    results: Counts
    failing_by_severity: dict[str, int] | None
    summary: list["SummaryRow"]
    namespaces: list[NamedCounts]
    policies: list[NamedCounts] | None
    failing: list[FailingResult] | None
    blocked: list[BlockedRequest]


class SummaryRow(msgspec.Struct):
    """The reports' own summaries, added up as policyreport_summary has them."""

    namespace: str
    kind: str
    counts: Counts


def as_json(state: ClusterState, shown: SeverityFilter) -> str:
    """Write the snapshot as JSON."""
    body = msgspec.json.encode(_snapshot(state, shown))
    return msgspec.json.format(body).decode() + "\n"


def as_table(state: ClusterState, shown: SeverityFilter) -> None:
    """Print the snapshot: coloured and as wide as the terminal, plain in a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=220)
    found = _snapshot(state, shown)
    console.print(_headline(found))
    if found.summary:
        console.print(_counts_table("SummaryRow", ("NAMESPACE", "KIND"), _summary_rows(found)))
    if found.namespaces:
        console.print(_worst_table("Worst namespaces", "NAMESPACE", found.namespaces))
    if found.policies:
        console.print(_worst_table("Worst policies", "POLICY", found.policies))
    if found.failing:
        console.print(_failing_table(found.failing, console.width))
    if found.blocked:
        console.print(_blocked_table(found.blocked, console.width))


def _snapshot(state: ClusterState, shown: SeverityFilter) -> SnapshotDocument:
    ledger = state.ledger
    rows = [failing(one) for c in ledger.failures.places.values() for one in standing(c)]
    resources, results = total(ledger.totals.resources), ledger.totals.results
    return SnapshotDocument(
        reports=ledger.count(),
        compliance=resources.compliance,
        resources=resources,
        results=total(_by(results, _SEVERITY, shown) if shown.whole else ledger.totals.summary),
        failing_by_severity=(
            {s: n for s, n in by_severity(state).items() if shown(s)} if shown.whole else None
        ),
        summary=[
            SummaryRow(n, k, Counts(*row)) for (n, k), row in sorted(ledger.totals.summary.items())
        ],
        namespaces=_all(
            _by(results, _NAMESPACE, shown) if shown.whole else by_first(ledger.totals.summary)
        ),
        policies=_all(_by(results, _POLICY, shown)) if shown.whole else None,
        failing=sorted((r for r in rows if shown(r.severity)), key=order) if shown.whole else None,
        blocked=[
            blocked(b) for b in reversed(state.violation_events.recent.blocks) if shown(b.severity)
        ],
    )


def _by(results: FiveFold, label: int, shown: SeverityFilter) -> SumTable:
    """Add up the results that are shown by one of their labels."""
    found = SumTable()
    for labels, row in results.items():
        if shown(labels[_SEVERITY]):
            found.add_all((labels[label],), row)
    return found


def _all(tally: FiveFold) -> list[NamedCounts]:
    return list(worst(tally, len(tally)))


def _headline(found: SnapshotDocument) -> Text:
    if found.compliance is None:
        return Text(f"{found.reports} reports, nothing judged")
    severities = ", ".join(f"{n} {s}" for s, n in (found.failing_by_severity or {}).items())
    text = Text()
    text.append(f"{percent(found.compliance)} of resources comply", style="bold")
    text.append(f"; {found.reports} reports, {found.results.failing} failing results")
    return text.append(f" ({severities})" if severities else "")


def _summary_rows(found: SnapshotDocument) -> list[tuple[tuple[str, ...], Counts]]:
    return [((s.namespace or "(cluster)", s.kind), s.counts) for s in found.summary]


def _worst_table(title: str, name: str, found: list[NamedCounts]) -> Table:
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


def _failing_table(rows: list[FailingResult], width: int) -> Table:
    more = f", first {MOST_FAILING} of {len(rows)}" if len(rows) > MOST_FAILING else ""
    table = _table(f"Failing resources{more}")
    _name(table, ("SEVERITY", *_where_names(width), "SINCE"), width)
    now = time.time()
    for row in rows[:MOST_FAILING]:
        severity = Text(row.severity, style=_STYLES.get(row.severity, ""))
        cells = [severity, *_where(row, width), Text(_ago(now - row.since)), _brief(row.message)]
        table.add_row(*cells[: len(table.columns)])
    return table


def _blocked_table(rows: list[BlockedRequest], width: int) -> Table:
    more = f", newest {MOST_FAILING} of {len(rows)}" if len(rows) > MOST_FAILING else ""
    table = _table(f"Blocked in the last hour{more}")
    _name(table, ("AGO", *_where_names(width)), width)
    now = time.time()
    for row in rows[:MOST_FAILING]:
        cells = [Text(_ago(now - row.time)), *_where(row, width), _brief(row.message)]
        table.add_row(*cells[: len(table.columns)])
    return table


def _name(table: Table, names: Sequence[str], width: int) -> None:
    """Add the columns, that of the message where there is room for it."""
    for name in names:
        short = name in ("SEVERITY", "SINCE", "AGO")
        table.add_column(name, overflow="fold", no_wrap=short)
    if width >= ROOMY:
        table.add_column("MESSAGE", overflow="ellipsis", no_wrap=True, max_width=MESSAGE_WIDTH)


def _where_names(width: int) -> tuple[str, ...]:
    if width < WIDE:
        return ("RESOURCE", "POLICY")
    return ("NAMESPACE", "KIND", "NAME", "POLICY", "RULE")


def _where(row: FailingResult | BlockedRequest, width: int) -> list[Text]:
    """Say which resource and which rule, in fewer columns where the terminal is narrow."""
    if width >= WIDE:
        return [
            *map(Text, (row.namespace or "(cluster)", row.kind, row.name, row.policy, row.rule))
        ]
    resource = "/".join(part for part in (row.namespace, row.kind, row.name) if part)
    return [Text(resource), Text(f"{row.policy}: {row.rule}" if row.rule else row.policy)]


def _brief(message: str) -> Text:
    return Text(" ".join(message.split()))


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
