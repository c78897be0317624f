"""What Grafana's own packages make of our panels: words, colours, headings, links."""

import json
import re
from functools import cache

import pytest

from grafana.classic import JsonDict
from grafana.render.__main__ import Answers, browse, picture
from grafana.render.queries import Window, filled, values
from tests.grafana.boards import BOARDS, FILES
from tests.tools import tool

WINDOW = Window(end=1_000_000.0, seconds=600.0, step=60.0, scrape=15.0)
OVERVIEW = BOARDS["policy-overview.json"]
RED, MEDIUM_YELLOW = "rgb(242, 73, 92)", "rgb(250, 222, 42)"
browser = pytest.mark.tier("browser")


def series(value: float, **labels: str) -> JsonDict:
    return {"labels": labels, "points": [[1_000_000.0, value]]}


def overview(**titles: list[JsonDict]) -> str:
    """Return the document of the overview whose panels have these answers to their first query."""
    tool("chromium")
    tool("grafana-packages")
    ids = {panel.title: panel.id for panel in OVERVIEW.all_panels()}
    answers: Answers = {ids[title]: {"A": answer} for title, answer in titles.items()}
    document = json.loads(FILES["policy-overview.json"])
    return browse(picture(document, answers, WINDOW, {}, dark=True), "--dump-dom")


@cache
def drawn() -> str:
    rows = [
        series(0.875, cluster="prod-eu", namespace="shop"),
        series(0.5, cluster="All"),
        series(0.99, cluster="All", namespace="<b>bold</b>"),
    ]
    policies = [
        series(4, cluster="prod-eu", policy="p", mode="audit", severity="medium", rank="3"),
        series(9, cluster="prod-eu", policy="q", mode="enforce", severity="critical", rank="1"),
    ]
    return overview(
        **{
            "Compliance": [series(0.934)],
            "Which namespaces need work?": rows,
            "Which policies fail most?": policies,
            "Policies by mode": [series(5, mode="enforce")],
        }
    )


@browser
def test_a_number_is_written_in_its_unit() -> None:
    text = re.sub(r"<[^>]+>", "", drawn())
    assert "93.4%" in text


@browser
def test_columns_have_our_headings() -> None:
    headings = set(re.findall(r'role="columnheader".*?>([A-Z][\w ]*)<', drawn()))
    assert {"Namespace", "Cluster", "Compliance", "Policy", "Mode", "Severity"} <= headings


@browser
def test_a_rank_is_a_word_in_the_colour_of_its_severity() -> None:
    cells = re.findall(r'role="gridcell"[^>]*>.*?(?=role="gridcell"|</section>)', drawn())
    (critical,) = [cell for cell in cells if ">critical<" in cell]
    assert RED in critical


@browser
def test_a_cell_leads_on_with_the_cluster_of_its_row() -> None:
    links = re.findall(r'href="([^"]*policy-namespace[^"]*)"', drawn())
    wanted = [link for link in links if "var-namespace=shop" in link]
    assert wanted
    assert all("var-cluster=prod-eu" in link for link in wanted)


@browser
def test_a_row_without_a_cluster_leaves_it_open() -> None:
    links = re.findall(r'href="([^"]*policy-namespace[^"]*)"', drawn())
    assert any("var-cluster=All" in link for link in links)


@browser
def test_the_namespace_of_a_cluster_scoped_resource_has_a_word() -> None:
    assert "(cluster)" in drawn()


@browser
def test_words_of_users_are_escaped() -> None:
    assert "&lt;b&gt;bold&lt;/b&gt;" in drawn()


@browser
def test_a_panel_without_data_says_why() -> None:
    assert "no alert fires" in drawn()
    assert drawn().count(">no data<") == 7


def test_variables_are_filled_in() -> None:
    expr = 'rate(x{a=~"$a"}[$__rate_interval]) + increase(x[${__range}])'
    assert filled(expr, {"a": "b|c"}, WINDOW) == 'rate(x{a=~"b|c"}[75s]) + increase(x[600s])'


def test_what_label_replace_captures_is_no_variable() -> None:
    assert filled('label_replace(x, "a", "$1", "$b", "(.*)")', {"b": "team"}, WINDOW) == (
        'label_replace(x, "a", "$1", "team", "(.*)")'
    )


def test_an_unknown_variable_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        filled("$nobody", {}, WINDOW)


def test_all_stands_for_the_value_that_matches_everything() -> None:
    names = values(list(OVERVIEW.templating.list), {"namespace": "carts"})
    assert (names["team"], names["namespace"], names["owner"]) == (".*", "carts", "team")


@pytest.mark.parametrize(("interval", "step"), [("", 60.0), ("10m", 600.0), ("2h", 7200.0)])
def test_a_panel_has_no_finer_steps_than_its_interval(interval: str, step: float) -> None:
    assert WINDOW.stepping(interval).step == step
