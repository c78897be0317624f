"""What colours, thresholds and words mean, the same on every dashboard."""

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

HOUR, DAY = 3600, 86400

MUTED = "#7b8087"
RESULT = {
    "pass": "green",
    "fail": "red",
    "error": "purple",
    "warn": "yellow",
    "skip": MUTED,
}
SEVERITY = {
    "critical": "red",
    "high": "orange",
    "medium": "yellow",
    "low": "blue",
    "info": "#9fa7b3",
    "none": MUTED,
}
MODE = {
    "enforce": "green",
    "mixed": "blue",
    "audit": "orange",
    "warn": "yellow",
    "none": MUTED,
}


def steps(base: str, *above: tuple[float, str]) -> ThresholdsConfig:
    """Colours by value: ``base``, then each colour from its value on."""
    first = Threshold(value=None, color=base)
    rest = [Threshold(value=value, color=color) for value, color in above]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([first, *rest])


def neutral() -> ThresholdsConfig:
    """Return a number that is neither good nor bad."""
    return steps("text")


def none_allowed(color: str = "red") -> ThresholdsConfig:
    """Zero is good, anything else is not."""
    return steps("green", (1, color))


def some(color: str = "text") -> ThresholdsConfig:
    """In a table: zeros step back, the rest stands out."""
    return steps(MUTED, (1, color))


def ratio() -> ThresholdsConfig:
    """Compliance: the last percent matters, so green is narrow."""
    return steps("red", (0.8, "orange"), (0.95, "yellow"), (0.99, "green"))


def age(warn: float, bad: float) -> ThresholdsConfig:
    """Seconds that something may be old."""
    return steps("green", (warn, "orange"), (bad, "red"))


def words(mapping: dict[str, tuple[str, str]]) -> ValueMapping:
    """Show values as words with a colour: ``{"1": ("up", "green")}``."""
    options = {
        value: ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(mapping.items())
    }
    return ValueMap(options=options)


def colored(colors: dict[str, str]) -> ValueMapping:
    """Colour values that are words already."""
    return words({word: (word, color) for word, color in colors.items()})


def empty_is(text: str) -> ValueMapping:
    """Show a word where a label is empty."""
    result = ValueMappingResult(text=text, color="#9fa7b3", index=0)
    options = DashboardSpecialValueMapOptions(match=SpecialValueMatch.EMPTY, result=result)
    return SpecialValueMap(options=options)
