"""A snapshot as a document: Markdown for a merge request, HTML for a mail or for paper."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Final, NamedTuple

from exporter.snapshot.document import (
    BLOCKED_TITLE,
    CLAIMED_TITLE,
    CLUSTER_SCOPE,
    SnapshotDocument,
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
    worst_workloads,
)
from exporter.view.values import BlockedRequest, Counts, FailingResult
from exporter.web.page.html import Content, Markup, document, number, percent, tag

TITLE: Final = "Policy reports"
INCOMPLETE_TITLE: Final = "Warning: this report is incomplete"
MOST_WORST: Final = 10
"""Rows of the lists of worst policies, namespaces and resources."""
PAPER_ROWS: Final = {"failing": 25, "policies": 10, "namespaces": 10, "workloads": 10, "claimed": 0}
"""Rows of a list that are printed, by its slug; PAPER_OTHERS of those that are not here."""
PAPER_OTHERS: Final = 6
MESSAGE_CHARACTERS: Final = 240
COMMENT_CHARACTERS: Final = 60_000
"""GitHub takes comments of 65,536 characters."""
_SPECIAL: Final = {ord(each): f"&#{ord(each)};" for each in "\\`*_{}[]<>()#+!|&~$@:\"'"}
"""What Markdown takes for markup, a mention, or the end of a table's cell."""


class Cell(NamedTuple):
    """A text of a list: a name from the cluster, a number, or one of this program's own words."""

    text: str
    kind: str = "name"


class Listing(NamedTuple):
    """A list under a title; *known* is how many rows there are in all, *slug* its place."""

    slug: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    known: str

    @property
    def printed(self) -> int:
        """How many rows are on paper."""
        return min(len(self.rows), PAPER_ROWS.get(self.slug, PAPER_OTHERS))

    def heading(self, shown: int) -> str:
        """Give the title, with the number of rows."""
        of = self.known if self.known == str(shown) else f"{shown} of {self.known}"
        return f"{self.title} ({of})"


def _listings(made: SnapshotDocument, limit: int | None) -> Iterator[Listing]:
    """List what is to be shown, the most important first; empty lists are left out."""
    if made.if_enforced is not None:
        yield _enforced(made, limit)
        yield _refused(made, limit)
    if made.comparison:
        yield _results("new", "New failing results", made.comparison.new, made.time, limit)
        yield _results("fixed", "Fixed", made.comparison.fixed, made.time, limit)
    yield from _worst(made)
    rows, title = made.failing or [], "Failing results"
    if made.by_workload is not None:
        rows, title = [each.result for each in made.by_workload], f"{title} by workload"
    yield _results("failing", title, rows, made.time, limit)
    yield _blocks("blocked", BLOCKED_TITLE, made.blocked or [], made, limit)
    yield _blocks("claimed", CLAIMED_TITLE, made.claimed or [], made, limit)


def _worst(made: SnapshotDocument) -> Iterator[Listing]:
    """List the policies, namespaces and resources with most failing results."""
    for slug, name, found in (
        ("policies", "Policy", made.policies or []),
        ("namespaces", "Namespace", made.namespaces),
    ):
        bad = [each for each in found if each.results.failing]
        rows = [_counted(each.name or CLUSTER_SCOPE, each.results) for each in bad[:MOST_WORST]]
        columns = (name, "Failing", "Of checks", "Compliance")
        yield Listing(slug, f"Worst {slug}", columns, rows, str(len(bad)))
    worst = worst_workloads(made.failing or [])
    resources = [
        (Cell(severity, "severity"), Cell(name), Cell(number(count), "number"))
        for name, count, severity in worst[:MOST_WORST]
    ]
    names = ("Severity", "Workload", "Failing")
    yield Listing("workloads", "Worst workloads", names, resources, str(len(worst)))


def _counted(name: str, counts: Counts) -> tuple[Cell, ...]:
    numbers = (number(counts.failing), number(counts.scored))
    share = Cell(percent(counts.compliance), "share")
    return (Cell(name), *(Cell(each, "number") for each in numbers), share)


