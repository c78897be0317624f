"""What a table panel does with its queries' answers: merge, organize, sort."""

import operator
from collections.abc import Mapping, Sequence

import msgspec

from grafana.classic import Panel, Transformation
from grafana.render.queries import Series

Cell = str | float
Row = dict[str, Cell]


def table(panel: Panel, answers: Mapping[str, Sequence[Series]]) -> tuple[list[str], list[Row]]:
    """Return a table's headings and rows, sorted as the panel says."""
    rows = _merged(answers)
    for step in panel.transformations:
        if step.id == "organize":
            rows = [_organized(row, step) for row in rows]
    headings = _headings(panel, rows)
    return headings, _sorted(panel, rows)


def _merged(answers: Mapping[str, Sequence[Series]]) -> list[Row]:
    """Join on the labels that all answers with rows share, as Grafana's merge does."""
    frames = {ref: _frame(ref, series, len(answers)) for ref, series in answers.items()}
    full = [frame for frame in frames.values() if frame]
    if not full:
        return []
    names = [{name for row in frame for name in row} for frame in full]
    keys = sorted(set.intersection(*names))
    merged: dict[tuple[Cell, ...], Row] = {}
    for frame in full:
        for row in frame:
            merged.setdefault(tuple(row.get(key, "") for key in keys), {}).update(row)
    return list(merged.values())


def _frame(ref: str, series: Sequence[Series], queries: int) -> list[Row]:
    """Return rows with a cell for every label: Prometheus leaves empty ones out."""
    value = f"Value #{ref}" if queries > 1 else "Value"
    every = dict.fromkeys((name for one in series for name in one.labels), "")
    return [{**every, **one.labels, value: one.points[-1][1]} for one in series]


def _organized(row: Row, step: Transformation) -> Row:
    excluded, renamed = _names(step, "excludeByName"), _names(step, "renameByName")
    return {str(renamed.get(k, k)): v for k, v in row.items() if k not in excluded}


def _names(step: Transformation, option: str) -> dict[str, str | int | bool]:
    return msgspec.convert(step.options.get(option, {}), dict[str, str | int | bool])


def _headings(panel: Panel, rows: Sequence[Row]) -> list[str]:
    """Return the columns that any row has, in the order that organize gives."""
    present = {name for row in rows for name in row}
    for step in panel.transformations:
        order, renamed = _names(step, "indexByName"), _names(step, "renameByName")
        if order:
            fields = sorted(order, key=lambda field: int(order[field]))
            named = [str(renamed.get(field, field)) for field in fields]
            return [name for name in named if name in present] + sorted(present - set(named))
    return sorted(present)


class _Sort(msgspec.Struct, rename="camel"):
    display_name: str
    desc: bool = False


def _sorted(panel: Panel, rows: list[Row]) -> list[Row]:
    """Sort by each of the panel's columns, the first one last because sorting is stable."""
    orders = msgspec.convert(panel.options.get("sortBy", []), list[_Sort])
    for order in reversed(orders):
        name = order.display_name
        weighed = [(_weight(row[name]), row) for row in rows if name in row]
        weighed.sort(key=operator.itemgetter(0), reverse=order.desc)
        rows = [row for _, row in weighed] + [row for row in rows if name not in row]
    return rows


def _weight(cell: Cell) -> tuple[float, str]:
    return (cell, "") if isinstance(cell, float) else (0.0, cell)
