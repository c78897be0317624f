"""Which alerts should fire, and what they say."""

from collections.abc import Mapping

import msgspec
import pytest

from exporter.alerting.alert import Alert, Labels
from exporter.alerting.desired import AlertDeriver
from exporter.alerting.settings import AlertingSettings
from tests.alerting.cluster import START, Cluster, failing


class Dropped(dict[str, int]):
    def __call__(self, reason: str, count: int) -> None:
        self[reason] = self.get(reason, 0) + count


def desired(
    cluster: Cluster, *, namespace_labels: tuple[str, ...] = (), **settings: object
) -> AlertDeriver:
    made = msgspec.convert(settings, AlertingSettings)
    return AlertDeriver(made, cluster.state, namespace_labels, Dropped())


def alerts(
    found: AlertDeriver, *, reports: bool = True, blocks_at: float | None = START
) -> list[Alert]:
    steps = found.steps(reports=reports, blocks_at=blocks_at)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: dict[Labels, Alert] = end.value
            assert all(labels == alert.labels for labels, alert in value.items())
            return list(value.values())


def only(found: AlertDeriver) -> Alert:
    (alert,) = alerts(found)
    return alert


def labels(alert: Alert) -> Mapping[str, str]:
    return dict(alert.labels)


def test_failures_of_one_rule_in_one_namespace_are_one_alert() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    cluster.policy("require-labels")
    cluster.report("web", failing(since=START - 60, message="no team"))
    cluster.report("api", failing(since=START - 3600, message="no team at all"))
    alert = only(wanted)
    assert labels(alert) == {
        "alertname": "PolicyViolation",
        "severity": "warning",
        "policy_severity": "high",
        "component": "policy",
        "owner": "team",
        "namespace": "team-a",
        "policy": "require-labels",
        "rule": "check-team",
    }
    assert alert.starts == START - 3600
    assert alert.annotations["resources"] == "Deployment/api, Deployment/web"
    assert alert.annotations["message"] == "no team at all"
    assert alert.annotations["summary"] == (
        "2 resources fail require-labels (check-team) in team-a."
    )
    assert "“Require labels”" in alert.annotations["description"]
    assert "2027-01-15 07:00 UTC" in alert.annotations["description"]
    assert "dashboard_url" not in alert.annotations


def test_what_differs_in_a_label_is_another_alert() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    cluster.report("a", failing(), failing(rule="other"), failing(severity="low"))
    cluster.report("a", failing(), namespace="team-b")
    cluster.report("a", failing("another"), namespace="")
    found = {tuple(map(labels(a).get, ("namespace", "rule", "severity"))) for a in alerts(wanted)}
    assert found == {
        ("team-a", "check-team", "warning"),
        ("team-a", "other", "warning"),
        ("team-a", "check-team", "info"),
        ("team-b", "check-team", "warning"),
        (None, "check-team", "warning"),
    }
    assert any("in the cluster scope" in a.annotations["summary"] for a in alerts(wanted))


@pytest.mark.parametrize("word", ["pass", "warn", "error", "skip"])
def test_only_failures_are_violations(word: str) -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    cluster.report("web", failing(result=word))
    assert not alerts(wanted)


def test_an_alert_ends_when_the_last_of_its_resources_is_mended() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    cluster.report("web", failing())
    cluster.report("api", failing())
    cluster.report("web", failing(result="pass"))
    assert only(wanted).annotations["resources"] == "Deployment/api"
    cluster.remove("api")
    assert not alerts(wanted)
    assert not wanted.violations.groups


def test_a_resource_that_fails_again_is_told_again() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    cluster.report("web", failing())
    assert alerts(wanted)
    cluster.remove("web")
    cluster.report("web", failing())
    assert alerts(wanted)


def test_a_new_message_is_told_though_nothing_else_changed() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    cluster.report("web", failing(message="old"))
    assert only(wanted).annotations["message"] == "old"
    cluster.report("web", failing(message="new"))
    assert only(wanted).annotations["message"] == "new"


