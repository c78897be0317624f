"""What the dashboards read from the YAML files here: words and settings that are no code."""

from functools import cache
from pathlib import Path

import msgspec
import yaml

from grafana.classic import JsonDict


@cache
def load(name: str) -> dict[str, JsonDict]:
    """Return the sections of a file; the comment at its top describes it."""
    text = Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.safe_load(text), dict[str, JsonDict])


def settings(section: str) -> JsonDict:
    """Return Grafana's settings that all dashboards, links, ... share."""
    return load("settings")[section]
