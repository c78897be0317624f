"""Days in which nothing happens, and clusters that are gone or retired."""

import json

import pytest
import yaml

from alerts.build import HERE, build, read_values
from tests.scenarios import rows
from tests.scenarios.judge import run
from tests.servers import Prometheus, prometheus
from tests.tools import eventually, tool

pytestmark = [pytest.mark.tier("monitoring"), pytest.mark.slow]

DAY = 24 * rows.HOUR
RULES = ("recording.rules.yaml", "alerts.rules.yaml")
KINDS = [
    rows.VARIANTS["plain"],
    rows.VARIANTS["no-team"],
    rows.VARIANTS["two-replicas"],
    rows.VARIANTS["two-shards"],
]


@pytest.mark.parametrize("batch", range(5 if rows.all_asked_for() else 1))
def test_56_hours_of_ordinary_life_wake_nobody(batch: int) -> None:
    """A cluster of each kind; the long run has 20, each with hours of its own."""
    clusters = []
    for number, kind in enumerate(KINDS):
        cluster = kind.cluster(f"life-{batch}-{number}", end=56 * rows.HOUR)
        rows.ordinary_life(cluster, phase=7 * (len(KINDS) * batch + number))
        clusters.append(cluster)
    fired, output = run(clusters, tool("promtool"))
    assert "err: " not in output, output[:3000]
    assert [each for each in fired if each.labels["severity"] == "critical"] == []
    for cluster in clusters:
        for day in range(3):
            warnings = [
                each
                for each in fired
                if each.labels["severity"] == "warning"
                and each.labels["cluster"] == cluster.name
                and each.start // DAY == day
            ]
            assert len(warnings) <= 1, warnings


def test_of_three_clusters_the_one_without_an_exporter_fires_until_it_is_back() -> None:
    """For 28 hours, which is longer than the day that the rules look back; for each kind."""
    away = (6 * rows.HOUR, 34 * rows.HOUR)
    end = away[1] + rows.HOUR
    spans = ((0, away[0]), (away[1], rows.FOREVER))
    gone = [kind.cluster(f"gone-{kind.name}", up=spans, end=end) for kind in KINDS]
    there = [rows.VARIANTS["plain"].cluster(name, end=end) for name in ("there", "too")]
    fired, output = run([*gone, *there], tool("promtool"))
    assert "err: " not in output, output[:3000]
    found = {
        each.labels["cluster"]: (each.start, each.end)
        for each in fired
        if each.name == "PolicyExporterDown"
    }
    assert found.keys() == {cluster.name for cluster in gone}
    assert all(
        start <= away[0] + 11 and away[1] < end <= away[1] + 6 for start, end in found.values()
    )


def quick(*clusters: str, retired: str) -> dict[str, str]:
    """Return rule files that are evaluated each second, and exporters of some clusters."""
    made = build(read_values(HERE / "values.yaml") | {"retired_clusters": retired})
    given = {name: yaml.safe_load(made[name]) for name in made if name in RULES}
    for group in (group for file in given.values() for group in file["groups"]):
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule |= {name: "1s" for name in ("for", "keep_firing_for") if name in rule}
    exporters = [
        {
            "record": "policyreport_exporter_build_info",
            "expr": "vector(1)",
            "labels": {"cluster": cluster, "job": "exporter", "instance": cluster},
        }
        for cluster in clusters
    ]
    group = {"name": "exporters", "interval": "1s", "rules": exporters}
    given["exporters.rules.yaml"] = {"groups": [group]}
    return {name: json.dumps(file) for name, file in given.items()}


def missed(prom: Prometheus) -> list[str]:
    return [
        alert.labels["cluster"]
        for alert in prom.alerts()
        if alert.labels["alertname"] == "PolicyExporterDown" and alert.state == "firing"
    ]


def test_an_alert_that_fires_ends_when_its_cluster_is_retired() -> None:
    """In a real Prometheus, by a reload of the rules; all times are shortened to a second."""

    def change(*clusters: str, retired: str) -> None:
        for name, text in quick(*clusters, retired=retired).items():
            (prom.process.cwd / name).write_text(text)
        prom.reload()

    config = "rule_files: ['*.rules.yaml']"
    with prometheus(config, files=quick("gone", "there", retired="-")) as prom:
        known = "count(cluster:policyreport_exporter_known:bool)"
        eventually(lambda: prom.value(known) == 2, what="both clusters are known")
        change("there", retired="-")
        eventually(lambda: missed(prom) == ["gone"], what="the cluster is missed")
        change("there", retired="other|gone")
        eventually(lambda: missed(prom) == [], what="the alert ends")
        assert prom.value(known) == 1
