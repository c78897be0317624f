"""Tables: the columns that kubectl prints, filled on the server."""

from typing import Any

from exporter.simulator import store
from exporter.simulator.registry import CORE_EVENTS, Column, Served
from exporter.simulator.views import partial

Object = dict[str, Any]
Cell = str | int | bool | None

_NAME = Column("Name", "metadata.name")
EVENT_COLUMNS = (
    Column("Last Seen", ""),
    Column("Type", ""),
    Column("Reason", ""),
    Column("Object", ""),
    Column("Subobject", "", priority=1),
    Column("Source", "", priority=1),
    Column("Message", ""),
    Column("First Seen", "", priority=1),
    Column("Count", "", priority=1),
    Column("Name", "", priority=1),
)


_EVENT_SOURCE = ("reportingComponent", "reportingController", "reportingInstance")


def definitions(served: Served) -> list[Object]:
    """Describe the columns as metav1.Table has them."""
    return [
        {
            "name": column.name,
            "type": "string" if served.builtin and column.type == "date" else column.type,
            "format": "name" if column.name == "Name" and (served.builtin or not index) else "",
            "description": "",
            "priority": column.priority,
        }
        for index, column in enumerate(_columns(served))
    ]


def row(data: Object, served: Served, now: float, include: str) -> Object:
    """One object's row; ``include`` is the query's includeObject."""
    shown: Object | None = None
    if include == "Object":
        shown = data
    elif include != "None":
        shown = partial(data)
    return {"cells": cells(data, served, now), "object": shown}


def cells(data: Object, served: Served, now: float) -> list[Cell]:
    """Fill the row's cells, ages as of ``now``."""
    if served.resource.kind == CORE_EVENTS.kind:
        return _event_cells(data, now)
    return [_cell(data, column, now) for column in _columns(served)]


def table(served: Served, rows: list[Object], metadata: Object, *, headed: bool = True) -> Object:
    """Build the Table around some rows. In a watch only the first has columns."""
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return {**head, "columnDefinitions": definitions(served) if headed else None, "rows": rows}


def _columns(served: Served) -> tuple[Column, ...]:
    return EVENT_COLUMNS if served.resource.kind == "Event" else (_NAME, *served.columns)


def _cell(data: Object, column: Column, now: float) -> Cell:
    value = _find(data, column.path)
    if column.type == "date":
        return store.duration(now - store.parse(value)) if isinstance(value, str) else "<unknown>"
    return value if isinstance(value, str | int) else None


def _find(data: object, path: str) -> object:
    for step in path.split("."):
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list):
            key, _, wanted = step.strip("[]").partition("=")
            data = next((each for each in data if each.get(key) == wanted), None)
    return data


def _event_cells(data: Object, now: float) -> list[Cell]:
    first, last, message, regarding = _event_fields(data)
    count = (data.get("series") or {}).get("count") or data.get("count") or 1
    return [
        _since(last or data.get("eventTime") or first, now),
        data.get("type", ""),
        data.get("reason", ""),
        f"{regarding.get('kind', '').lower()}/{regarding.get('name', '')}",
        regarding.get("fieldPath", ""),
        ", ".join(filter(None, map(data.get, _EVENT_SOURCE))),
        message.strip(),
        _since(first or data.get("eventTime"), now),
        count,
        data["metadata"]["name"],
    ]


def _event_fields(data: Object) -> tuple[str | None, str | None, str, Object]:
    if data["apiVersion"] == "v1":
        times_of = data.get("firstTimestamp"), data.get("lastTimestamp")
        return *times_of, data.get("message") or "", data.get("involvedObject") or {}
    times_of = data.get("deprecatedFirstTimestamp"), data.get("deprecatedLastTimestamp")
    return *times_of, data.get("note") or "", data.get("regarding") or {}


def _since(time: str | None, now: float) -> str:
    return store.duration(now - store.parse(time)) if time else "<unknown>"
