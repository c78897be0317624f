"""The parts of the status page that show the connection and sums."""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlencode

from exporter.view.connection import INSTALL_AN_ENGINE, ONBOARDING
from exporter.view.summary import counted, describe, describe_cut, describe_unrenewed
from exporter.view.values import (
    DEFAULT_COUNT,
    MOST_BLOCKED,
    OLD_SECONDS,
    SEVERITIES,
    BlockedRequest,
    ClusterConnection,
    Counts,
    NamedCounts,
    Overview,
    Watched,
)
from exporter.web.page.html import Content, Markup, clock, moment, number, percent, tag

CLUSTER: Final = "(cluster)"
"""How the page names the namespace of what has none."""

NOT_READ: Final = "Not read: reports.detail is summary."
"""Shown in place of results where only summaries are read."""

UNKNOWN: Final = "Not known yet."
"""Shown in place of numbers where there are none."""

_PARTS: Final = (("fail", "fail"), ("error", "error"), ("warn", "warn"), ("pass", "passed"))
_GOOD: Final = frozenset({"live"})
_WAITING: Final = frozenset({"connecting", "reading", "no report api", "partial"})
_CHIPS: Final = {"live": "connected", "lost": "not connected", "unreachable": "not connected"}


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


def tone(connection: ClusterConnection) -> str:
    """Choose the colour of a connection: good, wait or bad."""
    if connection.state in _GOOD:
        return "good"
    return "wait" if connection.state in _WAITING else "bad"


def state_chip(overview: Overview) -> Markup:
    """Show in one or two words whether the numbers are those of the cluster now.

    The script reads in it whether blocked requests are live.
    """
    connection = overview.connection
    events = [each.up for each in overview.watched if each.resource.startswith("events.")]
    events_up = bool(events) and all(events)
    word = _CHIPS.get(connection.state, connection.state.replace(" api", " API"))
    return tag(
        "p",
        word,
        id="state",
        class_=f"chip {tone(connection)}",
        role="status",
        data_state=connection.state,
        data_events="up" if events_up else "down",
        data_refresh=True,
    )


def banner(overview: Overview, now: float) -> Markup:
    """Report what is wrong with the connection, and since when; empty where nothing is."""
    link = overview.connection
    lines: list[Content] = []
    if link.state not in _GOOD:
        since = [" since ", clock(link.since), " (", moment(link.since, now), ")"]
        lines.append(tag("p", tag("strong", link.message), since if link.since else None))
    if link.state == "no report api":
        lines.append(tag("p", INSTALL_AN_ENGINE))
    if link.error:
        lines.append(tag("p", "Last error: ", link.error))
    if link.as_of:
        lines.append(tag("p", "The numbers below are from ", clock(link.as_of), "."))
    return tag(
        "section",
        *lines,
        id="connection",
        class_=tone(link),
        hidden=not lines,
        data_refresh=True,
    )


def notes(overview: Overview, now: float) -> Markup:
    """List what the numbers do not hold, and what to do about it."""
    lines: list[Content] = [overview.scope] if overview.scope else []
    if overview.results is None or overview.results.all:  # else the figures name them
        lines += describe(overview.left_out)
    if overview.not_itemised is not None and overview.not_itemised.failing:
        failing = counted(overview.not_itemised.failing, "failing result")
        lines.append(
            f"Not itemised: {failing} in summaries. The reports do not list them, because their "
            "results were cut or are absent. The numbers include them, but the lists do not."
        )
    lines += [f"{line}." for line in describe_cut(overview.cut_reports)]
    lines += [
        f"{each.resource}: objects skipped {counted(each.count, 'time')} ({each.reason})."
        for each in overview.ignored
    ]
    if overview.not_stored:
        stored = " and ".join(f"{n} {name}" for name, n in overview.not_stored.items())
        lines.append(
            f"The stored state has no room for {stored}: after a restart, the failures have no "
            "start time and the counters restart at 0. Use shards, or a volume claim."
        )
    if overview.newest_result and now - overview.newest_result > OLD_SECONDS:
        newest = moment(overview.newest_result, now)
        lines[:0] = [["Old results: the newest is from ", newest, ". Does the engine still scan?"]]
    elif overview.unrenewed_policies:
        old = describe_unrenewed(overview.unrenewed, overview.unrenewed_policies)
        lines.append([old, " (the oldest from ", moment(overview.unrenewed[0].oldest, now), ")."])
    items = tag("ul", *(tag("li", line) for line in lines))
    return panel("notes", "About these numbers", items, live=True) if lines else _hidden("notes")


