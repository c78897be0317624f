"""Policy / Fleet: one line for each cluster that writes to this Prometheus."""

from grafana.dashboards import annotations, palette, shared, tables
from grafana.dashboards import promql as q
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.links import EXPORTER_ROW_URL
from grafana.dashboards.palette import HOUR, none_allowed
from grafana.dashboards.panels import Panel, dashed, legend_table, number, painted
from grafana.dashboards.tables import value

ALL = (q.CLUSTER, q.SOURCE)
REPORTING = f"group by (cluster) ({q.of(q.FLEET, q.CLUSTER)})"
# Whoever reported within a week: a cluster that is gone on purpose leaves the list after that.
EXPECTED = f"group by (cluster) (last_over_time({q.of(q.FLEET, q.CLUSTER)}[1w]))"


def fleet() -> Frame:
    """Return the dashboard of many clusters."""
    return Frame(
        "policy-fleet",
        annotations.usual(),
        [
            Section(100, "Do all clusters report, and comply?", _headline()),
            Section(200, "Which clusters need work?", [_clusters()]),
            Section(300, "Is it getting better?", _over_time()),
            Section(400, "What is alerting?", [shared.alerts().height(6)]),
        ],
    )


def _headline() -> list[Panel]:
    every = f"group({q.of(q.FLEET, *ALL)})"
    silent = f"count({EXPECTED} unless on (cluster) {REPORTING})"
    urgent = q.total(q.of(q.FLEET_WORKLOADS, *ALL, 'severity="critical"'))
    rated = f"group({q.of(q.FLEET, *ALL, q.RATED)})"
    below = f"count(({q.compliance(*ALL, family=q.FLEET, by='cluster')}) < $target)"
    return [
        number("Clusters reporting", f"count({REPORTING})"),
        number("Clusters silent", q.known(silent, f"group({EXPECTED})"), none_allowed()),
        shared.compliance(q.compliance(*ALL, family=q.FLEET)),
        number("Below the target", q.known(below, every), none_allowed("orange")),
        number("Critical", q.known(urgent, rated), none_allowed()),
        shared.opened(*ALL),
        shared.blocked(q.CLUSTER),
        shared.age_of_data(),
    ]


def _clusters() -> Panel:
    by = "cluster"
    share = q.compliance(*ALL, family=q.FLEET, by=by)
    week = q.compliance(*ALL, family=q.FLEET, by=by, offset=" offset 1w")
    critical = q.total(q.of(q.FLEET_WORKLOADS, *ALL, 'severity="critical"'), by)
    build = q.of("policyreport_exporter_build_info", q.CLUSTER)
    up = f"count by (cluster) (group by (cluster, instance) ({build}))"
    synced = q.of("policyreport_exporter_synced", q.CLUSTER, 'resource=~"events.*"')
    blocked = q.happened(q.VIOLATED, q.CLUSTER, q.BLOCKED, by=by)
    rated = f"group by ({by}) ({q.of(q.FLEET, *ALL, q.RATED)})"
    better = palette.steps("red", (-0.02, "orange"), (-0.001, "text"), (0.001, "green"))
    one, yes_no = palette.steps("red", (1, "text")), palette.YES_NO
    change = value("Change", f"({share}) - ({week})")
    return tables.table_of(
        "Clusters",
        [
            tables.cluster().wide(160),
            value("Reports", f"{REPORTING} or 0 * {EXPECTED}").words(yes_no).wide(85),
            value("Compliance", share).gauge(palette.ratio()),
            change.having(unit="percentunit", decimals=1).warns(better).wide(90),
            tables.count("Failing", q.total(q.of(q.FLEET, *ALL, q.FAIL), by)),
            tables.count("Critical", q.known(critical, rated), "red"),
            tables.count("New", q.known(q.happened(q.OPENED, *ALL, by=by), rated)),
            tables.count("Blocked", q.known(blocked, f"max by ({by}) ({synced}) == 1")),
            tables.age("Oldest", f"time() - min by ({by}) ({q.of(q.SINCE, *ALL)})"),
            value("Data age", f"time() - max by ({by}) ({q.of(q.NEWEST, q.CLUSTER)})")
            .having(unit="s")
            .warns(palette.age(2 * HOUR, 3 * HOUR))
            .link("Open the exporter", EXPORTER_ROW_URL)
            .wide(110),
            value("Exporters", q.known(up, EXPECTED)).warns(one).wide(100),
        ],
        sort=["Reports", "Compliance"],
    ).height(12)


def _over_time() -> list[Panel]:
    share = q.compliance(*ALL, family=q.FLEET, by="cluster")
    drawn = {"{{cluster}}": q.named(share, "cluster", "this cluster"), "target": shared.TARGET}
    panel = legend_table(shared.shares("Compliance by cluster", drawn, "1h").height(9))
    flow = shared.opened_and_closed(*ALL).settings(interval="1h").height(9)
    return [painted(dashed(panel, "target"), {"target": "orange"}), flow]
