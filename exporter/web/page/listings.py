"""The parts of the status page that list single failures and single blocked requests."""

from collections.abc import Sequence
from typing import Final

from exporter.view.values import (
    SEVERITIES,
    BlockedRequest,
    FailingPage,
    FailingResult,
    Overview,
    Query,
)
from exporter.web.page.html import Content, Markup, brief, moment, number, subject, tag
from exporter.web.page.panels import (
    CLUSTER,
    NOT_READ,
    UNKNOWN,
    columns,
    count_names,
    failing_url,
    nothing_fails,
    panel,
    table,
)

SHOWN_BLOCKS: Final = 25


def failing(
    query: Query, page: FailingPage, overview: Overview, complaints: Sequence[str], now: float
) -> Markup:
    """Show one page of the failures, and the form that narrows them down.

    *complaints* are about parameters of the address that cannot be understood.
    """
    warnings = [tag("p", each, class_="complaint") for each in complaints]
    warnings += [
        tag("p", f"No report has the {name} {_value(query, name)!r}.", class_="complaint")
        for name in page.unknown
    ]
    return panel(
        "failing",
        "Failing resources",
        _form(query, overview),
        tag("div", *warnings, _rows(query, page, overview, now), id="rows", data_refresh=True),
    )


def _value(query: Query, name: str) -> str:
    return {"namespace": query.namespace or "", "policy": query.policy, "kind": query.kind}[name]


def _rows(query: Query, page: FailingPage, overview: Overview, now: float) -> Content:
    if page.matching is None:
        text = NOT_READ if overview.connection.counted else UNKNOWN
        return tag("p", text, class_="faint")
    rows = [_failing_row(each, query.count, now) for each in page.rows]
    head = columns("Severity", "Resource", "Policy", "Message", "Since")
    empty = nothing_fails(overview)
    if query.is_narrowed:
        empty = "No failing resources match these filters."
    return [table(head, rows, empty), _pager(query, page, page.matching)]


def _failing_row(row: FailingResult, count: str, now: float) -> Markup:
    severity = tag("a", chip(row.severity), href=failing_url(severity=row.severity, count=count))
    return tag(
        "tr",
        tag("td", severity, tag("small", row.result) if row.result != "fail" else None),
        tag("th", _where(row.namespace, row.kind, row.name, count), scope="row"),
        tag("td", _rule(row.policy, row.rule, count)),
        tag("td", brief(row.message), class_="message"),
        tag("td", moment(row.since, now), class_="when"),
    )


def _form(query: Query, overview: Overview) -> Markup:
    severities = [
        tag("option", each or "any severity", value=each, selected=each == query.severity)
        for each in ("", *SEVERITIES)
    ]
    counts = [
        tag("option", name, value=each, selected=each == query.count)
        for each, name in count_names().items()
    ]
    return tag(
        "form",
        _input("search", "Name or message", query.search, "search"),
        _input("namespace", "Namespace", _spelled(query.namespace), "text"),
        _input("policy", "Policy", query.policy, "text"),
        _input("kind", "Kind", query.kind, "text"),
        tag("label", tag("span", "Severity"), tag("select", *severities, name="severity")),
        tag("label", tag("span", "Count"), tag("select", *counts, name="count")),
        tag("button", "Show", type="submit"),
        tag("a", "All", href="/#failing") if query != Query() else None,
        _suggestions("namespace", [each.name or CLUSTER for each in overview.namespaces or ()]),
        _suggestions("policy", [each.name for each in overview.policies or ()]),
        method="get",
        action="/#failing",
        role="search",
    )


def _input(name: str, label: str, value: str, kind: str) -> Markup:
    field = tag("input", type=kind, name=name, value=value, list=f"{name}-known", maxlength=253)
    return tag("label", tag("span", label), field)


def _suggestions(name: str, values: Sequence[str]) -> Markup:
    return tag("datalist", *(tag("option", value=each) for each in values), id=f"{name}-known")


def _pager(query: Query, page: FailingPage, matching: int) -> Content:
    if not matching:
        return None
    if matching <= len(page.rows):
        return tag("p", f"{number(matching)} total", class_="faint")
    last = query.offset + len(page.rows)
    before = max(query.offset - query.limit, 0) if query.offset else None
    after = last if last < matching else None
    shown = f"{number(query.offset + 1)} to {number(last)}" if page.rows else "none"
    return tag(
        "nav",
        _turn("Previous", query, before),
        tag("span", f"{shown} of {number(matching)}"),
        _turn("Next", query, after),
        aria_label="Pages of failing resources",
    )


def _turn(label: str, query: Query, offset: int | None) -> Markup:
    if offset is None:
        return tag("span", label, class_="faint")
    wanted = {key: getattr(query, key) for key in ("search", "policy", "severity", "kind", "count")}
    wanted["namespace"] = _spelled(query.namespace)
    rel = "next" if label == "Next" else "prev"
    return tag("a", label, href=failing_url(**wanted, offset=offset), rel=rel)


def _spelled(namespace: str | None) -> str:
    return "" if namespace is None else namespace or CLUSTER


def blocked(blocks: Sequence[BlockedRequest], overview: Overview, now: float) -> Markup:
    """Show the last blocked requests; the script puts new ones on top."""
    empty = "None in the last hour." if overview.blocked is not None else UNKNOWN
    newest = max((each.id for each in blocks), default=0)
    return panel(
        "blocked",
        ["Blocked requests ", tag("small", "reload to see more", id="live", role="status")],
        tag("p", empty, id="no-blocks", class_="faint", hidden=bool(blocks)),
        tag(
            "ol",
            *(_block(each, now) for each in blocks[:SHOWN_BLOCKS]),
            id="blocks",
            data_after=newest,
            data_most=SHOWN_BLOCKS,
        ),
        tag(
            "template", _block(BlockedRequest(0, 1, "", "", "", "", "", "none", ""), 1), id="block"
        ),
    )


def _block(block: BlockedRequest, now: float) -> Markup:
    """One blocked request. The script fills the same shape, by its classes."""
    return tag(
        "li",
        tag(
            "p",
            chip(block.severity),
            tag("b", _where(block.namespace, block.kind, block.name), class_="who"),
            moment(block.time, now),
        ),
        tag("p", _rule(block.policy, block.rule)),
        tag("p", brief(block.message), class_="message"),
        data_time=str(block.time),
    )


def chip(severity: str) -> Markup:
    """Show a severity by its word, not only by its colour."""
    known = severity if severity in SEVERITIES else "none"
    return tag("span", known, class_=f"chip {known}")


def _where(namespace: str, kind: str, name: str, count: str = "") -> Content:
    url = failing_url(namespace=namespace, count=count)
    return [
        tag("a", f"{namespace}/" if namespace else "", href=url, class_="namespace"),
        tag("span", subject(kind, name), class_="subject"),
    ]


def _rule(policy: str, rule: str, count: str = "") -> Content:
    return [
        tag("a", policy, href=failing_url(policy=policy, count=count), class_="policy"),
        tag("span", f" · {rule}" if rule else "", class_="rule"),
    ]