def _hidden(name: str) -> Markup:
    return tag("section", id=name, hidden=True, data_refresh=True)


def figures(overview: Overview, blocked: Sequence[BlockedRequest], now: float) -> Markup:
    """Show how compliant the cluster is, how bad the failures are, how many were blocked."""
    return tag(
        "section",
        tag("h2", "In short", class_="unseen"),
        *_numbers(overview),
        _blocked_figure(overview, blocked, now),
        id="figures",
        data_refresh=True,
    )


def _numbers(overview: Overview) -> list[Content]:
    results, resources = overview.results, overview.resources
    if results is None or resources is None:
        return [tag("div", tag("p", UNKNOWN), class_="figure")]
    if not overview.reports:
        return [_nothing("No policy reports found", ONBOARDING)]
    if not results.all:
        return [_nothing("No results count", describe(overview.left_out) or ONBOARDING[-1:])]
    severities = overview.failing_by_severity
    by_severity: Content = "severities are not read"
    if severities is not None:
        by_severity = [
            _severity_count(each, severities.get(each, 0), overview.count) for each in SEVERITIES
        ]
    if overview.compliance is None:
        share = _figure("n/a", "no check passed, failed or ended with an error")
    else:
        counted = f"{number(results.passed)} of {number(results.scored)} checks"
        share = _figure(
            percent(overview.compliance),
            "of checks comply",
            bar(results),
            tag("p", f"{counted}; warn and skip do not count"),
        )
    on = f"{number(resources.failing)} of {number(resources.all)} resources have a failing check"
    failing = _figure(
        number(results.failing), "failing checks", tag("p", by_severity), tag("p", on)
    )
    return [share, failing]


def _nothing(what: str, hints: Iterable[str]) -> Markup:
    items = tag("ul", *(tag("li", hint) for hint in hints))
    return tag("div", tag("strong", what), items, class_="figure wide")


def _blocked_figure(overview: Overview, blocked: Sequence[BlockedRequest], now: float) -> Markup:
    if overview.blocked is None:
        return _figure("n/a", "requests blocked: Events are not known", name="blocked-count")
    capped = overview.blocked_capped
    count = f"at least {MOST_BLOCKED}" if capped else number(overview.blocked)
    return _figure(
        count,
        "requests blocked in the last hour",
        tag("p", "newest ", moment(blocked[0].time, now)) if blocked else None,
        name="blocked-count",
    )


def _figure(value: str, label: str, *more: Content, name: str | None = None) -> Markup:
    return tag(
        "div", tag("strong", value, id=name), " ", tag("span", label), *more, class_="figure"
    )


def _severity_count(severity: str, count: int, counting: str) -> Content:
    if not count:
        return None
    url = failing_url(severity=severity, count=counting)
    return [tag("a", f"{severity} {number(count)}", href=url, class_=f"chip {severity}"), " "]


def bar(counts: Counts) -> Markup:
    """Draw a stacked bar; a style attribute would be against our own security policy."""
    total = max(counts.all - counts.skip, 1)
    start, rects = 0.0, []
    for css, field in _PARTS:
        width = 100 * getattr(counts, field) / total
        rects.append(tag("rect", class_=css, x=f"{start:.3f}", width=f"{width:.3f}", height=1))
        start += width
    label = ", ".join(f"{number(getattr(counts, field))} {css}" for css, field in _PARTS)
    return tag(
        "svg", *rects, class_="bar", viewBox="0 0 100 1", preserveAspectRatio="none",
        role="img", aria_label=label,
    )  # fmt: skip