def test_failures_that_stood_before_the_alerting_are_told() -> None:
    cluster = Cluster()
    cluster.report("web", failing())
    cluster.block("pod")
    assert len(alerts(desired(cluster))) == 2


def test_twenty_resources_are_named_and_the_others_counted() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    for number in range(2345):
        cluster.report(f"web-{number:04}", failing(since=START - number))
    alert = only(wanted)
    assert alert.annotations["resources"].startswith("Deployment/web-0000, Deployment/web-0001,")
    assert alert.annotations["resources"].endswith("Deployment/web-0019 and 2325 more")
    assert alert.starts == START - 2344


def test_changes_during_a_pause_are_not_lost() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    for number in range(2500):
        cluster.report(f"web-{number:04}", failing())
    steps = wanted.steps(reports=True, blocks_at=None)
    next(steps)
    for number in range(2500):
        cluster.remove(f"web-{number:04}")
    cluster.report("late", failing())
    for _ in steps:
        pass
    assert only(wanted).annotations["resources"] == "Deployment/late"
    cluster.remove("late")
    assert not alerts(wanted)
    assert not wanted.violations.groups


def test_what_ends_during_a_pause_is_forgotten() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    for number in range(2500):
        cluster.report(f"web-{number:04}", failing())
    steps = wanted.steps(reports=True, blocks_at=None)
    next(steps)
    for number in range(2500):
        cluster.remove(f"web-{number:04}")
    for _ in steps:
        pass
    assert not alerts(wanted)
    assert not wanted.violations.groups


def test_nothing_is_told_of_reports_that_are_not_complete() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    cluster.report("web", failing())
    cluster.block("pod")
    assert [a.origin for a in alerts(wanted, reports=False)] == ["events"]
    assert [a.origin for a in alerts(wanted, blocks_at=None)] == ["reports"]


def test_blocks_of_one_kind_by_one_rule_are_one_alert_for_a_while_after_the_last() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    cluster.policy("require-labels", mode="Enforce")
    cluster.block("web-1", ago=1000)
    cluster.block("web-2", ago=700)
    alert = only(wanted)
    assert labels(alert) == {
        "alertname": "PolicyBlocked",
        "severity": "info",
        "policy_severity": "high",
        "component": "enforcement",
        "owner": "team",
        "namespace": "team-a",
        "kind": "Pod",
        "policy": "require-labels",
        "rule": "check-team",
    }
    assert alert.starts == START - 1000
    assert alert.annotations["resources"] == "Pod/web-2, Pod/web-1"
    assert alert.annotations["message"] == "team is required"
    assert "blocked 2 requests in team-a" in alert.annotations["summary"]
    assert len(alerts(wanted, blocks_at=START + 199)) == 1
    assert not alerts(wanted, blocks_at=START + 201)


@pytest.mark.parametrize("order", [(2000, 100), (100, 2000)])
def test_blocks_that_are_far_apart_are_two_incidents(order: tuple[int, int]) -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    for ago in order:
        cluster.block(f"web-{ago}", ago=ago)
    alert = only(wanted)
    assert alert.starts == START - 100
    assert alert.annotations["resources"] == "Pod/web-100"


def test_a_block_that_is_listed_late_joins_what_seemed_over() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    cluster.block("first", ago=1700)
    assert not alerts(wanted)
    cluster.block("second", ago=850)
    assert only(wanted).starts == START - 1700


def test_the_order_in_which_events_are_listed_does_not_change_the_alert() -> None:
    times = [3000, 2200, 1400, 600, 0]
    found = []
    for order in (times, times[::-1], [600, 3000, 0, 1400, 2200]):
        cluster = Cluster()
        wanted = desired(cluster)
        for ago in order:
            cluster.block(f"web-{ago}", ago=ago)
        found.append(only(wanted))
    assert found[0].starts == START - 3000
    assert found[0] == found[1] == found[2]


