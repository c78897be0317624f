"""Panels stand on the 24-column grid: none overlaps, no row is ragged."""

from itertools import combinations

import pytest

from grafana.classic import Dashboard, Panel
from grafana.dashboards.frame import COLUMNS
from grafana.dashboards.palette import neutral
from tests.grafana.boards import BOARDS

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def overlap(one: Panel, other: Panel) -> bool:
    a, b = one.grid_pos, other.grid_pos
    beside = a.x + a.w <= b.x or b.x + b.w <= a.x
    stacked = a.y + a.h <= b.y or b.y + b.h <= a.y
    return not beside and not stacked


@boards
def test_no_panels_overlap(board: Dashboard) -> None:
    for one, other in combinations(board.panels, 2):
        assert not overlap(one, other), (one.title, other.title)


@boards
def test_every_line_of_panels_fills_the_width_at_one_height(board: Dashboard) -> None:
    folded = [inner for panel in board.panels for inner in panel.panels]
    lines: dict[tuple[bool, int], list[Panel]] = {}
    for panel in [*board.panels, *folded]:
        lines.setdefault((panel in folded, panel.grid_pos.y), []).append(panel)
    for line in lines.values():
        assert sum(panel.grid_pos.w for panel in line) == COLUMNS, [p.title for p in line]
        assert len({panel.grid_pos.h for panel in line}) == 1, [p.title for p in line]


@boards
def test_the_first_row_is_headline_numbers(board: Dashboard) -> None:
    assert [panel.type for panel in board.panels[:9]] == ["row", *["stat"] * 8]


@pytest.mark.parametrize("title", ["Compliance, target and last week", "Firing alerts"])
def test_the_first_screen_of_the_overview_has(title: str) -> None:
    """A laptop shows 700 pixels below the bar of variables; a row has 38 with its gap."""
    (panel,) = [p for p in BOARDS["policy-overview.json"].panels if p.title == title]
    assert 38 * (panel.grid_pos.y + panel.grid_pos.h) <= 700


@boards
def test_a_count_that_is_never_0_in_practice_is_not_coloured(board: Dashboard) -> None:
    """Some checks fail in every cluster: compliance and severities judge, not their number."""
    titles = {"Failing checks", "Failing", "Namespaces failing", "New failures", "Blocked requests"}
    counts = [p for p in board.all_panels() if p.type == "stat" and p.title in titles]
    assert [p.title for p in counts if p.fields.defaults["thresholds"] != neutral()] == []
