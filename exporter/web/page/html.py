"""HTML in which everything is escaped but our own markup; numbers, times and names for people."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import Final

MESSAGE_CHARACTERS: Final = 500
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_VOID: Final = frozenset({"link", "meta", "input"})


class Markup(str):
    """Text that is HTML already; made by this module only."""

    __slots__ = ()


Content = str | Iterable["Content"] | None
Attribute = str | int | float | bool | None


def tag(name: str, /, *children: Content, **attributes: Attribute) -> Markup:
    """Make an element; ``class_`` is class, ``data_id`` is data-id, True is a bare attribute."""
    opening = f"<{name}{''.join(_attribute(*each) for each in attributes.items())}>"
    if name in _VOID:
        return Markup(opening)
    return Markup(f"{opening}{render(children)}</{name}>")


def render(content: Content) -> Markup:
    """Join content; plain strings are escaped, None is nothing."""
    if content is None:
        return Markup()
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(escape(content))
    return Markup("".join(render(each) for each in content))


def document(*children: Content) -> str:
    """Make a whole page."""
    return f"<!doctype html>\n{tag('html', *children, lang='en')}\n"


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    spelled = name.rstrip("_").replace("_", "-")
    return f" {spelled}" if value is True else f' {spelled}="{escape(str(value))}"'


def number(value: int) -> str:
    """12345 -> 12,345."""
    return f"{value:,}"


def percent(share: float | None) -> str:
    """Round down, so that 100 % means all."""
    return "n/a" if share is None else f"{int(share * 1000) / 10:.1f} %"


def moment(seconds: float, now: float) -> Markup:
    """Write how long ago, with the exact time as title; the script keeps it current."""
    if seconds <= 0:
        return tag("span", "never", class_="faint")
    at = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return tag("time", ago(now - seconds), datetime=at, title=at)


def clock(seconds: float) -> Markup:
    """Write a date and a time of day, in UTC."""
    at = datetime.fromtimestamp(seconds, UTC)
    return tag("span", at.strftime("%Y-%m-%d %H:%M:%S UTC"), class_="clock")


def ago(seconds: float) -> str:
    """90 -> 1 min ago."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def subject(kind: str, name: str) -> str:
    """Pod/nginx, as kubectl would have it."""
    return f"{kind}/{name}" if name else kind


def brief(message: str) -> str:
    """Cut a message to what a table can show."""
    cut = len(message) > MESSAGE_CHARACTERS
    return message[: MESSAGE_CHARACTERS - 1] + "…" if cut else message