def test_the_severity_of_a_block_is_the_policys_whichever_was_known_first() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    cluster.block("web")
    assert labels(only(wanted))["policy_severity"] == "none"
    cluster.policy("require-labels", mode="Enforce", severity="critical")
    assert labels(only(wanted))["severity"] == "warning"


def test_names_of_the_blocked_are_bounded() -> None:
    cluster = Cluster()
    wanted = desired(cluster)
    for number in range(30):
        cluster.block(f"web-{number}", ago=30 - number)
    named = only(wanted).annotations["resources"].split(", ")
    assert (len(named), named[0], named[-1]) == (20, "Pod/web-29", "Pod/web-10")


def test_groups_of_blocks_are_bounded_and_what_does_not_fit_is_counted() -> None:
    cluster = Cluster()
    dropped = Dropped()
    settings = AlertingSettings(max_alerts=5)
    wanted = AlertDeriver(settings, cluster.state, (), dropped)
    for number in range(60):
        cluster.block("web", policy=f"policy-{number}")
    assert len(wanted.blocks.groups) == 50
    assert dropped == {"limit": 10}
    alerts(wanted, blocks_at=START + 10_000)
    assert not wanted.blocks.groups


def test_above_the_maximum_the_most_severe_and_oldest_are_told_and_the_rest_is_folded() -> None:
    cluster = Cluster()
    wanted = desired(cluster, max_alerts=4)
    low = [failing(f"low-{n}", severity="low", since=START - n) for n in range(6)]
    cluster.report("web", *low)
    cluster.report("api", failing("bad", severity="critical"))
    found = alerts(wanted)
    told = [labels(a).get("policy") for a in found]
    assert told == ["bad", "low-5", "low-4", None]
    fold = found[-1]
    assert labels(fold)["alertname"] == "PolicyAlertsFolded"
    assert fold.annotations["summary"] == "4 further policy alerts are not sent individually."
    assert "4 low" in fold.annotations["description"]
    assert fold.starts == START - 3
    assert wanted.folded == 4


def test_the_most_severe_blocks_are_told_first() -> None:
    cluster = Cluster()
    wanted = desired(cluster, max_alerts=2)
    for policy, severity in (("a", "low"), ("b", "critical"), ("c", "low")):
        cluster.policy(policy, mode="Enforce", severity=severity)
        cluster.block("web", policy=policy)
    told, fold = alerts(wanted)
    assert labels(told)["policy"] == "b"
    assert "2 low" in fold.annotations["description"]


def test_what_is_told_stays_when_something_older_comes() -> None:
    cluster = Cluster()
    wanted = desired(cluster, max_alerts=3)
    cluster.report("web", failing("first", since=START - 60), failing("second", since=START - 50))
    before = {labels(a).get("policy") for a in alerts(wanted)}
    cluster.report("api", failing("older", since=START - 9000))
    after = {labels(a).get("policy") for a in alerts(wanted)}
    assert before == {"first", "second"}
    assert after == {"first", "second", None}


def test_the_labels_of_the_namespace_route_the_alert() -> None:
    cluster = Cluster(("team", "app.kubernetes.io/part-of"))
    wanted = desired(cluster, namespace_labels=("team", "app_kubernetes_io_part_of"))
    cluster.namespace("team-a", team="carts")
    cluster.report("web", failing())
    assert labels(only(wanted))["team"] == "carts"
    assert "app_kubernetes_io_part_of" not in labels(only(wanted))


