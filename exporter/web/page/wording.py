"""Says numbers, times and names the way people read them."""

from datetime import UTC, datetime

from exporter.web.page.html import Markup, tag

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
MESSAGE_CHARACTERS = 500


def number(value: int) -> str:
    """12345 -> 12,345."""
    return f"{value:,}"


def percent(share: float | None) -> str:
    """Round down, so that 100 % means all."""
    return "n/a" if share is None else f"{int(share * 1000) / 10:.1f} %"


def moment(seconds: float, now: float) -> Markup:
    """Say how long ago, with the exact time behind it; the script keeps it current."""
    if seconds <= 0:
        return tag("span", "never", class_="faint")
    at = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return tag("time", ago(now - seconds), datetime=at, title=at)


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
