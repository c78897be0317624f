"""Puts the status page together."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from exporter.view.values import BlockedRequest, FailingPage, Overview, Query
from exporter.web.page.assets import Assets
from exporter.web.page.html import Content, Markup, clock, document, moment, tag
from exporter.web.page.listings import blocked, failing
from exporter.web.page.panels import banner, figures, notes, state_chip, watched, worst

# Nothing but our own files; no inline script or style, no frame, no form to elsewhere.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NAME: Final = "Policy Report Exporter"


class Link(NamedTuple):
    """A place to go from the status page."""

    name: str
    url: str


class PageModel(NamedTuple):
    """All that one page shows; *complaints* are about parameters of its address."""

    overview: Overview
    query: Query
    failing: FailingPage
    blocked: Sequence[BlockedRequest]
    now: float
    complaints: Sequence[str] = ()
    grafana_url: str = ""


def status_page(page_model: PageModel, links: Sequence[Link], assets: Assets) -> str:
    """Render the status page."""
    overview, now = page_model.overview, page_model.now
    parts = (
        banner(overview, now),
        figures(overview, page_model.blocked, now),
        notes(overview, now),
        blocked(page_model.blocked, overview, now),
        tag(
            "div",
            worst("namespace", overview, page_model.grafana_url),
            worst("policy", overview, page_model.grafana_url),
            id="worst",
        ),
        failing(page_model.query, page_model.failing, overview, page_model.complaints, now),
        watched(overview.watched, overview.connection.error, now),
    )
    body = (_header(overview, links), tag("main", *parts), _footer(overview, now))
    return _page(assets, overview.cluster, *body)


def landing_page(links: Sequence[Link], assets: Assets, cluster: str = "") -> str:
    """Render the page at / where the status page is turned off."""
    return _page(assets, cluster, tag("header", _title(cluster), _links(links)))


def _page(assets: Assets, cluster: str, *body: Content) -> str:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{cluster} · {NAME}" if cluster else NAME),
        tag("link", rel="icon", type="image/svg+xml", href=assets.url("icon.svg")),
        tag("link", rel="stylesheet", href=assets.url("status.css")),
        tag("script", src=assets.url("status.js"), defer=True),
    )
    return document(head, tag("body", *body))


def _title(cluster: str) -> Content:
    return [tag("h1", cluster or NAME), tag("p", NAME, class_="faint") if cluster else None]


def _header(overview: Overview, links: Sequence[Link]) -> Markup:
    return tag("header", _title(overview.cluster), state_chip(overview), _links(links))


def _links(links: Sequence[Link]) -> Markup:
    anchors = [tag("li", tag("a", each.name, href=each.url)) for each in links]
    return tag("nav", tag("ul", *anchors), aria_label="Elsewhere")


def _footer(overview: Overview, now: float) -> Markup:
    return tag(
        "footer",
        tag("span", "As of ", clock(overview.time), id="as-of", data_refresh=True),
        f". Version {overview.version}, started ",
        moment(overview.started, now),
    )
