"""One HTML page for one dashboard: its layout on the grid, each panel drawn by its kind."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from grafana.classic import Dashboard, Panel
from grafana.render import chart, look, rows
from grafana.render.queries import Series, Window, legend

WIDTH, CELL, GAP, EDGE = 1600, 30, 8, 16
HEADER, TITLE = 92, 34
LEGEND_LINE = 22

Answers = Mapping[str, Sequence[Series]]

STYLE = """
* { box-sizing: border-box; margin: 0 }
body { background: #111217; color: #d9dade; font: 13px/1.4 Inter, "DejaVu Sans", sans-serif;
  width: 1600px; position: relative }
header { padding: 16px 16px 0 } h1 { font-size: 18px; font-weight: 500 }
.bar { margin-top: 10px; display: flex; gap: 8px; font-size: 12px }
.bar span { border: 1px solid #2e3038; border-radius: 2px; background: #181b1f; padding: 3px 8px }
.bar b { color: #8e95a3; font-weight: 400; margin-right: 6px } .bar .time { margin-left: auto }
.row, .panel { position: absolute } .row { font-size: 15px; font-weight: 500; padding-top: 5px }
.row::before { content: ""; display: inline-block; border: 4px solid transparent;
  border-left-color: #9097a3; margin-right: 6px } .open::before { border-left-color: transparent;
  border-top-color: #9097a3; margin-bottom: -2px }
.panel { background: #181b1f; border: 1px solid #24272e; border-radius: 3px; overflow: hidden }
.panel h2 { font-size: 13.5px; font-weight: 500; padding: 8px 10px 0; height: 34px;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
.stat { display: flex; align-items: center; justify-content: center; height: 84px;
  font-size: 34px; font-weight: 500; white-space: nowrap }
.none { color: #7b8087; display: flex; align-items: center; justify-content: center; height: 60% }
table { border-collapse: collapse; width: 100%; table-layout: fixed; font-size: 12.5px }
th { text-align: left; color: #8ab8ff; font-weight: 500; padding: 4px 10px }
td { padding: 5px 10px; border-top: 1px solid #24272e } th, td { overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis } .n { text-align: right }
td.link { color: #6e9fff } .gauge { display: flex; gap: 8px; align-items: center }
.gauge i { display: block; height: 16px; border-radius: 1px } .gauge u { flex: 1;
  text-decoration: none }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; padding: 0 12px; font-size: 12px }
.key { width: 14px; height: 4px; border-radius: 2px; display: inline-block; margin: 0 6px 3px 0 }
.beside { display: flex } .beside table { font-size: 12px }
.beside td, .beside th { border: 0; padding: 2px 6px }
.bars { padding: 2px 12px; display: flex; flex-direction: column; height: calc(100% - 40px);
  justify-content: flex-start; gap: 6px } .bars div.name { font-size: 12px; overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis } .bars i { display: inline-block; height: 15px;
  border-radius: 1px; vertical-align: middle; margin-right: 8px }
"""


def page(board: Dashboard, answers: Mapping[int, Answers], window: Window, chosen: str) -> str:
    """Lay a dashboard out with the answers to its queries, by panel id."""
    drawn = [_panel(panel, answers.get(panel.id, {}), window) for panel in board.panels]
    bar = "".join(_choices(board))
    bar += f"<span class=time>{escape(chosen)}, every {board.refresh}</span>"
    title = f"<header><h1>{escape(board.title)}</h1><div class=bar>{bar}</div></header>"
    style = f"{STYLE} body {{ height: {height(board)}px }}"
    return f"<!doctype html><meta charset=utf-8><style>{style}</style>{title}{''.join(drawn)}"


def height(board: Dashboard) -> int:
    """Return the height of the page in pixels."""
    bottom = max(panel.grid_pos.y + panel.grid_pos.h for panel in board.panels)
    return HEADER + bottom * (CELL + GAP) + GAP


def _choices(board: Dashboard) -> Iterator[str]:
    for variable in board.templating.list:
        text = variable.current.text if variable.current else variable.query
        text = "Prometheus" if variable.type == "datasource" else text
        yield f"<span><b>{escape(variable.label)}</b>{escape(text[:40])}</span>"


def _panel(panel: Panel, answers: Answers, window: Window) -> str:
    x, y, width, tall = _place(panel)
    box = f"left:{x:.0f}px;top:{y}px;width:{width:.0f}px;height:{tall}px"
    if panel.type == "row":
        fold = "folded" if panel.collapsed else "open"
        return f'<div class="row {fold}" style="{box}">{escape(panel.title)}</div>'
    inner = _content(panel, answers, window, (width - 2, tall - TITLE - 4))
    return f'<div class=panel style="{box}"><h2>{escape(panel.title)}</h2>{inner}</div>'


def _place(panel: Panel) -> tuple[float, int, float, int]:
    grid = panel.grid_pos
    column = (WIDTH - 2 * EDGE + GAP) / 24
    tall = grid.h * CELL + (grid.h - 1) * GAP
    return EDGE + grid.x * column, HEADER + grid.y * (CELL + GAP), grid.w * column - GAP, tall


def _content(panel: Panel, answers: Answers, window: Window, size: tuple[float, float]) -> str:
    if not any(answers.values()):
        empty = "No data" if panel.type == "table" else panel.fields.defaults.no_value
        return f"<div class=none>{escape(empty or 'No data')}</div>"
    match panel.type:
        case "stat":
            return _stat(panel, answers)
        case "table":
            return _table(panel, answers)
        case "bargauge":
            return _bars(panel, answers, size[0])
        case "state-timeline":
            return _states(panel, answers, window, size)
        case _:
            return _time_series(panel, answers, window, size)


def _stat(panel: Panel, answers: Answers) -> str:
    value = next(s for series in answers.values() for s in series).points[-1][1]
    text, color = look.shown(value, look.settings(panel.fields, panel.title))
    size = min(34, int(1.6 * (panel.grid_pos.w * 65 - 30) / max(1, len(text))))
    return f'<div class=stat style="color:{color};font-size:{size}px">{escape(text)}</div>'


def _table(panel: Panel, answers: Answers) -> str:
    headings, body = rows.table(panel, answers)
    config, room = panel.fields, panel.grid_pos.h * (CELL + GAP) // 29
    how = {name: look.settings(config, name) for name in headings}
    numeric = {n for n in headings if any(isinstance(row.get(n), float) for row in body)}
    head = "".join(_heading(name, how[name], name in numeric) for name in headings)
    lines = ("".join(_cell(row.get(n), how[n], n in numeric) for n in headings) for row in body)
    shown = "".join(f"<tr>{line}</tr>" for line in list(lines)[:room])
    return f"<table><tr>{head}</tr>{shown}</table>"


def _heading(name: str, how: look.Settings, numeric: bool) -> str:  # noqa: FBT001 - a column is or is not
    width = f' style="width:{how.width}px"' if how.width else ""
    return f"<th{_side(how, numeric)}{width}>{escape(name)}</th>"


def _side(how: look.Settings, numeric: bool) -> str:  # noqa: FBT001
    worded = how.mappings or how.cell == "gauge" or how.unit == "dateTimeFromNow"
    return " class=n" if numeric and not worded else ""


def _cell(value: rows.Cell | None, how: look.Settings, numeric: bool) -> str:  # noqa: FBT001
    if value is None:
        return f"<td{_side(how, numeric)}>-</td>"
    text, color = look.shown(value, how)
    if how.cell == "gauge" and isinstance(value, float):
        bar = f'<u><i style="width:{100 * value:.0f}%;background:{color}"></i></u>'
        return f'<td><div class=gauge>{bar}<span style="color:{color}">{text}</span></div></td>'
    if how.link:
        return f"<td class=link>{escape(text)}</td>"
    style = f' style="color:{color}"' if how.cell == "color-text" else ""
    return f"<td{_side(how, numeric)}{style}>{escape(text)}</td>"


def _bars(panel: Panel, answers: Answers, width: float) -> str:
    named = _named(panel, answers)
    longest = panel.fields.defaults.max or max(s.points[-1][1] for _, s in named) or 1
    drawn = []
    for name, series in named:
        value = series.points[-1][1]
        how = look.settings(panel.fields, name)
        text, color = look.shown(value, how)
        color = look.paint(how.color) if how.color else color
        long = max(2, (width - 90) * value / longest)
        bar = f'<i style="width:{long:.0f}px;background:{color}"></i>'
        number = f'<b style="color:{color}">{text}</b>'
        drawn.append(f"<div><div class=name>{escape(name or '(none)')}</div>{bar}{number}</div>")
    return f"<div class=bars>{''.join(drawn)}</div>"


def _named(panel: Panel, answers: Answers) -> list[tuple[str, Series]]:
    return [
        (legend(target.legend_format, series.labels), series)
        for target in panel.targets
        for series in answers.get(target.ref_id, ())
    ]


def _states(panel: Panel, answers: Answers, window: Window, size: tuple[float, float]) -> str:
    lines = []
    for name, series in sorted(_named(panel, answers), key=lambda pair: pair[0]):
        how = look.settings(panel.fields, name)
        spans = [(m, m + window.step, look.shown(v, how)[1]) for m, v in series.points]
        lines.append(chart.State(name, spans))
    return chart.states(lines, window, size)


def _time_series(panel: Panel, answers: Answers, window: Window, size: tuple[float, float]) -> str:
    curves = _curves(panel, answers)
    window = window.stepping(panel.interval)
    width, tall = size
    if '"right"' in str(panel.options.get("legend", "")).replace("'", '"'):
        column = min(0.45 * width, max(len(curve.name) for curve in curves) * 6.6 + 170)
        plot = chart.time_series(curves, _style(panel), window, (width - column, tall))
        table = _legend_table(curves, tall)
        return f'<div class=beside>{plot}<div style="width:{column:.0f}px">{table}</div></div>'
    used = sum(len(curve.name) * 6.6 + 34 for curve in curves)
    lines = max(1, -(-int(used) // int(width - 24)))
    plot = chart.time_series(curves, _style(panel), window, (width, tall - lines * LEGEND_LINE))
    keys = "".join(f"<span>{_key(c)}{escape(c.name)}</span>" for c in curves)
    return f"{plot}<div class=legend>{keys}</div>"


def _curves(panel: Panel, answers: Answers) -> list[chart.Curve]:
    curves = []
    for index, (name, series) in enumerate(_named(panel, answers)):
        how = look.settings(panel.fields, name)
        color = look.paint(how.color) if how.color else look.CLASSIC[index % len(look.CLASSIC)]
        right = how.unit != panel.fields.defaults.unit
        curves.append(chart.Curve(name, color, series.points, how.unit, right))
    return curves


def _style(panel: Panel) -> chart.Style:
    custom, defaults = panel.fields.defaults.custom, panel.fields.defaults
    return chart.Style(
        bars=custom.get("drawStyle") == "bars",
        stacked="normal" in str(custom.get("stacking", "")),
        width=float(str(custom.get("lineWidth", 1))),
        fill=float(str(custom.get("fillOpacity", 0))) / 100,
        low=defaults.min,
        high=defaults.max,
    )


def _legend_table(curves: Sequence[chart.Curve], tall: float) -> str:
    ordered = sorted(curves, key=lambda c: c.points[-1][1], reverse=True)
    lines = []
    for curve in ordered[: int(tall // 22) - 1]:
        last, peak = curve.points[-1][1], max(value for _, value in curve.points)
        numbers = "".join(f"<td class=n>{look.write(n, curve.unit)}</td>" for n in (last, peak))
        lines.append(f"<tr><td>{_key(curve)}{escape(curve.name)}</td>{numbers}</tr>")
    head = '<tr><th>Name<th class=n style="width:62px">Last<th class=n style="width:62px">Max</tr>'
    return f"<table>{head}{''.join(lines)}</table>"


def _key(curve: chart.Curve) -> str:
    return f'<i class=key style="background:{curve.color}"></i>'
