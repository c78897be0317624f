"""The same dashboards as resources of dashboard.grafana.app/v2, Grafana's schema since 13."""

from collections.abc import Iterator

import msgspec

from grafana import classic
from grafana.classic import JsonDict

SYNC = {0: "Off", 1: "Crosshair", 2: "Tooltip"}
REFRESH = {0: "never", 1: "onDashboardLoad", 2: "onTimeRangeChanged"}
SORT = {0: "disabled", 1: "alphabeticalAsc"}
HIDE = {0: "dontHide", 1: "hideLabel", 2: "hideVariable"}
KINDS = {
    "custom": "CustomVariable",
    "datasource": "DatasourceVariable",
    "query": "QueryVariable",
    "textbox": "TextVariable",
}


def resource(document: JsonDict) -> JsonDict:
    """Return the dashboard as a manifest, as GitOps tools and Grafana's API take it."""
    board = classic.read(document)
    return {
        "apiVersion": "dashboard.grafana.app/v2",
        "kind": "Dashboard",
        "metadata": {"name": board.uid},
        "spec": _spec(board),
    }


def _spec(board: classic.Dashboard) -> JsonDict:
    return {
        "title": board.title,
        "description": board.description,
        "tags": board.tags,
        "editable": board.editable,
        "preload": False,
        "cursorSync": SYNC[board.graph_tooltip],
        "timeSettings": _time(board),
        "links": msgspec.to_builtins(board.links),
        "annotations": [_annotation(note) for note in board.annotations.list],
        "variables": [_variable(variable) for variable in board.templating.list],
        "elements": {_name(panel): _panel(panel) for panel in board.all_panels()},
        "layout": {"kind": "RowsLayout", "spec": {"rows": list(_rows(board))}},
    }


def _time(board: classic.Dashboard) -> JsonDict:
    return {
        "from": board.time.from_,
        "to": board.time.to,
        "autoRefresh": board.refresh,
        "autoRefreshIntervals": ["10s", "30s", "1m", "5m", "15m", "30m", "1h"],
        "timezone": board.timezone,
        "hideTimepicker": False,
        "fiscalYearStartMonth": 0,
    }


def _query(spec: JsonDict) -> JsonDict:
    """Return a Prometheus query of the data source that the variable names."""
    return {
        "kind": "DataQuery",
        "group": "prometheus",
        "version": "v0",
        "datasource": {"name": "${datasource}"},
        "spec": spec,
    }


def _annotation(note: classic.Annotation) -> JsonDict:
    legacy = {
        "expr": note.expr,
        "step": note.step,
        "textFormat": note.text_format,
        "titleFormat": note.title_format,
        "useValueForTime": note.use_value_for_time,
    }
    spec = {
        "name": note.name,
        "enable": note.enable,
        "hide": False,
        "iconColor": note.icon_color,
        "query": _query({"expr": note.expr, "refId": "Anno"}),
        "legacyOptions": legacy,
    }
    return {"kind": "AnnotationQuery", "spec": spec}


def _variable(variable: classic.Variable) -> JsonDict:
    chosen = variable.current or classic.Option(text="", value="")
    spec: JsonDict = {
        "name": variable.name,
        "label": variable.label,
        "hide": HIDE[variable.hide],
        "skipUrlSync": False,
        "current": {"text": chosen.text, "value": chosen.value},
    }
    return {"kind": KINDS[variable.type], "spec": spec | _details(variable)}


def _details(variable: classic.Variable) -> JsonDict:
    choice: JsonDict = {
        "options": [],
        "multi": variable.multi,
        "includeAll": variable.include_all,
        "allowCustomValue": True,
    }
    match variable.type:
        case "datasource":
            return choice | {"pluginId": variable.query, "refresh": REFRESH[1], "regex": ""}
        case "custom":
            return choice | {"query": variable.query}
        case "query":
            query = _query({"query": variable.query, "refId": "StandardVariableQuery"})
            order = {"refresh": REFRESH[variable.refresh], "sort": SORT[variable.sort]}
            return choice | order | {"query": query, "regex": "", "allValue": variable.all_value}
        case _:
            return {"query": variable.query}


def _name(panel: classic.Panel) -> str:
    return f"panel-{panel.id}"


def _panel(panel: classic.Panel) -> JsonDict:
    data: JsonDict = {
        "queries": [_panel_query(target) for target in panel.targets],
        "transformations": [
            {"kind": "Transformation", "group": step.id, "spec": {"options": step.options}}
            for step in panel.transformations
        ],
        "queryOptions": {"interval": panel.interval} if panel.interval else {},
    }
    spec: JsonDict = {
        "id": panel.id,
        "title": panel.title,
        "description": panel.description,
        "links": [{"title": link.title, "url": link.url} for link in panel.links],
        "data": {"kind": "QueryGroup", "spec": data},
        "vizConfig": {
            "kind": "VizConfig",
            "group": panel.type,
            "version": "",
            "spec": {"options": panel.options, "fieldConfig": panel.field_config},
        },
    }
    return {"kind": "Panel", "spec": spec}


def _panel_query(target: classic.Target) -> JsonDict:
    spec: JsonDict = {
        "expr": target.expr,
        "format": target.format,
        "instant": target.instant,
        "legendFormat": target.legend_format,
        "range": not target.instant,
    }
    wrapped = {"query": _query(spec), "refId": target.ref_id, "hidden": False}
    return {"kind": "PanelQuery", "spec": wrapped}


def _rows(board: classic.Dashboard) -> Iterator[JsonDict]:
    """Rows with a grid of their own each: in v2 a panel's place is relative to its row."""
    starts = [index for index, panel in enumerate(board.panels) if panel.type == "row"]
    for start, end in zip(starts, [*starts[1:], len(board.panels)], strict=True):
        row = board.panels[start]
        panels = row.panels or board.panels[start + 1 : end]
        top = row.grid_pos.y + 1
        grid = {"kind": "GridLayout", "spec": {"items": [_item(p, top) for p in panels]}}
        spec = {"title": row.title, "collapse": row.collapsed, "layout": grid}
        yield {"kind": "RowsLayoutRow", "spec": spec}


def _item(panel: classic.Panel, top: int) -> JsonDict:
    place = panel.grid_pos
    spec: JsonDict = {
        "x": place.x,
        "y": place.y - top,
        "width": place.w,
        "height": place.h,
        "element": {"kind": "ElementReference", "name": _name(panel)},
    }
    return {"kind": "GridLayoutItem", "spec": spec}
