"""Decides which format and which coding a client gets, from the headers that ask for them."""

from typing import NamedTuple

TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"

# In the order of preference when the client has none. Text 1.0.0 is 0.0.4 plus quoted UTF-8
# names, OpenMetrics 0.0.1 the draft of 1.0.0: our bytes are valid under both numbers.
_OFFERS = ((TEXT, "0.0.4"), (OPENMETRICS, "1.0.0"), (TEXT, "1.0.0"), (OPENMETRICS, "0.0.1"))
# All our names are legacy-valid, so these two leave them alone; `dots` and `values` would not.
_HARMLESS_ESCAPING = frozenset({"allow-utf-8", "underscores"})


class Format(NamedTuple):
    """An exposition format as the Content-Type header announces it."""

    media: str
    version: str
    escaping: str = ""

    @property
    def openmetrics(self) -> bool:
        """Whether this is OpenMetrics rather than the text format."""
        return self.media == OPENMETRICS

    @property
    def content_type(self) -> str:
        """The value of Content-Type."""
        escaping = f"; escaping={self.escaping}" if self.escaping else ""
        return f"{self.media}; version={self.version}; charset=utf-8{escaping}"


class _Range(NamedTuple):
    name: str
    quality: float
    parameters: dict[str, str]

    @property
    def specificity(self) -> int:
        if self.name == "*/*":
            return 0
        return 1 if self.name.endswith("/*") else 2 + ("version" in self.parameters)

    def covers(self, media: str, version: str) -> bool:
        if self.specificity < 2:
            return self.name == "*/*" or media.startswith(self.name[:-1])
        return self.name == media and self.parameters.get("version", version) == version


def choose_format(accept: str) -> Format:
    """Choose what an Accept header likes best; the text format when it names none of ours.

    A version that we do not speak is met, by the best that we do, only when nothing else fits.
    """
    ranges = _ranges(accept)
    lenient = [part._replace(parameters=_without_version(part)) for part in ranges]
    return _best(ranges) or _best(lenient) or Format(*_OFFERS[0])


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header prefers gzip over the plain body."""
    wishes = {part.name: part.quality for part in _ranges(accept_encoding)}
    gzip = wishes.get("gzip", wishes.get("x-gzip", wishes.get("*", 0.0)))
    return gzip > 0 and gzip >= wishes.get("identity", 0.0)


def prefers(accept: str, media: str) -> bool:
    """Return whether an Accept header names this media type itself, not by a wildcard."""
    return any(part.name == media and part.quality > 0 for part in _ranges(accept))


def _best(ranges: list[_Range]) -> Format | None:
    candidates = []
    for rank, (media, version) in enumerate(_OFFERS):
        covering = [
            (part.specificity, -place, part)
            for place, part in enumerate(ranges)
            if part.covers(media, version)
        ]
        if covering:
            specificity, place, part = max(covering, key=lambda each: each[:2])
            escaping = _escaping(part)
            key = (part.quality, specificity, place, -rank)
            candidates.append((key, Format(media, version, escaping)))
    key, best = max(candidates, default=((0.0, 0, 0, 0), None))
    return best if key[0] > 0 else None


def _escaping(part: _Range) -> str:
    asked = part.parameters.get("escaping", "")
    return asked if asked in _HARMLESS_ESCAPING else ""


def _without_version(part: _Range) -> dict[str, str]:
    return {name: value for name, value in part.parameters.items() if name != "version"}


def _ranges(header: str) -> list[_Range]:
    return [part for text in header.split(",") if (part := _range(text)) is not None]


def _range(text: str) -> _Range | None:
    name, *rest = (piece.strip() for piece in text.lower().split(";"))
    parameters = {}
    for piece in rest:
        key, _, value = piece.partition("=")
        parameters[key.strip()] = value.strip().strip('"')
    quality = _quality(parameters.pop("q", "1"))
    return _Range(name, quality, parameters) if name else None


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
