"""How Grafana writes and colours a value: units, mappings, thresholds."""

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from grafana.classic import FieldConfig, JsonDict, Matcher, Step

TEXT = "#d9dade"
HEX = {
    "text": TEXT,
    "green": "#73bf69",
    "red": "#f2495c",
    "dark-red": "#c4162a",
    "orange": "#ff9830",
    "yellow": "#f2cc0c",
    "blue": "#5794f2",
    "purple": "#b877d9",
}
CLASSIC = (
    "#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37872d", "#8ab8ff",
    "#ffa6b0", "#ca95e5", "#96d98d", "#ffee52", "#fa6400", "#1f60c4", "#c4162a", "#8f3bb8",
)  # fmt: skip
DURATIONS = (
    (365.25 * 86400, "years"),
    (7 * 86400, "weeks"),
    (86400, "days"),
    (3600, "hours"),
    (60, "mins"),
)


class Settings(NamedTuple):
    """Everything that decides how one field looks."""

    unit: str = "short"
    decimals: int | None = None
    mappings: Sequence[object] = ()
    thresholds: Sequence[Step] = ()
    cell: str = ""
    width: int | None = None
    link: bool = False
    color: str = ""


def settings(config: FieldConfig, name: str) -> Settings:
    """Return what holds for the field ``name``: the defaults, then its override."""
    defaults = config.defaults
    found = Settings(
        unit=defaults.unit,
        decimals=defaults.decimals,
        mappings=defaults.mappings,
        thresholds=defaults.thresholds.steps if defaults.thresholds else (),
        color=defaults.color.fixed_color if defaults.color else "",
    )
    for override in config.overrides:
        if _matches(override.matcher, name):
            for item in override.properties:
                found = _with(found, item.id, item.value)
    return found


def _matches(matcher: Matcher, name: str) -> bool:
    if matcher.id == "byRegexp":
        return re.search(matcher.options.strip("/"), name) is not None
    return matcher.options == name


class _Any(msgspec.Struct, rename="camel"):
    type: str = ""
    fixed_color: str = ""
    steps: list[Step] = []


def _with(found: Settings, name: str, value: object) -> Settings:
    match name, value:
        case "unit", str():
            return found._replace(unit=value)
        case "decimals", int():
            return found._replace(decimals=value)
        case "custom.width", int():
            return found._replace(width=value)
        case "mappings", list():
            return found._replace(mappings=value)
        case "links", _:
            return found._replace(link=True)
        case _:
            shape = msgspec.convert(value if isinstance(value, dict) else {}, _Any)
            return found._replace(
                cell=shape.type or found.cell,
                color=shape.fixed_color or found.color,
                thresholds=shape.steps or found.thresholds,
            )


class _Outcome(msgspec.Struct):
    text: str = ""
    color: str = ""


class _Mapping(msgspec.Struct):
    type: str
    options: JsonDict


def shown(value: str | float, how: Settings) -> tuple[str, str]:
    """Return the text and the colour of a value."""
    key = value if isinstance(value, str) else f"{value:g}"
    for raw in how.mappings:
        mapping = msgspec.convert(raw, _Mapping)
        outcome = _mapped(key, mapping)
        if outcome:
            return outcome.text or key, paint(outcome.color)
    if isinstance(value, str):
        return value, TEXT
    return write(value, how.unit, how.decimals), level(value, how.thresholds)


def _mapped(key: str, mapping: _Mapping) -> _Outcome | None:
    if mapping.type == "value" and key in mapping.options:
        return msgspec.convert(mapping.options[key], _Outcome)
    if mapping.type == "special" and not key and mapping.options["match"] == "empty":
        return msgspec.convert(mapping.options["result"], _Outcome)
    return None


def paint(color: str) -> str:
    """Return a CSS colour for one of Grafana's names."""
    return HEX.get(color, color) or TEXT


def level(value: float, steps: Sequence[Step]) -> str:
    """Return the colour of the highest threshold that the value reaches."""
    reached = [s for s in steps if s.value is None or value >= s.value]
    return paint(reached[-1].color) if reached else TEXT


def write(value: float, unit: str, decimals: int | None = None) -> str:
    """Write a number in its unit."""
    match unit:
        case "percentunit":
            return f"{100 * value:.{1 if decimals is None else decimals}f}%"
        case "s":
            return _duration(value)
        case "bytes":
            return _scaled(value, 1024, ("B", "KiB", "MiB", "GiB"))
        case "dateTimeFromNow":
            return _ago(value / 1000)
        case _:
            return _short(value, decimals)


def _short(value: float, decimals: int | None) -> str:
    if abs(value) < 1000:
        return f"{value:.{decimals}f}" if decimals is not None else f"{value:.3g}"
    return _scaled(value, 1000, ("", "K", "Mil", "Bil"))


def _scaled(value: float, base: int, suffixes: Sequence[str]) -> str:
    power = 0
    while abs(value) >= base and power < len(suffixes) - 1:
        value, power = value / base, power + 1
    return f"{value:.3g} {suffixes[power]}".strip()


def _duration(seconds: float) -> str:
    for size, name in DURATIONS:
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {name}"
    if seconds == 0 or abs(seconds) >= 1:
        return f"{seconds:.3g} s"
    return f"{1000 * seconds:.3g} ms"


def _ago(then: float) -> str:
    seconds = time.time() - then
    if seconds < 45:
        return "a few seconds ago"
    for size, name in DURATIONS:
        count = round(seconds / size)
        if seconds >= 0.75 * size:
            word = {"mins": "minute", "hours": "hour"}.get(name, name.removesuffix("s"))
            return f"{count} {word}{'s' if count > 1 else ''} ago"
    return "a minute ago"
