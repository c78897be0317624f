"""Ask Prometheus what Grafana would ask, with every variable filled in."""

import json
import math
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from grafana.classic import Dashboard, Target, Variable

Labels = dict[str, str]
# Not $1, which label_replace() means by it.
VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$([A-Za-z_]\w*)")


class Series(msgspec.Struct, frozen=True):
    """Labels with points (unix seconds, number); an instant answer has one point."""

    labels: Labels
    points: list[tuple[float, float]]


class Window(NamedTuple):
    """A time range as Grafana would ask for it, in unix seconds; scrape is the scrape interval."""

    end: float
    seconds: float
    step: float
    scrape: float

    @property
    def rate_interval(self) -> float:
        """The shortest window in which a rate has enough samples."""
        return max(self.step + self.scrape, 4 * self.scrape)

    def stepping(self, interval: str) -> "Window":
        """Return the same range in steps of at least a panel's interval, such as 5m."""
        return self._replace(step=max(self.step, seconds(interval or "0m")))


def seconds(duration: str) -> float:
    """Return the seconds of a duration such as 5m, 1h or 7d."""
    return float(duration[:-1]) * {"m": 60, "h": 3600, "d": 86400}[duration[-1]]


def range_of(
    board: Dashboard, end: float, scrape: float, *, longest: float = math.inf, width: int = 350
) -> Window:
    """Return the range that the dashboard opens with, in ``width`` steps."""
    length = min(longest, seconds(board.time["from"].removeprefix("now-")))
    return Window(end, length, max(scrape, length // width), scrape)


def values(variables: list[Variable], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return what each variable stands for in a query; ``chosen`` overrides All and defaults."""
    return {v.name: chosen.get(v.name, _default(v)) for v in variables}


def _default(variable: Variable) -> str:
    if variable.include_all:
        return variable.all_value
    return variable.current.value if variable.current else variable.query


def filled(expr: str, names: Mapping[str, str], window: Window) -> str:
    """Replace every ``$name`` and ``${name}``; an unknown one is an error."""
    known = {
        **names,
        "__range": f"{math.ceil(window.seconds)}s",
        "__interval": f"{math.ceil(window.step)}s",
        "__rate_interval": f"{math.ceil(window.rate_interval)}s",
    }
    return VARIABLE.sub(lambda match: known[match[1] or match[2]], expr)


class _Sample(msgspec.Struct):
    metric: Labels
    value: tuple[float, float] | None = None
    values: list[tuple[float, float]] = []


class Client:
    """A Prometheus server at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def ask(self, target: Target, names: Mapping[str, str], window: Window) -> list[Series]:
        """Evaluate one query of a panel."""
        query = filled(target.expr, names, window)
        if target.instant:
            return self._series("query", query=query, time=window.end)
        start = window.end - window.seconds
        times = {"start": start, "end": window.end, "step": window.step}
        return self._series("query_range", query=query, **times)

    def _series(self, path: str, **parameters: str | float) -> list[Series]:
        url = f"{self.url}/api/v1/{path}"
        body = urllib.parse.urlencode(parameters).encode()
        with urllib.request.urlopen(url, data=body, timeout=60) as response:  # noqa: S310 - given
            result = json.load(response)["data"]["result"]
        found = (
            Series(sample.metric, _numbers([sample.value] if sample.value else sample.values))
            for sample in msgspec.convert(result, list[_Sample], strict=False)
        )
        return [series for series in found if series.points]


def _numbers(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out what is not a number, as Grafana's pictures do."""
    return [point for point in points if not math.isnan(point[1])]
