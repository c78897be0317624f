"""What a reader can choose at the top of a dashboard."""

from grafana_foundation_sdk.builders.dashboard import (
    CustomVariable,
    DatasourceVariable,
    QueryVariable,
    TextBoxVariable,
)
from grafana_foundation_sdk.models.dashboard import (
    VariableHide,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from alerts.build import HERE as ALERTS
from alerts.build import read_values
from grafana.dashboards import promql
from grafana.dashboards.panels import SOURCE

# A Deployment is reported as itself, its ReplicaSets (old ones too) and its Pods; a CronJob as
# itself, its Jobs and their Pods. Either each workload counts once, or all of its objects.
COUNTS = {"Workloads": promql.WORKLOADS, "Objects": "policyreport_results"}
# Kyverno's own sources; the empty one is that of an exporter that reads summaries only.
KYVERNO = "|[Kk]yverno.*|(Validating|Mutating)AdmissionPolicy"
VALUES = read_values(ALERTS / "values.yaml")
NAMED = "policyreport_results|policyreport_policy_info|policyviolation_events_total"
PLACED = "policyreport_reports|policyviolation_events_total"


def data_source() -> VariableModel:
    """Return the Prometheus to ask."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus").build()


def cluster() -> VariableModel:
    """Return the external label of several clusters in one Prometheus; absent, All matches."""
    return _choice("cluster", "Cluster", "policyreport_exporter_build_info")


def scope() -> list[VariableModel]:
    """Owner and namespace, and the name of the label that names the owner, which is hidden."""
    owner = TextBoxVariable("owner").label("Owner label").hide(VariableHide.HIDE_VARIABLE)
    return [
        owner.default_value(VALUES["ownership_labels"].split(",")[0]).build(),
        _choice("team", "Team", f'{{__name__=~"{PLACED}",cluster=~"$cluster"}}', label_of="$owner"),
        _choice(
            "namespace",
            "Namespace",
            f'{{__name__=~"{PLACED}",cluster=~"$cluster",$owner=~"$team"}}',
        ),
    ]


def policy() -> VariableModel:
    """Policies that have results or violations, or are known without."""
    return _choice("policy", "Policy", f'{{__name__=~"{NAMED}",cluster=~"$cluster"}}')


def severity() -> VariableModel:
    """Severities that occur."""
    return _choice("severity", "Severity", 'policyreport_results{cluster=~"$cluster"}')


def source() -> VariableModel:
    """Engines that wrote the results; All means Kyverno's, so that no other mixes in unasked."""
    label, known = "Source (All: Kyverno)", 'policyreport_results{cluster=~"$cluster"}'
    return _choice("source", label, known, every=KYVERNO)


def count() -> VariableModel:
    """Return the family whose failures count."""
    values = ", ".join(f"{text} : {family}" for text, family in COUNTS.items())
    text, family = next(iter(COUNTS.items()))
    builder = CustomVariable("count").label("Count").values(values)
    return builder.current(VariableOption(selected=True, text=text, value=family)).build()


def target() -> VariableModel:
    """Return the share of checks that should pass."""
    return TextBoxVariable("target").label("Target").default_value("0.95").build()


def system_namespaces() -> VariableModel:
    """Namespaces where a blocked request endangers the cluster itself, as the alerts have them."""
    builder = TextBoxVariable("system").label("System namespaces")
    return builder.default_value(VALUES["system_namespaces"]).build()


def job() -> VariableModel:
    """Return the scrape job."""
    known = 'policyreport_exporter_build_info{cluster=~"$cluster"}'
    return _choice("job", "Job", known, every=".+")


def instance() -> VariableModel:
    """Return the exporter's replicas and shards."""
    known = 'policyreport_exporter_build_info{cluster=~"$cluster",job=~"$job"}'
    return _choice("instance", "Instance", known, every=".+")


def _choice(
    name: str, label: str, known: str, every: str = ".*", label_of: str = ""
) -> VariableModel:
    """Any of a label's values; ``.*`` for All also matches series without the label."""
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(f"label_values({known}, {label_of or name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(every)
        .current(VariableOption(selected=True, text="All", value="$__all"))
        .build()
    )
