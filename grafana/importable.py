"""The build for import by hand: Grafana asks for the data source instead of offering a variable."""

import json

from grafana import classic
from grafana.classic import JsonDict

GRAFANA = {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "11.0.0"}
PROMETHEUS = {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"}
INPUT = {
    "name": "DS_PROMETHEUS",
    "label": "Prometheus",
    "description": "The Prometheus that scrapes policy-report-exporter",
    "type": "datasource",
    "pluginId": "prometheus",
    "pluginName": "Prometheus",
}
PANELS = {
    "bargauge": "Bar gauge",
    "stat": "Stat",
    "state-timeline": "State timeline",
    "table": "Table",
    "timeseries": "Time series",
}


def importable(document: JsonDict) -> JsonDict:
    """Return the same dashboard with ``__inputs`` and ``__requires``."""
    # Links carry the variable to the next dashboard; there is none to carry here.
    text = json.dumps(document).replace("${datasource:queryparam}&", "")
    made = json.loads(text.replace("${datasource}", f"${{{INPUT['name']}}}"))
    chosen = [v for v in made["templating"]["list"] if v["type"] != "datasource"]
    kinds = sorted({panel.type for panel in classic.read(document).all_panels()})
    panels = [{"type": "panel", "id": k, "name": PANELS[k], "version": ""} for k in kinds]
    asked: JsonDict = {"__inputs": [INPUT], "__requires": [GRAFANA, PROMETHEUS, *panels]}
    asked |= {"id": None, "templating": {"list": chosen}}
    return {**made, **asked}
