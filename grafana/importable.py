"""The build for import by hand: Grafana asks for the data source instead of offering a variable."""

import json

import msgspec

from grafana import classic
from grafana.classic import JsonDict

GRAFANA = "11.0.0"
INPUT = "DS_PROMETHEUS"
SOURCE = f"${{{INPUT}}}"
PANEL_NAMES = {
    "bargauge": "Bar gauge",
    "stat": "Stat",
    "state-timeline": "State timeline",
    "table": "Table",
    "timeseries": "Time series",
}


def importable(document: JsonDict) -> JsonDict:
    """Return the same dashboard with ``__inputs`` and ``__requires``."""
    board = classic.read(document)
    text = json.dumps({**document, "templating": {}})
    # Links carry the variable to the next dashboard; there is none to carry here.
    text = text.replace("${datasource:queryparam}&", "").replace("${datasource}", SOURCE)
    made: JsonDict = json.loads(text)
    return made | {
        "__inputs": [_input()],
        "__requires": _requires(sorted({panel.type for panel in board.all_panels()})),
        "id": None,
        "templating": {"list": _variables(document)},
    }


def _variables(document: JsonDict) -> list[JsonDict]:
    text = json.dumps(document["templating"]).replace("${datasource}", SOURCE)
    variables = msgspec.json.decode(text, type=dict[str, list[JsonDict]])["list"]
    return [variable for variable in variables if variable["type"] != "datasource"]


def _input() -> JsonDict:
    return {
        "name": INPUT,
        "label": "Prometheus",
        "description": "The Prometheus that scrapes policy-report-exporter",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": "Prometheus",
    }


def _requires(panel_types: list[str]) -> list[dict[str, str]]:
    panels = [
        {"type": "panel", "id": name, "name": PANEL_NAMES[name], "version": ""}
        for name in panel_types
    ]
    return [
        {"type": "grafana", "id": "grafana", "name": "Grafana", "version": GRAFANA},
        {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
        *panels,
    ]
