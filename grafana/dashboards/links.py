"""Ways from one dashboard to the next, which keep time, data source, cluster and variables."""

from collections.abc import Collection

from grafana.classic import JsonDict
from grafana.dashboards.data import settings

TAG = "policy-report-exporter"
DOCS = "https://github.com/policy-report-exporter/policy-report-exporter/blob/main/docs"
KEEP = "${datasource:queryparam}&${cluster:queryparam}&${__url_time_range}"
# From a row of a table: that row's cluster.
ROW = "${datasource:queryparam}&var-cluster=${__data.fields.Cluster}&${__url_time_range}"
# What a reader chose besides, where the dashboard that a link leads to has it too.
CHOICES = {
    "policy-fleet": ("source",),
    "policy-overview": ("source", "severity"),
    "policy-namespace": ("source", "severity"),
    "policy-policy": ("source",),
}
OVERVIEW_URL = f"/d/policy-overview?{ROW}"
NAMESPACE_URL = f"/d/policy-namespace?{ROW}&var-namespace=${{__value.raw}}"
POLICY_URL = f"/d/policy-policy?{ROW}&var-policy=${{__value.raw}}"
TEAM_URL = f"/d/policy-overview?{KEEP}&var-team=${{__value.raw}}"
ENFORCEMENT_URL = f"/d/policy-enforcement?{KEEP}"
EXPORTER_URL = f"/d/policy-exporter?{KEEP}"
EXPORTER_ROW_URL = f"/d/policy-exporter?{ROW}"


def link(title: str, **others: object) -> JsonDict:
    """Return a link at the top of a dashboard, or in a panel's corner."""
    return settings("link") | {"title": title} | others


def siblings() -> JsonDict:
    """Return the dropdown that lists the other dashboards of this set."""
    shown = link("Policy dashboards", type="dashboards", icon="external link", tags=[TAG])
    return shown | {"asDropdown": True, "includeVars": True, "keepTime": True}


def manual() -> JsonDict:
    """Return what each panel means and what to do about it."""
    return link("How to read this", url=f"{DOCS}/dashboards.md", icon="doc", targetBlank=True)


def keeping(text: str, own: Collection[str]) -> str:
    """Let the links of a dashboard with these variables keep what the reader chose."""
    for uid, names in CHOICES.items():
        kept = "".join(f"&${{{name}:queryparam}}" for name in names if name in own)
        for carried in (KEEP, ROW):
            text = text.replace(f"/d/{uid}?{carried}", f"/d/{uid}?{carried}{kept}")
    return text
