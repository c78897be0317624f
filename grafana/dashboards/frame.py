"""A dashboard as sections of panels: their place on the grid, and what all have in common."""

import json
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import yaml
from grafana_foundation_sdk.builders.dashboard import AnnotationQuery, Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.dashboard import GridPos, Panel, RowPanel, VariableModel

from grafana.classic import JsonDict
from grafana.dashboards.links import TAG, keeping, manual, siblings
from grafana.dashboards.variables import data_source

COLUMNS = 24
DESCRIPTIONS = Path(__file__).with_name("descriptions.yaml")


class Section(NamedTuple):
    """A row and its panels. Panel ids are the section's id + 1, 2, ...: append, do not insert."""

    id: int
    title: str
    panels: Sequence[Builder[Panel]]
    collapsed: bool = False


class Frame(NamedTuple):
    """Everything that distinguishes one dashboard from the next."""

    uid: str
    title: str
    description: str
    since: str
    refresh: str
    variables: Sequence[VariableModel]
    annotations: Sequence[AnnotationQuery]
    sections: Sequence[Section]


def render(frame: Frame) -> JsonDict:
    """Return the dashboard as classic JSON."""
    builder = (
        Dashboard(frame.title)
        .uid(frame.uid)
        .description(frame.description)
        .tags([TAG, "kyverno"])
        .time(frame.since, "now")
        .refresh(frame.refresh)
        .timezone("browser")
        .week_start("")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(siblings())
        .link(manual())
    )
    for annotation in frame.annotations:
        builder.annotation(annotation)
    model = builder.build()
    model.panels = _placed(frame)
    variables = [data_source(), *frame.variables]
    model.templating = dashboard.DashboardDashboardTemplating(list_val=variables)
    return _plain(model, {variable.name for variable in variables})


@cache
def descriptions() -> dict[str, dict[str, str]]:
    """Return what panels show, by dashboard and title; ``shared`` has those of several."""
    text = DESCRIPTIONS.read_text(encoding="utf-8")
    return msgspec.convert(yaml.safe_load(text), dict[str, dict[str, str]])


def _placed(frame: Frame) -> list[Panel | RowPanel]:
    described = descriptions()["shared"] | descriptions()[frame.uid]
    top, placed = 0, []
    for section in frame.sections:
        row = RowPanel(title=section.title, id_val=section.id, collapsed=section.collapsed)
        row.grid_pos = GridPos(h=1, w=COLUMNS, x=0, y=top)
        panels, bottom = _flowed(section, top + 1)
        for panel in panels:
            panel.description = described[panel.title]
        placed.append(row)
        if section.collapsed:
            row.panels = panels
            top += 1
        else:
            placed.extend(panels)
            top = bottom
    return placed


def _flowed(section: Section, top: int) -> tuple[list[Panel], int]:
    """Place panels left to right, on a new line where the next one does not fit."""
    panels, x, tallest = [], 0, 0
    for index, builder in enumerate(section.panels, start=1):
        panel = builder.build()
        panel.id_val = section.id + index
        if x + panel.grid_pos.w > COLUMNS:
            x, top, tallest = 0, top + tallest, 0
        panel.grid_pos.x, panel.grid_pos.y = x, top
        x, tallest = x + panel.grid_pos.w, max(tallest, panel.grid_pos.h)
        panels.append(panel)
    return panels, top + tallest


def _plain(model: dashboard.Dashboard, own: Collection[str]) -> JsonDict:
    """Return JSON types only, without what the SDK adds to variables that are not intervals."""
    plain: JsonDict = json.loads(keeping(JSONEncoder().encode(model), own))
    variables = [
        {name: value for name, value in variable.items() if not name.startswith("auto")}
        for variable in msgspec.convert(plain["templating"], dict[str, list[JsonDict]])["list"]
    ]
    return plain | {"templating": {"list": variables}}
