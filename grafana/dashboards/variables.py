"""What a reader can choose at the top of a dashboard; see variables.yaml."""

from collections.abc import Sequence

from alerts.build import HERE as ALERTS
from alerts.build import read_values
from grafana.classic import JsonDict
from grafana.dashboards import promql
from grafana.dashboards.data import load, settings

# A Deployment is reported as itself, its ReplicaSets (old ones too) and its Pods; a CronJob as
# itself, its Jobs and their Pods. Either each workload counts once, or all of its objects.
COUNTS = {"Workloads": promql.WORKLOADS, "Objects": "policyreport_results"}
# Kyverno's own sources; the empty one is that of an exporter that reads summaries only.
KYVERNO = "|[Kk]yverno.*|(Validating|Mutating)AdmissionPolicy"
VALUES = read_values(ALERTS / "values.yaml")


def variables(names: Sequence[str]) -> list[JsonDict]:
    """Return the variables of these names; the alerts' values are their defaults."""
    listed, (text, family) = load("variables"), next(iter(COUNTS.items()))
    elsewhere: dict[str, JsonDict] = {
        "owner": {"query": VALUES["ownership_labels"].split(",")[0]},
        "system": {"query": VALUES["system_namespaces"]},
        "source": {"allValue": KYVERNO},
        "count": {
            "query": ", ".join(f"{text} : {family}" for text, family in COUNTS.items()),
            "current": {"text": text, "value": family, "selected": True},
        },
    }
    found = []
    for name in names:
        common = settings("variable") | ({} if "type" in listed[name] else settings("choice"))
        found.append(common | {"name": name} | listed[name] | elsewhere.get(name, {}))
    return found
