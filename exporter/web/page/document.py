"""Puts the status page together."""

from collections.abc import Sequence
from typing import NamedTuple

from exporter.view.values import BlockedRequest, FailingPage, Overview, Query
from exporter.web.page.assets import Assets
from exporter.web.page.html import Content, Markup, document, tag
from exporter.web.page.listings import blocked, failing
from exporter.web.page.panels import figures, watched, worst
from exporter.web.page.wording import moment

# Nothing but our own files; no inline script or style, no frame, no form to elsewhere.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NAME = "Policy Report Exporter"


class Link(NamedTuple):
    """A place to go from the status page."""

    name: str
    url: str


class PageModel(NamedTuple):
    """All that one page shows."""

    overview: Overview
    query: Query
    failing: FailingPage
    blocked: Sequence[BlockedRequest]
    now: float


def status_page(page_model: PageModel, links: Sequence[Link], assets: Assets) -> str:
    """Render the status page."""
    overview, now = page_model.overview, page_model.now
    parts = (
        figures(overview, page_model.blocked, now),
        blocked(page_model.blocked, now),
        tag(
            "div",
            worst("namespaces", "Worst namespaces", "namespace", overview.namespaces),
            worst("policies", "Worst policies", "policy", overview.policies),
            id="worst",
        ),
        failing(page_model.query, page_model.failing, overview, now),
        watched(overview.watched, now),
    )
    return _page(assets, _header(overview, links), tag("main", *parts), _footer(overview, now))


def landing_page(links: Sequence[Link], assets: Assets) -> str:
    """Render what stands at / when the status page is turned off."""
    return _page(assets, tag("header", tag("h1", NAME), _links(links)))


def _page(assets: Assets, *body: Content) -> str:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", NAME),
        tag("link", rel="icon", type="image/svg+xml", href=assets.url("icon.svg")),
        tag("link", rel="stylesheet", href=assets.url("status.css")),
        tag("script", src=assets.url("status.js"), defer=True),
    )
    return document(head, tag("body", *body))


def _header(overview: Overview, links: Sequence[Link]) -> Markup:
    state = "all synced" if overview.ready else "not synced yet: numbers are incomplete"
    return tag(
        "header",
        tag("h1", NAME),
        tag(
            "p",
            state,
            id="state",
            class_="chip good" if overview.ready else "chip wait",
            data_refresh=True,
        ),
        _links(links),
    )


def _links(links: Sequence[Link]) -> Markup:
    anchors = [tag("li", tag("a", each.name, href=each.url)) for each in links]
    return tag("nav", tag("ul", *anchors), aria_label="Elsewhere")


def _footer(overview: Overview, now: float) -> Markup:
    return tag("footer", f"Version {overview.version}, started ", moment(overview.started, now))
