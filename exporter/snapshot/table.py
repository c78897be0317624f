"""A snapshot as a table for people, or as JSON."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter import __version__
from exporter.model.report import RESULTS
from exporter.snapshot.options import SnapshotOptions
from exporter.snapshot.reading import Reading
from exporter.state.failures import standing
from exporter.state.sums import SumTable
from exporter.state.tally import FiveFold
from exporter.view.failing import failing, order
from exporter.view.summary import blocked, figures, left_out, total, worst
from exporter.view.values import (
    COUNT_CHOICES,
    MOST_BLOCKED,
    BlockedRequest,
    Counts,
    FailingResult,
    LeftOut,
    NamedCounts,
)
from exporter.web.page.html import percent

MOST: Final = 10
MOST_FAILING: Final = 25
MESSAGE_WIDTH: Final = 48
WIDE: Final = 180
"""Columns of a terminal in which every label has a column of its own."""
ROOMY: Final = 120
"""Columns of a terminal in which there is room for messages."""
PIPE_WIDTH: Final = 220
_NAMESPACE: Final = 0
_KIND: Final = 1
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


class SnapshotDocument(msgspec.Struct):
    """The JSON form. Times are Unix seconds; None is what is not known, as of mere summaries.

    ``compliance`` is of checks (results) of the kinds that ``count`` counts; so are the numbers.
    """

    version: str
    cluster: str
    time: float
    count: str
    reports: int
    compliance: float | None
    resources: Counts
    results: Counts
    not_itemised: Counts
    left_out: list[LeftOut]
    skipped: list[str]
    unreadable: dict[str, str]
    failing_by_severity: dict[str, int] | None
    summary: list["SummaryRow"]
    namespaces: list[NamedCounts]
    policies: list[NamedCounts] | None
    failing: list[FailingResult] | None
    blocked: list[BlockedRequest]
    claimed: list[BlockedRequest]
    """Blocks of CEL policies that were not read, so that only the Event claims them."""


class SummaryRow(msgspec.Struct):
    """The reports' own summaries, added up as policyreport_summary has them."""

    namespace: str
    kind: str
    counts: Counts


def as_json(made: SnapshotDocument) -> str:
    """Write the snapshot as JSON."""
    return msgspec.json.format(msgspec.json.encode(made)).decode() + "\n"


def as_table(made: SnapshotDocument, empty: Sequence[str]) -> str:
    """Write the snapshot as text: coloured and as wide as the terminal, plain in a pipe.

    *empty* has the reasons to write in place of numbers where nothing was evaluated.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    with console.capture() as captured:
        _print(console, made, empty)
    return captured.get()


def _print(console: Console, made: SnapshotDocument, empty: Sequence[str]) -> None:
    when = datetime.fromtimestamp(made.time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    console.print(Text(f"{made.cluster}  {when}" if made.cluster else when, style="dim"))
    if made.results.scored or not empty:
        console.print(_headline(made))
    else:
        console.print(Text(empty[0], style="bold"), soft_wrap=True)
    for line in _caveats(made):
        console.print(Text(line, style="yellow"), soft_wrap=True)
    if made.summary:
        console.print(_counts_table("Summaries", ("NAMESPACE", "KIND"), _summary_rows(made)))
    if made.namespaces:
        console.print(_worst_table("Worst namespaces", "NAMESPACE", made.namespaces))
    if made.policies:
        console.print(_worst_table("Worst policies", "POLICY", made.policies))
    if made.failing:
        console.print(_failing_table(made.failing, console.width))
    if made.blocked:
        console.print(_blocked_table("Blocked in the last hour", made.blocked, console.width))
    if made.claimed:
        title = "Claimed as blocked by Events of policies that were not read"
        console.print(_blocked_table(title, made.claimed, console.width))


def document(reading: Reading, ask: SnapshotOptions, *, whole: bool) -> SnapshotDocument:
    """Take everything to show from what was read; *whole* says that results were."""
    state, wanted = reading.state, frozenset(ask.severities)

    def shown(severity: str) -> bool:
        return not wanted or severity in wanted

    excluded = COUNT_CHOICES[ask.counting]
    found = figures(state, ask.counting, whole=whole)
    ledger = state.ledger
    rows = [failing(one) for c in ledger.failures.places.values() for one in standing(c)]
    results = {
        labels: row
        for labels, row in ledger.totals.results.items()
        if labels[_KIND] not in excluded and shown(labels[_SEVERITY])
    }
    counted = total(results) if wanted else found.results
    severities = found.failing_by_severity
    blocks = [b for b in reversed(state.violation_events.recent.blocks) if shown(b.severity)]
    return SnapshotDocument(
        version=__version__,
        cluster=reading.cluster,
        time=time.time(),
        count=ask.counting,
        reports=ledger.count(),
        compliance=counted.compliance,
        resources=found.resources,
        results=counted,
        not_itemised=found.not_itemised if whole else Counts(),
        left_out=list(left_out(state)),
        skipped=reading.skipped,
        unreadable={name: str(error) for name, error in reading.refused.items()},
        failing_by_severity=severities and {s: n for s, n in severities.items() if shown(s)},
        summary=[
            SummaryRow(n, k, Counts(*row)) for (n, k), row in sorted(ledger.totals.summary.items())
        ],
        namespaces=_all(_by(results, _NAMESPACE) if wanted else found.namespaces),
        policies=_all(_by(results, _POLICY)) if whole else None,
        failing=sorted((r for r in rows if shown(r.severity) and r.kind not in excluded), key=order)
        if whole
        else None,
        blocked=[blocked(b) for b in blocks if not b.claimed],
        claimed=[blocked(b) for b in blocks if b.claimed],
    )


def _by(results: FiveFold, label: int) -> SumTable:
    """Add up results by one of their labels."""
    found = SumTable()
    for labels, row in results.items():
        found.add_all((labels[label],), row)
    return found


def _all(tally: FiveFold) -> list[NamedCounts]:
    return list(worst(tally, len(tally)))


def _headline(made: SnapshotDocument) -> Text:
    scored, failing_count = made.results.scored, made.results.failing
    if made.compliance is None:
        return Text(f"{made.reports} reports, no check is pass, fail or error")
    text = Text()
    text.append(f"{percent(made.compliance)} of {scored} checks comply", style="bold")
    if not failing_count:
        text.append(
            f"; {made.reports} reports, no failing checks on {made.resources.all} resources"
        )
        return text
    severities = ", ".join(f"{n} {s}" for s, n in (made.failing_by_severity or {}).items())
    text.append(f"; {made.reports} reports, {failing_count} failing results")
    text.append(f" ({severities})" if severities else "")
    return text.append(
        f" on {made.resources.failing} of {made.resources.all} resources"
        if made.resources.failing
        else ""
    )


def _caveats(made: SnapshotDocument) -> Iterator[str]:
    """Write what the numbers do not hold."""
    if made.not_itemised.failing:
        yield (
            f"{made.not_itemised.failing} failing results of summaries are not itemised: the "
            "results of their reports were cut or are absent"
        )
    excluded = ", ".join(sorted(COUNT_CHOICES[made.count]))
    if excluded:
        yield f"Not counted: {excluded} (--count every-object counts every object)"
    for name in made.unreadable:
        yield f"Not read, permission refused: {name}"


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


def _blocked_table(title: str, rows: list[BlockedRequest], width: int) -> Table:
    known = f"at least {MOST_BLOCKED}" if len(rows) >= MOST_BLOCKED else str(len(rows))
    more = f", newest {MOST_FAILING} of {known}" if len(rows) > MOST_FAILING else ""
    table = _table(f"{title}{more}")
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