def _results(
    slug: str, title: str, found: Sequence[FailingResult], now: float, limit: int | None
) -> Listing:
    rows = [
        (
            Cell(row.severity, "severity"),
            Cell(row.result, "word"),
            *_place(row),
            Cell(ago(now - row.since), "number"),
        )
        for row in found[:limit]
    ]
    columns = ("Severity", "Result", "Resource", "Policy", "Message", "Since")
    return Listing(slug, title, columns, rows, str(len(found)))


def _blocks(
    slug: str,
    title: str,
    found: Sequence[BlockedRequest],
    made: SnapshotDocument,
    limit: int | None,
) -> Listing:
    rows = [
        (Cell(row.severity, "severity"), *_place(row), Cell(ago(made.time - row.time), "number"))
        for row in found[:limit]
    ]
    columns = ("Severity", "Resource", "Policy", "Message", "Ago")
    return Listing(slug, title, columns, rows, blocked_count(found, made))


def _place(row: FailingResult | BlockedRequest) -> tuple[Cell, Cell, Cell]:
    return Cell(resource_of(row)), Cell(rule_of(row)), Cell(_brief(row.message), "message")


def _enforced(made: SnapshotDocument, limit: int | None) -> Listing:
    found = sorted(made.if_enforced or [], key=lambda each: each.verdict != "would block")
    rows = [
        (
            Cell(each.policy),
            Cell(", ".join(each.modes) or "not read", "word"),
            Cell(each.verdict, "word"),
            *(Cell(number(n), "number") for n in (each.failing, each.unevaluated, each.skipped)),
            Cell(remarks(each), "message"),
        )
        for each in found[:limit]
    ]
    names = ("Policy", "Mode", "If enforced", "Failing", "Not evaluated", "Skipped", "Remarks")
    return Listing("enforced", "If enforced", names, rows, str(len(found)))


def _refused(made: SnapshotDocument, limit: int | None) -> Listing:
    found = [(each.policy, row) for each in made.if_enforced or [] for row in each.workloads]
    rows = [
        (
            Cell(policy),
            Cell(", ".join(row.results), "word"),
            Cell(resource_of(row)),
            Cell(", ".join(f"{k}={v}" for k, v in row.labels.items())),
            Cell(", ".join(filter(None, row.rules))),
        )
        for policy, row in found[:limit]
    ]
    names = ("Policy", "Result", "Resource", "Namespace labels", "Rules")
    return Listing("refused", "Refused at their next change", names, rows, str(len(found)))


def _brief(message: str) -> str:
    text = one_line(message)
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[: MESSAGE_CHARACTERS - 1]}…"


def as_markdown(made: SnapshotDocument, limit: int | None) -> str:
    """Write GitHub's and GitLab's Markdown; shorter lists where a comment would not take it.

    Everything from the cluster is in ``<code>``, its punctuation as character references: no
    mention, link or markup comes of it.
    """
    while True:
        text = _markdown(made, limit)
        if limit is None or limit == 1 or len(text) <= COMMENT_CHARACTERS:
            return text
        limit //= 2


def _markdown(made: SnapshotDocument, limit: int | None) -> str:
    of = f" of {_code(made.cluster)}" if made.cluster else ""
    parts = [f"## {TITLE}{of}"]
    if made.problems:
        lines = "\n".join(f"> - {_code(each)}" for each in made.problems)
        parts.append(f"> **{INCOMPLETE_TITLE}**\n>\n{lines}")
    parts += [f"**{text}**" for text in (headline(made), change_line(made)) if text]
    parts += [_markdown_list(each) for each in _listings(made, limit) if each.rows]
    notes = [f"{utc(made.time)}, policy-report-exporter {made.version}", *caveats(made)]
    parts.append("\n".join(f"- {one_line(each).translate(_SPECIAL)}" for each in notes))
    return "\n\n".join(parts) + "\n"


