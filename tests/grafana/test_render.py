"""The pictures show what Grafana would: its merge, its order, its words and colours."""

from html import escape

import pytest

from grafana import classic
from grafana.render import chart, look, page, rows
from grafana.render.queries import Series, Window, filled, legend, values
from tests.grafana.boards import BOARDS

WINDOW = Window(end=1000.0, seconds=600.0, step=60.0, scrape=15.0)
OVERVIEW = BOARDS["policy-overview.json"]


def panel_of(board: classic.Dashboard, title: str) -> classic.Panel:
    (found,) = [panel for panel in board.all_panels() if panel.title == title]
    return found


def series(value: float, **labels: str) -> Series:
    return Series(labels, [(1000.0, value)])


def test_variables_are_filled_in() -> None:
    expr = 'rate(x{a=~"$a"}[$__rate_interval]) + increase(x[${__range}])'
    assert filled(expr, {"a": "b|c"}, WINDOW) == 'rate(x{a=~"b|c"}[75s]) + increase(x[600s])'


def test_an_unknown_variable_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        filled("$nobody", {}, WINDOW)


def test_all_stands_for_the_value_that_matches_everything() -> None:
    names = values(list(OVERVIEW.templating.list), {"namespace": "carts"})
    assert names["team"] == ".*"
    assert names["namespace"] == "carts"
    assert names["uncounted"] == "ReplicaSet|Job"


def test_legends_fill_labels() -> None:
    assert legend("{{a}} in {{b}}", {"a": "x"}) == "x in "


def table_panel(*steps: classic.Transformation, sort: str = "") -> classic.Panel:
    grid = classic.Grid(0, 0, 24, 8)
    order = [{"displayName": sort.removeprefix("-"), "desc": sort.startswith("-")}] if sort else []
    options: classic.JsonDict = {"sortBy": order}
    return classic.Panel(1, "table", "t", grid, transformations=steps, options=options)


def test_merge_joins_rows_on_the_labels_that_all_queries_share() -> None:
    answers = {
        "A": [series(1, ns="a", mode="audit"), series(2, ns="b", mode="enforce")],
        "B": [series(3, ns="b"), series(4, ns="c")],
    }
    _, body = rows.table(table_panel(), answers)
    assert body == [
        {"ns": "a", "mode": "audit", "Value #A": 1},
        {"ns": "b", "mode": "enforce", "Value #A": 2, "Value #B": 3},
        {"ns": "c", "Value #B": 4},
    ]


def test_merge_passes_over_an_empty_answer() -> None:
    _, body = rows.table(table_panel(), {"A": [series(1, ns="a")], "B": []})
    assert body == [{"ns": "a", "Value #A": 1}]


def test_a_label_that_prometheus_left_out_is_the_empty_word() -> None:
    _, body = rows.table(table_panel(), {"A": [series(1, ns="a"), series(2)]})
    assert body == [{"ns": "a", "Value": 1}, {"ns": "", "Value": 2}]


def test_organize_names_orders_and_hides_columns() -> None:
    options: classic.JsonDict = {
        "excludeByName": {"mode": True},
        "indexByName": {"Value": 0, "ns": 1},
        "renameByName": {"Value": "Failing", "ns": "Namespace"},
    }
    step = classic.Transformation("organize", options)
    answers = {"A": [series(1, ns="a", mode="x"), series(5, ns="b", mode="y")]}
    headings, body = rows.table(table_panel(step, sort="-Failing"), answers)
    assert headings == ["Failing", "Namespace"]
    assert body == [{"Namespace": "b", "Failing": 5}, {"Namespace": "a", "Failing": 1}]


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.875, "percentunit", 1, "87.5%"),
        (0.5, "short", None, "0.5"),
        (1234, "short", None, "1.23 K"),
        (2.0, "short", 0, "2"),
        (0.25, "s", None, "250 ms"),
        (90, "s", None, "1.5 mins"),
        (172800, "s", None, "2 days"),
        (0, "s", None, "0 s"),
        (3 * 2**20, "bytes", None, "3 MiB"),
    ],
)
def test_numbers_are_written_in_their_unit(
    value: float, unit: str, decimals: int | None, text: str
) -> None:
    assert look.write(value, unit, decimals) == text


@pytest.mark.parametrize(
    ("value", "color"), [(0.5, "red"), (0.8, "orange"), (0.96, "yellow"), (1.0, "green")]
)
def test_the_highest_threshold_that_is_reached_gives_the_colour(value: float, color: str) -> None:
    how = look.settings(panel_of(OVERVIEW, "Compliance").fields, "Compliance")
    assert look.shown(value, how)[1] == look.paint(color)


def test_severity_is_a_word_with_a_colour() -> None:
    table = panel_of(OVERVIEW, "Which policies fail most?")
    how = look.settings(table.fields, "Severity")
    assert look.shown("1", how) == ("critical", look.paint("red"))


def test_the_namespace_of_a_cluster_scoped_resource_has_a_word() -> None:
    table = panel_of(OVERVIEW, "Which namespaces need work?")
    assert look.shown("", look.settings(table.fields, "Namespace"))[0] == "(cluster)"


def test_a_gap_in_the_data_is_a_gap_in_the_line() -> None:
    points = [(500.0, 1.0), (560.0, 2.0), (900.0, 3.0), (960.0, 4.0)]
    style = chart.Style(bars=False, stacked=False, width=1, fill=0, low=None, high=None)
    curve = chart.Curve("a", "#fff", points, "short")
    assert chart.time_series([curve], style, WINDOW, (400, 200)).count("<polyline") == 2


def test_negative_bars_stack_below_zero() -> None:
    style = chart.Style(bars=True, stacked=True, width=1, fill=1, low=None, high=None)
    curves = [
        chart.Curve("new", "#f00", [(900.0, 4.0)], "short"),
        chart.Curve("fixed", "#0f0", [(900.0, -4.0)], "short"),
    ]
    drawn = chart.time_series(curves, style, WINDOW, (400, 200))
    assert ">-4<" in drawn
    assert drawn.count("<rect") == 2


def test_a_page_shows_every_panel_and_says_where_there_is_no_data() -> None:
    for board in BOARDS.values():
        html = page.page(board, {}, WINDOW, "Last hour")
        for panel in board.panels:
            assert escape(panel.title) in html
        stats = [panel for panel in board.panels if panel.type == "stat"]
        assert html.count("no data") == len(stats) == 8


def test_a_stat_shows_its_value() -> None:
    compliance = panel_of(OVERVIEW, "Compliance")
    html = page.page(OVERVIEW, {compliance.id: {"A": [series(0.934)]}}, WINDOW, "")
    assert ">93.4%<" in html


def test_words_of_users_are_escaped() -> None:
    table = panel_of(OVERVIEW, "Which namespaces need work?")
    answers = {"A": [series(1, namespace="<script>")]}
    html = page.page(OVERVIEW, {table.id: answers}, WINDOW, "")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
