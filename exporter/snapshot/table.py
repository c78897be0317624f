"""A snapshot for people: laid out for the width of a terminal, one row a line in a pipe."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from msgspec.structs import astuple
from rich.console import Console
from rich.text import Text

from exporter.model.report import RESULTS
from exporter.snapshot.document import (
    BLOCKED_TITLE,
    CLAIMED_TITLE,
    CLUSTER_SCOPE,
    EnforcedPolicy,
    SnapshotDocument,
    WorkloadFailure,
    ago,
    blocked_count,
    caveats,
    change_line,
    headline,
    one_line,
    remarks,
    resource_of,
    rule_of,
    utc,
)
from exporter.view.values import BlockedRequest, Counts, FailingResult, NamedCounts

WORST: Final = 10
"""Rows of the summary's lists at most, however many ``--limit`` allows for the failing ones."""
ROOMY: Final = 160
"""Columns of a terminal in which a message fits beside its resource."""
SHORTEST: Final = 12
"""Columns that a folded text has at least."""
GAP: Final = 2
INDENT: Final = 4
MESSAGE_LINES: Final = 3
MESSAGE_WIDTH: Final = 60
FIXED: Final = 2
"""Columns that are never moved below their row."""
COLOURED: Final = 3
"""Columns that may have a colour: severity, result, verdict."""
_STYLES: Final = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "blue",
    "fail": "red",
    "error": "magenta",
    "warn": "yellow",
    "would block": "yellow",
    "unknown": "magenta",
    "ready": "green",
    "new": "red",
    "fixed": "green",
}


class Layout(NamedTuple):
    """How wide lines are, None for one line a row, and whether they are coloured."""

    width: int | None
    coloured: bool = False


class TableRow(NamedTuple):
    """Cells, and texts to write below them where they have no column."""

    cells: tuple[str, ...]
    below: tuple[str, ...] = ()


