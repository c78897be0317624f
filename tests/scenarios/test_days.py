"""Days in which nothing happens, clusters that are gone, and what kube-prometheus-stack hides."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios import rows
from tests.scenarios.judge import run
from tests.scenarios.lived import STACK, town
from tests.scenarios.people import mutes
from tests.tools import tool

pytestmark = [pytest.mark.tier("monitoring"), pytest.mark.slow]

DAY = 24 * rows.HOUR
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


def test_a_retired_cluster_is_not_missed(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("retired_clusters: other|down\n")
    build = [sys.executable, "-m", "alerts.build", "--values", str(values)]
    build += ["--output", str(tmp_path)]
    subprocess.run(build, check=True)
    clusters = [make(rows.VARIANTS["plain"]) for make in (rows.exporter_down, rows.block_burst)]
    for cluster in clusters:
        cluster.minutes = rows.AT + rows.HOUR
    fired, output = run(clusters, tool("promtool"), rules=tmp_path)
    assert "err: " not in output, output[:3000]
    late = [each.name for each in fired if each.end > rows.AT + rows.HOUR // 2]
    assert "PolicyExporterDown" not in late


def test_kube_prometheus_stack_hides_no_notice() -> None:
    """What its configuration mutes is of severity info, or InfoInhibitor itself."""
    muted = {target.labels["severity"] for target, _ in mutes(STACK, town("plain").fired)}
    assert muted <= {"info", "none"}


def test_each_notice_reaches_people_through_kube_prometheus_stack_within_minutes() -> None:
    lived = town("plain")
    loud = [each for each in lived.alerts() if each.end - each.start > 10]
    heard = lived.told(STACK)
    for alert in loud:
        times = [message.minute for message in heard if alert in message.firing]
        assert times, alert
        assert times[0] - alert.start <= 6, alert
