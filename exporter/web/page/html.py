"""Builds HTML in which everything is escaped that is not markup of our own."""

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"link", "meta", "input"})


class Markup(str):
    """Text that is HTML already; only this module makes it."""

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
