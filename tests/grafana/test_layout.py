"""Panels stand on the 24-column grid: none overlaps, no row is ragged."""

from itertools import combinations

import pytest

from grafana.classic import Dashboard, Panel
from grafana.dashboards.frame import COLUMNS
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
