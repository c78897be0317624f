"""The parts of the status page that sum things up."""

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from exporter.view.values import (
    MOST_BLOCKED,
    SEVERITIES,
    BlockedRequest,
    Counts,
    NamedCounts,
    Overview,
    Watched,
)
from exporter.web.page.html import Content, Markup, tag
from exporter.web.page.wording import moment, number, percent

CLUSTER = "(cluster)"
"""How the page names the namespace of what has none."""

NOT_READ = "Not read: reports.detail is summary."
"""What stands where there would be results, had whole reports been read."""

_PARTS = (("fail", "fail"), ("error", "error"), ("warn", "warn"), ("pass", "passed"))


def panel(name: str, title: Content, *children: Content, live: bool = False) -> Markup:
    """Make a section with a heading; a live one is replaced by the script as time goes by."""
    heading = tag("h2", title, id=f"{name}-title")
    return tag(
        "section",
        heading,
        *children,
        id=name,
        aria_labelledby=f"{name}-title",
        data_refresh=live,
    )


def figures(overview: Overview, blocked: Sequence[BlockedRequest], now: float) -> Markup:
    """Show how compliant the cluster is, how bad the failures are, how many were blocked."""
    resources = overview.resources
    severities = overview.failing_by_severity
    told: Content = "severities are not read"
    if severities is not None:
        told = [_severity_count(each, severities.get(each, 0)) for each in SEVERITIES]
    return tag(
        "section",
        tag("h2", "In short", class_="unseen"),
        _figure(
            percent(resources.compliance),
            "of resources comply",
            bar(resources),
            tag("p", f"{number(resources.fail)} of {number(resources.judged)} fail"),
        ),
        _figure(
            number(overview.results.failing),
            "failing results",
            tag("p", told),
        ),
        _figure(
            f"{len(blocked)}+" if len(blocked) >= MOST_BLOCKED else number(len(blocked)),
            "requests blocked in the last hour",
            tag("p", "newest ", moment(blocked[0].time, now)) if blocked else None,
            name="blocked-count",
        ),
        id="figures",
        data_refresh=True,
    )


def _figure(value: str, label: str, *more: Content, name: str | None = None) -> Markup:
    return tag(
        "div", tag("strong", value, id=name), " ", tag("span", label), *more, class_="figure"
    )


def _severity_count(severity: str, count: int) -> Content:
    if not count:
        return None
    return [tag("span", f"{severity} {number(count)}", class_=f"chip {severity}"), " "]


def bar(counts: Counts) -> Markup:
    """Draw a stacked bar; a style attribute would be against our own security policy."""
    total = max(counts.judged, 1)
    start, rects = 0.0, []
    for css, field in _PARTS:
        width = 100 * getattr(counts, field) / total
        rects.append(tag("rect", class_=css, x=f"{start:.3f}", width=f"{width:.3f}", height=1))
        start += width
    said = ", ".join(f"{number(getattr(counts, field))} {css}" for css, field in _PARTS)
    return tag(
        "svg", *rects, class_="bar", viewBox="0 0 100 1", preserveAspectRatio="none",
        role="img", aria_label=said,
    )  # fmt: skip


def worst(name: str, title: str, key: str, standings: Iterable[NamedCounts] | None) -> Markup:
    """List the worst namespaces or policies, each a link to its failures."""
    if standings is None:
        return panel(name, title, tag("p", NOT_READ, class_="faint"), live=True)
    rows = [_standing(key, each) for each in standings if each.results.failing]
    head = columns(key.capitalize(), "Results", "Failing", "Passing")
    return panel(name, title, table(head, rows, "Nothing fails."), live=True)


def _standing(key: str, standing: NamedCounts) -> Markup:
    name, results = standing.name or CLUSTER, standing.results
    return tag(
        "tr",
        tag("th", tag("a", name, href=failing_url(**{key: name})), scope="row"),
        tag("td", bar(results)),
        tag("td", number(results.failing), class_="number"),
        tag("td", percent(results.passing), class_="number"),
    )


def failing_url(**query: str | int) -> str:
    """Spell the address of the failures that a query wants."""
    said = {key: value for key, value in query.items() if value}
    return f"/?{urlencode(said)}#failing" if said else "/#failing"


def watched(items: Iterable[Watched], now: float) -> Markup:
    """Show what is watched, and how fresh it is."""
    rows = [
        tag(
            "tr",
            tag("th", each.resource, scope="row"),
            tag("td", tag("span", each.state, class_="chip good" if each.synced else "chip wait")),
            tag("td", number(each.objects), class_="number"),
            tag("td", moment(each.last_sync, now)),
            tag("td", moment(each.last_change, now)),
        )
        for each in items
    ]
    head = columns("Resource", "State", "Objects", "Listed", "Last change")
    return panel("watched", "Watched", table(head, rows, "Nothing yet."), live=True)


def columns(*names: str) -> Markup:
    """Make a head row."""
    return tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))


def table(head: Markup, rows: list[Markup], empty: str) -> Markup:
    """Make a table that scrolls by itself on a narrow screen, or say that it is empty."""
    if not rows:
        return tag("p", empty, class_="faint")
    return tag("div", tag("table", head, tag("tbody", *rows)), class_="scroll", tabindex=0)
