"""Every way from one dashboard to another arrives, with variables that exist there."""

import re
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from grafana.classic import Dashboard, Link, Panel
from grafana.dashboards.links import DOCS, TAG
from tests.grafana.boards import BOARDS, IDS, PANELS, ROOT

BY_UID = {board.uid: board for board in BOARDS.values()}
LEADS_TO = {
    "Cluster": "policy-overview",
    "Namespace": "policy-namespace",
    "Policy": "policy-policy",
}
panels = pytest.mark.parametrize(("board", "panel"), PANELS, ids=IDS)
boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def cell_links(panel: Panel) -> dict[str, list[Link]]:
    """Return the links of each column that has some."""
    found = {}
    for override in panel.fields.overrides:
        for item in override.properties:
            if item.id == "links":
                found[override.matcher["options"]] = msgspec.convert(item.value, list[Link])
    return found


def urls(board: Dashboard, panel: Panel) -> list[str]:
    cells = [link.url for links in cell_links(panel).values() for link in links]
    return cells + [link.url for link in panel.links]


@panels
def test_links_lead_to_dashboards_of_this_set(board: Dashboard, panel: Panel) -> None:
    for url in urls(board, panel):
        parts = urlsplit(url)
        assert parts.path.removeprefix("/d/") in BY_UID, url


@panels
def test_links_set_only_variables_that_the_target_has(board: Dashboard, panel: Panel) -> None:
    for url in urls(board, panel):
        parts = urlsplit(url)
        known = {v.name for v in BY_UID[parts.path.removeprefix("/d/")].templating.list}
        self_metrics = {variable.name for variable in board.templating.list}
        kept = set(re.findall(r"\$\{(\w+):queryparam\}", url))
        assert kept <= known & self_metrics, url
        fixed = {k.removeprefix("var-") for k, _ in parse_qsl(parts.query) if k.startswith("var-")}
        assert fixed <= known, url


@panels
def test_links_keep_what_the_target_can_be_told(board: Dashboard, panel: Panel) -> None:
    self_metrics = {variable.name for variable in board.templating.list}
    for url in urls(board, panel):
        known = {v.name for v in BY_UID[urlsplit(url).path.removeprefix("/d/")].templating.list}
        kept = set(re.findall(r"\$\{(\w+):queryparam\}", url))
        assert {"source", "severity"} & known & self_metrics <= kept, url


@panels
def test_every_link_carries_the_cluster_and_from_a_row_that_of_the_row(
    board: Dashboard, panel: Panel
) -> None:
    columns = {override.matcher["options"] for override in panel.fields.overrides}
    for title, links in cell_links(panel).items():
        for link in links:
            of_row = "var-cluster=${__data.fields.Cluster}"
            chosen = "${cluster:queryparam}"
            assert (of_row if "Cluster" in columns else chosen) in link.url, title
    assert all("${cluster:queryparam}" in link.url for link in panel.links)


@panels
def test_tables_of_namespaces_and_policies_have_the_cluster(board: Dashboard, panel: Panel) -> None:
    columns = {override.matcher["options"] for override in panel.fields.overrides}
    if panel.type == "table" and columns & {"Namespace", "Policy"}:
        assert "Cluster" in columns
        assert all('"cluster", "All"' in target.expr for target in panel.targets)


@panels
def test_links_keep_time_and_data_source(board: Dashboard, panel: Panel) -> None:
    for url in urls(board, panel):
        assert "${__url_time_range}" in url
        assert "${datasource:queryparam}" in url


@panels
def test_cells_that_name_a_namespace_or_policy_link_to_it(board: Dashboard, panel: Panel) -> None:
    linked = cell_links(panel)
    for override in panel.fields.overrides:
        title = override.matcher["options"]
        if panel.type == "table" and title in LEADS_TO:
            (link,) = linked[title]
            assert link.url.startswith(f"/d/{LEADS_TO[title]}?")
            if title != "Cluster":
                assert f"var-{title.lower()}=${{__value.raw}}" in link.url


@boards
def test_the_dropdown_lists_the_set_and_keeps_the_choice(board: Dashboard) -> None:
    dropdown = board.links[0]
    assert dropdown.type == "dashboards"
    assert (dropdown.tags, dropdown.as_dropdown) == ([TAG], True)
    assert dropdown.include_vars
    assert dropdown.keep_time
    assert TAG in board.tags


@boards
def test_the_manual_exists(board: Dashboard) -> None:
    manual = board.links[1].url
    assert manual.startswith(DOCS)
    assert (ROOT / "docs" / manual.removeprefix(DOCS + "/")).is_file()
