"""The panel kinds that the dashboards are made of; settings.yaml has what all of a kind share."""

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec

from grafana.classic import JsonDict
from grafana.dashboards import palette
from grafana.dashboards.data import settings

SOURCE: JsonDict = {"type": "prometheus", "uid": "${datasource}"}
# How Grafana names the queries of a panel.
REFS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Kind(msgspec.Struct, frozen=True):
    """What all panels of a kind share; one without ``defaults`` has no fields."""

    type: str
    size: tuple[int, int]
    options: JsonDict
    defaults: JsonDict | None = None


class Panel:
    """A panel without its place; each method changes it and returns it."""

    def __init__(self, kind: str, title: str, targets: Sequence[JsonDict]) -> None:
        self._kind = msgspec.convert(settings("panels")[kind], Kind)
        self.title, self.targets = title, targets
        self.columns, self.rows = self._kind.size
        self._defaults: JsonDict = {}
        self._options: JsonDict = {}
        self._overrides: list[JsonDict] = []
        self._settings: JsonDict = {"datasource": SOURCE}

    def span(self, columns: int) -> Self:
        """Set the width, in columns of 24."""
        self.columns = columns
        return self

    def height(self, rows: int) -> Self:
        """Set the height, in rows of 30 pixels."""
        self.rows = rows
        return self

    def having(self, **defaults: object) -> Self:
        """Set properties of all fields: unit, min, max, decimals, noValue, thresholds, ..."""
        self._defaults |= defaults
        return self

    def options(self, **options: object) -> Self:
        """Set options of the kind."""
        self._options |= options
        return self

    def settings(self, **settings: object) -> Self:
        """Set what does not depend on the kind: interval, links, transformations, ..."""
        self._settings |= settings
        return self

    def override(
        self, name: str, properties: Mapping[str, object], matcher: str = "byName"
    ) -> Self:
        """Set properties of the fields that match, by default of the one with this name."""
        listed = [{"id": key, "value": value} for key, value in properties.items()]
        matched = {"id": matcher, "options": name}
        self._overrides.append({"matcher": matched, "properties": listed})
        return self

    def build(self) -> JsonDict:
        """Return the panel's JSON, without id, place and description."""
        fields: JsonDict = {}
        if self._kind.defaults is not None:
            defaults = self._kind.defaults | self._defaults
            fields = {"fieldConfig": {"defaults": defaults, "overrides": self._overrides}}
        common: JsonDict = {
            "type": self._kind.type,
            "title": self.title,
            "targets": self.targets,
            "options": self._kind.options | self._options,
            "repeatDirection": "h",
            "transparent": False,
        }
        return self._settings | fields | common


def instant(expr: str, legend: str = "") -> JsonDict:
    """Ask for the present only: a headline must not fall back on a point of an hour ago."""
    return _query(expr, "A", instant=True) | {"legendFormat": legend}


def rows(expr: str, ref: str) -> JsonDict:
    """Ask for the present, as table rows with a column for each label."""
    return _query(expr, ref, instant=True) | {"format": "table"}


def _query(expr: str, ref: str, *, instant: bool) -> JsonDict:
    asked: JsonDict = {"datasource": SOURCE, "expr": expr, "refId": ref}
    return asked | {"instant": instant, "range": not instant}


def number(title: str, expr: str, thresholds: JsonDict | None = None) -> Panel:
    """One number, coloured by its thresholds."""
    panel = Panel("number", title, [instant(expr)])
    return panel.having(thresholds=thresholds or palette.neutral())


def lines(title: str, queries: Mapping[str, str], kind: str = "lines") -> Panel:
    """Values over time as lines; the queries by the names of their series in the legend."""
    asked = [
        _query(expr, ref, instant=False) | {"legendFormat": legend}
        for ref, (legend, expr) in zip(REFS, queries.items(), strict=False)
    ]
    return Panel(kind, title, asked)


def areas(title: str, queries: Mapping[str, str]) -> Panel:
    """Parts of a whole over time, stacked."""
    return lines(title, queries, "areas")


def bars(title: str, queries: Mapping[str, str]) -> Panel:
    """Occurrences over time, stacked, one bar for each step."""
    return lines(title, queries, "bars").settings(interval="1m")


def states(title: str, queries: Mapping[str, str]) -> Panel:
    """States over time, one line of blocks for each series."""
    return lines(title, queries, "states")


def ranking(title: str, query: JsonDict) -> Panel:
    """One horizontal bar for each series, longest first."""
    return Panel("ranking", title, [query]).having(thresholds=palette.steps("blue"))


def legend_table(panel: Panel) -> Panel:
    """Put an open-ended set of series into a table at the right, largest first."""
    shown: JsonDict = {"displayMode": "table", "placement": "right", "showLegend": True}
    order: JsonDict = {"calcs": ["lastNotNull", "max"], "sortBy": "Last *", "sortDesc": True}
    return panel.options(legend=shown | order)


def painted(panel: Panel, colors: Mapping[str, str]) -> Panel:
    """Give each named series its own colour, which does not depend on the value."""
    for name, color in colors.items():
        panel.override(name, {"color": fixed(color)})
    return panel


def dashed(panel: Panel, *names: str) -> Panel:
    """Draw what is compared with, such as a target, as a dashed line."""
    for name in names:
        panel.override(name, {"custom.lineStyle": {"fill": "dash", "dash": [8, 8]}})
    return panel


def fixed(color: str) -> JsonDict:
    """Return a colour that does not depend on the value."""
    return {"mode": "fixed", "fixedColor": color}