def _markdown_list(each: Listing) -> str:
    """Write a table; long ones can be folded out."""
    rules = ["---:" if kind in ("number", "share") else "---" for kind in _kinds(each)]
    rows = [each.columns, rules, *([_markdown_cell(cell) for cell in row] for row in each.rows)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    heading = each.heading(len(each.rows))
    if each.slug in ("new", "fixed", "enforced", "refused"):
        return f"### {heading}\n\n{table}"
    return f"<details><summary>{heading}</summary>\n\n{table}\n\n</details>"


def _kinds(each: Listing) -> list[str]:
    return [cell.kind for cell in each.rows[0]]


def _markdown_cell(cell: Cell) -> str:
    if cell.kind in ("name", "message"):
        return _code(cell.text)
    return one_line(cell.text).translate(_SPECIAL)


def _code(text: str) -> str:
    text = one_line(text).translate(_SPECIAL)
    return f"<code>{text}</code>" if text else ""


def as_html(made: SnapshotDocument, limit: int | None) -> str:
    """Write one page that needs nothing else: no script, no link, light and dark, two sheets."""
    style = files("exporter.snapshot").joinpath("page.css").read_text(encoding="utf-8")
    title = f"{TITLE}: {one_line(made.cluster)}" if made.cluster else TITLE
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("title", title),
        tag("style", Markup(style)),
    )
    panels = [_panel(each) for each in _listings(made, limit) if each.rows]
    notes = [tag("li", one_line(each)) for each in caveats(made)]
    body = tag(
        "body",
        tag("header", tag("h1", title), tag("p", utc(made.time))),
        _warning(made.problems),
        _tiles(made),
        tag("main", *panels),
        tag("footer", tag("ul", *notes), tag("p", f"policy-report-exporter {made.version}")),
    )
    return document(head, body)


def _warning(problems: Iterable[str]) -> Content:
    found = [tag("li", one_line(each)) for each in problems]
    title = tag("strong", INCOMPLETE_TITLE)
    return tag("section", title, tag("ul", *found), class_="warning") if found else None


def _tiles(made: SnapshotDocument) -> Content:
    """Show the numbers that matter, each with the change against the baseline."""
    if not headline(made):
        return None
    change = made.comparison
    before = change.baseline_compliance if change else None
    severities = (made.failing_by_severity or {}).items()
    shown = "no failing checks" if not made.problems else "none among those read"
    tiles = [
        (
            "Compliance",
            percent(made.compliance),
            f"{percent(before)} before" if change else f"of {number(made.results.scored)} checks",
        ),
        (
            "Failing checks",
            number(made.results.failing),
            ", ".join(f"{number(n)} {s}" for s, n in severities) or shown,
        ),
        (
            "Resources with a failing check",
            number(made.resources.failing),
            f"of {number(made.resources.all)}",
        ),
    ]
    if change:
        tiles.append(("New", number(len(change.new)), f"since {utc(change.baseline_time)}"))
        tiles.append(("Fixed", number(len(change.fixed)), f"{number(change.still)} still failing"))
    blocks = "not read" if made.blocked is None else blocked_count(made.blocked, made)
    tiles.append(("Requests blocked", blocks, "in the last hour"))
    made_tiles = [
        tag("div", tag("span", name), tag("strong", value), tag("small", note))
        for name, value, note in tiles
    ]
    return tag("section", *made_tiles, class_="tiles")


def _panel(each: Listing) -> Markup:
    kinds = _kinds(each)
    head = [tag("th", name, class_=kind) for name, kind in zip(each.columns, kinds, strict=True)]
    rows = [
        tag("tr", *map(_html_cell, row), class_="screen" if at >= each.printed else None)
        for at, row in enumerate(each.rows)
    ]
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows))
    heading = [
        tag("span", each.heading(len(each.rows)), class_="screen"),
        tag("span", each.heading(each.printed), class_="paper"),
    ]
    return tag("section", tag("h2", *heading), table, class_=each.slug)


def _html_cell(cell: Cell) -> Markup:
    content: Content = (text := one_line(cell.text))
    if cell.kind == "severity":
        content = tag("span", text, class_=f"chip {text}")
    if cell.kind == "share":
        width = text.removesuffix(" %") if text.endswith("%") else "0"
        bar = tag("i", tag("b", style=f"width:{width}%"))
        content = [bar, tag("span", text)]
    return tag("td", content, class_=cell.kind)