def test_a_namespace_that_goes_first_does_not_change_the_identity() -> None:
    cluster = Cluster(("team",))
    wanted = desired(cluster, namespace_labels=("team",))
    cluster.namespace("team-a", team="carts")
    cluster.report("web", failing())
    before = only(wanted).labels
    cluster.remove_namespace("team-a")
    assert only(wanted).labels == before
    assert only(wanted).labels == before


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"severities": ["high"]}, {"p"}),
        ({"policies": {"exclude": ["p"]}}, {"q"}),
        ({"namespaces": {"include": ["team-b"]}}, {"q"}),
        ({"namespaces": {"exclude": ["team-*"]}}, set()),
        ({"modes": ["enforce"]}, {"q"}),
        ({"modes": ["audit", "enforce"]}, {"p", "q"}),
    ],
)
def test_filters_choose_what_is_told(filters: object, told: set[str]) -> None:
    cluster = Cluster()
    wanted = desired(cluster, filters=filters)
    cluster.policy("p")
    cluster.policy("q", mode="Enforce", severity="low")
    cluster.report("web", failing("p"))
    cluster.report("web", failing("q", severity="low"), namespace="team-b")
    assert {labels(alert)["policy"] for alert in alerts(wanted)} == told


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"severities": ["low"]}, 0),
        ({"policies": {"exclude": ["require-*"]}}, 0),
        ({"namespaces": {"exclude": ["team-a"]}}, 0),
        ({"modes": ["audit"]}, 1),
    ],
)
def test_filters_choose_blocks_too_but_by_mode(filters: object, told: int) -> None:
    cluster = Cluster()
    wanted = desired(cluster, filters=filters)
    cluster.policy("require-labels", mode="Enforce")
    cluster.block("web")
    assert len(alerts(wanted)) == told


def test_a_policy_of_unknown_mode_passes_the_filter_of_modes() -> None:
    cluster = Cluster()
    wanted = desired(cluster, filters={"modes": ["enforce"]})
    cluster.report("web", failing())
    assert alerts(wanted)


def test_each_half_can_be_switched_off() -> None:
    cluster = Cluster()
    no_violations = desired(cluster, violations={"enabled": False})
    no_blocks = desired(cluster, blocks={"enabled": False})
    cluster.report("web", failing())
    cluster.block("web")
    assert only(no_violations).origin == "events"
    assert only(no_blocks).origin == "reports"


def test_fewer_labels_make_fewer_alerts() -> None:
    cluster = Cluster()
    wanted = desired(cluster, violations={"group_by": ["policy"]})
    cluster.report("web", failing(), failing(rule="other"))
    cluster.report("api", failing(), namespace="team-b")
    alert = only(wanted)
    assert not {"namespace", "rule"} & set(labels(alert))
    assert alert.annotations["summary"] == "2 resources fail require-labels in the cluster."


def test_configured_labels_annotations_and_links_are_added() -> None:
    cluster = Cluster()
    wanted = desired(
        cluster,
        labels={"cluster": "prod", "owner": "platform"},
        annotations={"contact": "#policy"},
        grafana_url="https://grafana.example/",
        external_url="https://exporter.example",
        runbook_url="https://wiki.example/{alertname}.md",
        violations={"severities": {"high": "page"}},
    )
    cluster.report("web", failing("ns/p q"))
    alert = only(wanted)
    found = labels(alert)
    assert (found["cluster"], found["owner"], found["severity"]) == ("prod", "platform", "page")
    assert alert.annotations["contact"] == "#policy"
    assert alert.annotations["runbook_url"] == "https://wiki.example/PolicyViolation.md"
    assert alert.annotations["dashboard_url"] == (
        "https://grafana.example/d/policy-namespace?var-cluster=prod&var-namespace=team-a&var-policy=ns%2Fp+q"
    )
    assert alert.generator == "https://exporter.example"


def test_a_named_cluster_is_in_label_text_and_link() -> None:
    cluster = Cluster()
    wanted = desired(cluster, labels={"cluster": "east"}, grafana_url="https://grafana.example")
    cluster.report("web", failing())
    alert = only(wanted)
    assert labels(alert)["cluster"] == "east"
    assert "in team-a of cluster east" in alert.annotations["summary"]
    assert "var-cluster=east&var-namespace=team-a" in alert.annotations["dashboard_url"]
