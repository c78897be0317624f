"""What colours, thresholds and words mean, the same on every dashboard."""

from grafana.classic import JsonDict

# A word and its colour, by the value for which it stands.
Words = dict[str, tuple[str, str]]

HOUR, DAY = 3600, 86400

MUTED = "#7b8087"
RESULT = {"pass": "green", "fail": "red", "error": "purple", "warn": "yellow", "skip": MUTED}
SEVERITY = {
    "critical": "red",
    "high": "orange",
    "medium": "yellow",
    "low": "blue",
    "info": "#9fa7b3",
    "none": MUTED,
}
MODE = {"enforce": "green", "mixed": "blue", "audit": "orange", "warn": "yellow", "none": MUTED}
YES_NO = {"0": ("no", "red"), "1": ("yes", "green")}


def steps(base: str, *above: tuple[float, str]) -> JsonDict:
    """Colours by value: ``base``, then each colour from its value on."""
    listed = [{"value": value, "color": color} for value, color in ((None, base), *above)]
    return {"mode": "absolute", "steps": listed}


def neutral() -> JsonDict:
    """Return a number that is neither good nor bad."""
    return steps("text")


def none_allowed(color: str = "red") -> JsonDict:
    """Zero is good, anything else is not."""
    return steps("green", (1, color))


def some(color: str = "text") -> JsonDict:
    """In a table: zeros step back, the rest stands out."""
    return steps(MUTED, (1, color))


def ratio() -> JsonDict:
    """Compliance: the last percent matters, so green is narrow."""
    return steps("red", (0.8, "orange"), (0.95, "yellow"), (0.99, "green"))


def age(warn: float, bad: float) -> JsonDict:
    """Seconds that something may be old."""
    return steps("green", (warn, "orange"), (bad, "red"))


def words(mapping: Words) -> JsonDict:
    """Show values as words with a colour: ``{"1": ("up", "green")}``."""
    options = {
        value: {"text": text, "color": color, "index": index}
        for index, (value, (text, color)) in enumerate(mapping.items())
    }
    return {"type": "value", "options": options}


def colored(colors: dict[str, str]) -> Words:
    """Colour values that are words already."""
    return {word: (word, color) for word, color in colors.items()}


def empty_is(text: str) -> JsonDict:
    """Show a word where a label is empty."""
    result = {"text": text, "color": "#9fa7b3", "index": 0}
    return {"type": "special", "options": {"match": "empty", "result": result}}