class TextTable(NamedTuple):
    """Rows under a title. The last columns are *numbers*; the text before them is folded."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[TableRow]
    numbers: int = 0


def as_table(made: SnapshotDocument, limit: int | None, form: Layout) -> str:
    """Write the snapshot as text: what fails first, the totals last, next to the prompt."""
    tables = [each for each in _tables(made, limit, form) if each.rows]
    write = _rows_of if form.width is None else _laid_out
    pieces = [write(each, form.width or 0) for each in tables]
    return "\n".join(_encoded(each, form) for each in (*pieces, list(_totals(made, form))))


def _rows_of(table: TextTable, _: int) -> list[Text]:
    """Write a row a line, its cells with a tab between them, as ``cut`` and ``awk`` read them."""
    lines = [table.title, "\t".join(table.columns)]
    return [Text(line) for line in (*lines, *("\t".join(row.cells) for row in table.rows))]


def _laid_out(table: TextTable, width: int) -> list[Text]:
    """Align the columns; the text column that does not fit goes below its row, or is folded."""
    cells = [table.columns, *(row.cells for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    flexible = len(widths) - table.numbers - 1
    below = None
    if not table.numbers and sum(widths) + GAP * flexible > width and flexible > FIXED:
        below, flexible = flexible, flexible - 1
        del widths[below]
    room = width - sum(widths) - GAP * (len(widths) - 1) + widths[flexible]
    widths[flexible] = min(widths[flexible], max(room, SHORTEST))
    lines = [Text(table.title, "bold"), *_line(table.columns[:below], widths, flexible, "dim")]
    for row in table.rows:
        lines += _line(row.cells[:below], widths, flexible)
        texts = row.below if below is None else (*row.cells[below:], *row.below)
        for text in filter(None, texts):
            lines += [Text(each) for each in _wrapped(text, width)]
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    indent = " " * INDENT
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        max_lines=MESSAGE_LINES,
        placeholder=" …",
    )


def _line(
    cells: Sequence[str], widths: Sequence[int], flexible: int, style: str = ""
) -> Iterator[Text]:
    """Write a row: the flexible cell continues in the lines below, numbers end at one place."""
    size = widths[flexible]
    folded = [cells[flexible][at : at + size] for at in range(0, len(cells[flexible]), size)]
    for number, part in enumerate(folded or [""]):
        line = Text()
        for index, (cell, cell_width) in enumerate(zip(cells, widths, strict=True)):
            text = part if index == flexible else "" if number else cell
            text = text.rjust(cell_width) if index > flexible else text.ljust(cell_width)
            colour = _STYLES.get(cell, "") if index < COLOURED else ""
            line.append((" " * GAP if index else "") + text, style or colour)
        yield line


def _encoded(lines: Iterable[Text], form: Layout) -> str:
    """Write lines, coloured at a terminal; no line begins with what a CI runner would obey."""
    if not form.coloured:
        plain = (line.plain.rstrip(" ") for line in lines)
        return "".join(f"{_harmless(line)}\n" for line in plain)
    console = Console(highlight=False, force_terminal=True, width=form.width)
    with console.capture() as captured:
        for line in lines:
            line.rstrip()
            console.print(line, soft_wrap=True)
    return captured.get()


def _harmless(line: str) -> str:
    return f"'{line}" if line.lstrip().startswith(("::", "##[")) else line


def _tables(made: SnapshotDocument, limit: int | None, form: Layout) -> Iterator[TextTable]:
    now = made.time
    if made.if_enforced is not None:
        yield _enforced_table(made.if_enforced)
        for policy in made.if_enforced:
            yield _refused_table(policy, limit)
        return  # those list what fails
    if made.comparison:
        yield _failing_table("New failing results", made.comparison.new, limit, form, now)
        yield _failing_table("Fixed", made.comparison.fixed, limit, form, now)
    if made.by_workload is not None:
        yield _workload_table(made.by_workload, limit, form, now)
    else:
        yield _failing_table("Failing results", made.failing or [], limit, form, now)
    yield _blocked_table(BLOCKED_TITLE, made.blocked or [], limit, form, made)
    yield _blocked_table(CLAIMED_TITLE, made.claimed or [], limit, form, made)
    only_summaries = made.summary if made.failing is None else []
    rows = [((s.namespace or CLUSTER_SCOPE, s.kind), s.counts) for s in only_summaries]
    shown = rows[:limit]
    yield _counts_table(
        f"Summaries{_of(len(shown), len(rows))}",
        ("NAMESPACE", "KIND"),
        shown,
        _sum(c for _, c in rows),
    )
    yield _worst_table("namespaces", "NAMESPACE", made.namespaces, limit)
    yield _worst_table("policies", "POLICY", made.policies or [], limit)


def _of(shown: int, known: int, word: str = "first") -> str:
    return f", {word} {shown} of {known}" if shown < known else ""


def _failing_table(
    title: str, found: list[FailingResult], limit: int | None, form: Layout, now: float
) -> TextTable:
    shown = found[:limit]
    rows = [_row((row.severity, row.result, ago(now - row.since)), row, form) for row in shown]
    columns = ("SEVERITY", "RESULT", "SINCE", *_where_names(form))
    return TextTable(f"{title}{_of(len(shown), len(found))}", columns, rows)


def _workload_table(
    found: list[WorkloadFailure], limit: int | None, form: Layout, now: float
) -> TextTable:
    rows = []
    for each in found[:limit]:
        row = each.result
        first = (row.severity, row.result, ago(now - row.since), str(each.objects))
        rows.append(_row(first, row, form))
    columns = ("SEVERITY", "RESULT", "SINCE", "OBJECTS", *_where_names(form))
    title = f"Failing results by workload{_of(len(rows), len(found))}"
    return TextTable(title, columns, rows)


def _blocked_table(
    title: str,
    found: list[BlockedRequest],
    limit: int | None,
    form: Layout,
    made: SnapshotDocument,
) -> TextTable:
    shown, known = found[:limit], blocked_count(found, made)
    more = f", newest {len(shown)} of {known}" if known != str(len(shown)) else ""
    rows = [_row((row.severity, ago(made.time - row.time)), row, form) for row in shown]
    return TextTable(f"{title}{more}", ("SEVERITY", "AGO", *_where_names(form)), rows)


def _where_names(form: Layout) -> tuple[str, ...]:
    if form.width is None:
        return ("NAMESPACE", "KIND", "NAME", "POLICY", "RULE", "MESSAGE")
    return ("RESOURCE", "POLICY", "MESSAGE") if form.width >= ROOMY else ("RESOURCE", "POLICY")


def _row(first: tuple[str, ...], row: FailingResult | BlockedRequest, form: Layout) -> TableRow:
    """Put a result into cells; its message is the last one where there is room, else below."""
    message = one_line(row.message)
    if form.width is None:
        names = (row.namespace or CLUSTER_SCOPE, row.kind, row.name, row.policy, row.rule)
        return TableRow((*first, *map(one_line, names), message))
    place = (*first, one_line(resource_of(row)), one_line(rule_of(row)))
    if form.width < ROOMY:
        return TableRow(place, (message,))
    room = form.width - ROOMY + MESSAGE_WIDTH
    return TableRow((*place, message if len(message) <= room else f"{message[: room - 1]}…"))


def _enforced_table(found: list[EnforcedPolicy]) -> TextTable:
    columns = ("POLICY", "MODE", "IF ENFORCED", "FAILING", "NOT EVALUATED", "SKIPPED", "NAMESPACES")
    rows = [
        TableRow(
            (
                one_line(each.policy),
                ", ".join(each.modes) or "not read",
                each.verdict,
                *map(str, (each.failing, each.unevaluated, each.skipped, each.namespaces)),
            ),
            (one_line(remarks(each)),),
        )
        for each in found
    ]
    return TextTable("If enforced", columns, rows, numbers=4)


def _refused_table(policy: EnforcedPolicy, limit: int | None) -> TextTable:
    found = policy.workloads
    shown = found[:limit]
    rows = [
        TableRow(
            (
                ", ".join(each.results),
                one_line(resource_of(each)),
                one_line(", ".join(f"{k}={v}" for k, v in each.labels.items())) or "-",
                one_line(", ".join(filter(None, each.rules))),
            )
        )
        for each in shown
    ]
    title = f"{one_line(policy.policy)}: refused at their next change"
    columns = ("RESULT", "RESOURCE", "NAMESPACE LABELS", "RULES")
    return TextTable(f"{title}{_of(len(shown), len(found))}", columns, rows)


def _worst_table(what: str, name: str, found: list[NamedCounts], limit: int | None) -> TextTable:
    shown = found if limit is None else found[: min(WORST, limit)]
    rows = [((row.name or CLUSTER_SCOPE,), row.results) for row in shown]
    title = f"Worst {what}{_of(len(shown), len(found))}"
    return _counts_table(title, (name,), rows, _sum(row.results for row in found))


def _counts_table(
    title: str,
    names: tuple[str, ...],
    rows: Sequence[tuple[tuple[str, ...], Counts]],
    sums: Sequence[int],
) -> TextTable:
    made = [TableRow((*map(one_line, labels), *map(str, astuple(c)))) for labels, c in rows]
    if made:
        blanks = ("",) * (len(names) - 1)
        made.append(TableRow(("TOTAL", *blanks, *map(str, sums))))
    return TextTable(title, (*names, *(w.upper() for w in RESULTS)), made, numbers=len(RESULTS))


def _sum(found: Iterable[Counts]) -> list[int]:
    return [sum(column) for column in zip(*map(astuple, found), strict=True)]


def _totals(made: SnapshotDocument, form: Layout) -> Iterator[Text]:
    when = utc(made.time)
    yield Text(f"{one_line(made.cluster)}  {when}" if made.cluster else when, "dim")
    for line in made.problems:
        yield from _sentence(f"Warning: {one_line(line)}", form, "bold yellow")
    for line in filter(None, (headline(made), change_line(made))):
        yield from _sentence(line, form, "bold")
    for line in caveats(made):
        yield from _sentence(one_line(line), form, "yellow")


def _sentence(text: str, form: Layout, style: str) -> Iterator[Text]:
    if form.width is None:
        yield Text(text, style)
        return
    for line in textwrap.wrap(text, form.width):
        yield Text(line, style)
