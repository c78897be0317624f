"""A dashboard as sections of panels: their place on the grid, and what all have in common."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from grafana.classic import JsonDict
from grafana.dashboards.data import load, settings
from grafana.dashboards.links import TAG, keeping, manual, siblings
from grafana.dashboards.panels import Panel
from grafana.dashboards.variables import variables

COLUMNS = 24


class Section(NamedTuple):
    """A row and its panels. Panel ids are the section's id + 1, 2, ...: append, do not insert."""

    id: int
    title: str
    panels: Sequence[Panel]
    collapsed: bool = False


class Frame(NamedTuple):
    """A dashboard's panels; boards.yaml has its words."""

    uid: str
    annotations: Sequence[JsonDict]
    sections: Sequence[Section]


class Board(msgspec.Struct, frozen=True):
    """What boards.yaml has of a dashboard; ``panels`` are the descriptions by title."""

    title: str
    description: str
    since: str
    refresh: str
    variables: list[str]
    panels: dict[str, str]


def render(frame: Frame) -> JsonDict:
    """Return the dashboard as classic JSON."""
    board = boards()[frame.uid]
    names = ["datasource", *board.variables]
    document = settings("dashboard") | {
        "uid": frame.uid,
        "title": board.title,
        "description": board.description,
        "tags": [TAG, "kyverno"],
        "time": {"from": board.since, "to": "now"},
        "refresh": board.refresh,
        "links": [siblings(), manual()],
        "annotations": {"list": frame.annotations},
        "templating": {"list": variables(names)},
        "panels": _placed(frame.sections, shared() | board.panels),
    }
    kept: JsonDict = json.loads(keeping(json.dumps(document), names))
    return kept


def boards() -> dict[str, Board]:
    """Return the words of each dashboard by its uid."""
    words = {uid: part for uid, part in load("boards").items() if uid != "shared"}
    return msgspec.convert(words, dict[str, Board])


def shared() -> dict[str, str]:
    """Return the descriptions of panels that several dashboards show."""
    return msgspec.convert(load("boards")["shared"], dict[str, str])


def _placed(sections: Sequence[Section], described: dict[str, str]) -> list[JsonDict]:
    top, placed = 0, []
    for section in sections:
        row: JsonDict = {"type": "row", "id": section.id, "title": section.title}
        row |= {"collapsed": section.collapsed, "panels": [], "gridPos": _place(0, top, COLUMNS, 1)}
        panels, bottom = _flowed(section, top + 1, described)
        placed.append(row)
        if section.collapsed:
            row["panels"] = panels
            top += 1
        else:
            placed.extend(panels)
            top = bottom
    return placed


def _flowed(section: Section, top: int, described: dict[str, str]) -> tuple[list[JsonDict], int]:
    """Place panels left to right, on a new line where the next one does not fit."""
    panels, x, tallest = [], 0, 0
    for number, panel in enumerate(section.panels, start=section.id + 1):
        if x + panel.columns > COLUMNS:
            x, top, tallest = 0, top + tallest, 0
        place = _place(x, top, panel.columns, panel.rows)
        known = {"id": number, "gridPos": place, "description": described[panel.title]}
        panels.append(panel.build() | known)
        x, tallest = x + panel.columns, max(tallest, panel.rows)
    return panels, top + tallest


def _place(x: int, y: int, columns: int, rows: int) -> JsonDict:
    return {"x": x, "y": y, "w": columns, "h": rows}
