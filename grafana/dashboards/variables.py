"""What a reader can choose at the top of a dashboard."""

from grafana_foundation_sdk.builders.dashboard import (
    CustomVariable,
    DatasourceVariable,
    QueryVariable,
    TextBoxVariable,
)
from grafana_foundation_sdk.models.dashboard import (
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from alerts.build import HERE as ALERTS
from alerts.build import read_values
from grafana.dashboards.panels import SOURCE

# A Deployment is reported as itself, its ReplicaSets (old ones too) and its Pods; a CronJob as
# itself, its Jobs and their Pods. The copies in between are left out unless asked for.
UNCOUNTED = {
    "Workloads and Pods": "ReplicaSet|Job",
    "Workloads only": "ReplicaSet|Job|Pod",
    "Pods only": "ReplicaSet|Job|Deployment|StatefulSet|DaemonSet|CronJob|ReplicationController",
    "Every object": "-",
}
# As the alerts have them.
SYSTEM_NAMESPACES = read_values(ALERTS / "values.yaml")["system_namespaces"]


def data_source() -> VariableModel:
    """Return the Prometheus to ask."""
    builder = DatasourceVariable("datasource").label("Data source").type("prometheus")
    return builder.build()


def cluster() -> VariableModel:
    """Return the external label of several clusters in one Prometheus; absent, All matches."""
    return _choice("cluster", "Cluster", "policyreport_exporter_build_info")


def team() -> VariableModel:
    """Return the namespace label ``team``; where it is not configured, All matches everything."""
    return _choice("team", "Team", 'policyreport_namespace_info{cluster=~"$cluster"}')


def namespace() -> VariableModel:
    """Namespaces of the chosen teams; All includes cluster-scoped resources."""
    source = 'policyreport_namespace_info{cluster=~"$cluster",team=~"$team"}'
    return _choice("namespace", "Namespace", source)


def policy() -> VariableModel:
    """Policies that have results or violations."""
    source = 'policyreport_policy_info{cluster=~"$cluster"}'
    return _choice("policy", "Policy", source)


def severity() -> VariableModel:
    """Severities that occur."""
    source = 'policyreport_results{cluster=~"$cluster",namespace=~"$namespace"}'
    return _choice("severity", "Severity", source)


def uncounted() -> VariableModel:
    """Which copies of a workload to leave out, by name of what is counted."""
    values = ", ".join(f"{text} : {kinds}" for text, kinds in UNCOUNTED.items())
    text, kinds = next(iter(UNCOUNTED.items()))
    builder = CustomVariable("uncounted").label("Count").values(values)
    builder.current(VariableOption(selected=True, text=text, value=kinds))
    return builder.build()


def system_namespaces() -> VariableModel:
    """Namespaces where a blocked request endangers the cluster itself."""
    builder = TextBoxVariable("system").label("System namespaces")
    return builder.default_value(SYSTEM_NAMESPACES).build()


def job() -> VariableModel:
    """Return the scrape job."""
    source = 'policyreport_exporter_build_info{cluster=~"$cluster"}'
    return _choice("job", "Job", source, every=".+")


def instance() -> VariableModel:
    """Return the exporter's replicas and shards."""
    source = 'policyreport_exporter_build_info{cluster=~"$cluster",job=~"$job"}'
    return _choice("instance", "Instance", source, every=".+")


def _choice(name: str, label: str, source: str, every: str = ".*") -> VariableModel:
    """Any of a label's values; ``.*`` for All also matches series without the label."""
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(f"label_values({source}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(every)
        .current(VariableOption(selected=True, text="All", value="$__all"))
        .build()
    )