def worst(key: str, overview: Overview, grafana_url: str) -> Markup:
    """List the worst namespaces or policies (*key*), each a link to its failures."""
    name = {"namespace": "namespaces", "policy": "policies"}[key]
    rows: tuple[NamedCounts, ...] | None = getattr(overview, name)
    if rows is None:
        known = overview.connection.counted
        text = tag("p", NOT_READ if known else UNKNOWN, class_="faint")
        return panel(name, f"Worst {name}", text, live=True)
    shown = [
        _standing(key, each, overview.count, grafana_url) for each in rows if each.results.failing
    ]
    head = columns(key.capitalize(), "Checks", "Failing", "Comply")
    return panel(name, f"Worst {name}", table(head, shown, nothing_fails(overview)), live=True)


def nothing_fails(overview: Overview) -> str:
    """Write that nothing fails, only where that is known."""
    results, resources = overview.results, overview.resources
    if results is None or resources is None:
        return UNKNOWN
    if not results.scored:
        return "No checks were evaluated."
    if results.failing:
        return f"The reports do not list the {counted(results.failing, 'failing check')}."
    skipped = any("reports." in each.resource for each in overview.ignored)
    if overview.connection.state != "live" or skipped:
        return f"No failing checks among the {number(results.scored)} that are known."
    checks, on = counted(results.scored, "check"), counted(resources.all, "resource")
    return f"No failing checks in {checks} of {on}."


def _standing(key: str, standing: NamedCounts, count: str, grafana_url: str) -> Markup:
    name, results = standing.name or CLUSTER, standing.results
    link = tag("a", name, href=failing_url(**{key: name}, count=count))
    return tag(
        "tr",
        tag("th", link, _dashboard(key, standing.name, grafana_url), scope="row"),
        tag("td", bar(results)),
        tag("td", number(results.failing), class_="number"),
        tag("td", percent(results.compliance), class_="number"),
    )


def _dashboard(key: str, name: str, grafana_url: str) -> Content:
    """Link to the dashboard of a namespace or of a policy."""
    if not grafana_url or not name:
        return None
    url = f"{grafana_url.rstrip('/')}/d/policy-{key}?{urlencode({f'var-{key}': name})}"
    return [" ", tag("a", "Grafana", href=url, class_="faint", aria_label=f"{name} in Grafana")]


def failing_url(**query: str | int) -> str:
    """Write the address of the failures that a query wants."""
    given = {key: value for key, value in query.items() if value and value != DEFAULT_COUNT}
    return f"/?{urlencode(given)}#failing" if given else "/#failing"


def count_names() -> dict[str, str]:
    """Name the choices of what counts as the dashboards do."""
    return {"workloads": "Workloads", "objects": "Objects"}


def watched(items: Iterable[Watched], known_error: str, now: float) -> Markup:
    """Show what is watched, and how fresh it is; *known_error* is shown above."""
    rows = [
        tag(
            "tr",
            tag("th", each.resource, scope="row"),
            tag("td", _watch_state(each, known_error, now)),
            tag("td", number(each.objects) if each.last_sync else "n/a", class_="number"),
            tag("td", moment(each.last_sync, now)),
            tag("td", moment(each.last_change, now)),
        )
        for each in items
    ]
    head = columns("Resource", "State", "Objects", "Listed", "Last change")
    return panel("watched", "Watched", table(head, rows, "Nothing yet."), live=True)


def _watch_state(each: Watched, known_error: str, now: float) -> Content:
    if each.up:
        return tag("span", each.state, class_="chip good")
    if each.state == "not served":
        return tag("span", each.state, class_="chip")
    css = "bad" if each.error else "wait"
    since: Content = [" since ", moment(each.since, now)] if each.since else None
    is_new = each.error not in ("", known_error)
    error = tag("div", each.error, class_="message") if is_new else None
    return [tag("span", each.state, class_=f"chip {css}"), since, error]


def columns(*names: str) -> Markup:
    """Make a head row."""
    return tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))


def table(head: Markup, rows: list[Markup], empty: str) -> Markup:
    """Make a table that scrolls by itself on a narrow screen, or a line where it is empty."""
    if not rows:
        return tag("p", empty, class_="faint")
    return tag("div", tag("table", head, tag("tbody", *rows)), class_="scroll", tabindex=0)
