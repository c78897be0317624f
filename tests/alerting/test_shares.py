"""No namespace takes another's alerts, whatever is written into it."""

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.alerting.alert import Alert, Labels
from exporter.alerting.desired import AlertDeriver
from exporter.alerting.settings import AlertingSettings
from exporter.alerting.shares import Shares, StartRate
from exporter.alerting.table import AlertTable
from exporter.alerting.wording import FOLDED
from tests.alerting.cluster import START, Cluster, failing
from tests.alerting.test_desired import Dropped, alerts, labels

LIMIT = 13
TENANTS = ("team-a", "team-b")
EVIL = ("evil-1", "evil-2")
SHARE = (LIMIT - 1) // len(TENANTS + EVIL)

Written = tuple[str, str, str, int]
"""Namespace, policy, severity and age in seconds."""


def derived(cluster: Cluster, most: int = LIMIT) -> AlertDeriver:
    return AlertDeriver(AlertingSettings(max_alerts=most), cluster.state, (), Dropped())


def write(cluster: Cluster, what: Written) -> None:
    namespace, policy, severity, age = what
    result = failing(policy, severity=severity, since=START - age)
    cluster.report(f"{namespace}-{policy}-{severity}-{age}", result, namespace=namespace)


def of_tenants(found: list[Alert]) -> set[Labels]:
    return {alert.labels for alert in found if labels(alert).get("namespace") in TENANTS}


severities = st.sampled_from(["critical", "high", "medium", "low", "info"])
ages = st.integers(0, 10**8)
tenant_writes = st.lists(
    st.tuples(st.sampled_from(TENANTS), st.sampled_from("abc"), severities, ages),
    unique_by=lambda w: (w[0], w[1], w[2]),
    max_size=2 * SHARE,
).filter(lambda writes: max(Counter(w[0] for w in writes).values(), default=0) <= SHARE)
evil_writes = st.lists(
    st.tuples(st.sampled_from(EVIL), st.integers(0, 40).map(str), severities, ages), max_size=60
)


@settings(max_examples=200)
@given(tenant_writes, evil_writes, evil_writes)
def test_what_others_write_changes_nothing_for_those_within_their_share(
    mine: list[Written], before: list[Written], after: list[Written]
) -> None:
    alone, beside = Cluster(), Cluster()
    quiet, loud = derived(alone), derived(beside)
    for each in before:
        write(beside, each)
    alerts(loud)
    alerts(quiet)
    for each in mine:
        write(alone, each)
        write(beside, each)
    assert of_tenants(alerts(loud)) == of_tenants(alerts(quiet))
    for each in after:
        write(beside, each)
    assert of_tenants(alerts(loud)) == of_tenants(alerts(quiet))


def test_a_thousand_old_critical_failures_elsewhere_neither_resolve_nor_hide_alerts() -> None:
    cluster = Cluster()
    wanted = derived(cluster, 1000)
    for number in range(20):
        write(cluster, ("team-a", f"policy-{number}", "low", 60))
    before = of_tenants(alerts(wanted))
    for number in range(1000):
        write(cluster, ("evil", f"policy-{number}", "critical", 10**8))
    write(cluster, ("team-a", "new", "critical", 1))
    found = alerts(wanted)
    assert before < of_tenants(found)
    assert len(of_tenants(found)) == 21
    (folded,) = (alert for alert in found if labels(alert)["alertname"] == FOLDED)
    assert labels(folded)["severity"] == "warning"


def test_forged_events_take_no_group_from_another_namespace() -> None:
    cluster = Cluster()
    wanted = derived(cluster, 20)
    cluster.block("web", ago=60)
    for number in range(1000):
        cluster.block("pod", namespace="evil", policy=f"policy-{number}")
    cluster.block("api", policy="another")
    found = [alert for alert in alerts(wanted) if labels(alert)["alertname"] == "PolicyBlocked"]
    assert {labels(a)["policy"] for a in found if labels(a)["namespace"] == "team-a"} == {
        "require-labels",
        "another",
    }
    assert len(wanted.blocks.groups) == 200


def test_a_report_rewritten_at_every_look_starts_a_tenth_of_the_alerts_in_an_interval() -> None:
    cluster = Cluster()
    wanted = derived(cluster, 100)
    alerts(wanted)
    started = set[Labels]()
    for look in range(4):
        cluster.report("web", *[failing(f"p-{look}-{n}") for n in range(90)], namespace="evil")
        write(cluster, ("team-a", f"policy-{look}", "low", 1))
        found = alerts(wanted)
        started |= {a.labels for a in found if labels(a).get("namespace") == "evil"}
        assert len(of_tenants(found)) == look + 1
    # A full share at once, and a quarter of one with each of the three looks that followed.
    assert 10 <= len(started) <= 10 + 3 * 3


def test_what_the_first_look_finds_is_all_sent_at_once() -> None:
    cluster = Cluster()
    wanted = derived(cluster, 100)
    for number in range(90):
        write(cluster, ("team-a", f"policy-{number}", "low", 60))
    assert len(of_tenants(alerts(wanted))) == 90


def test_resolutions_are_kept_by_namespace() -> None:
    dropped = Dropped()
    table = AlertTable(AlertingSettings(max_alerts=10, resolve_delay=0), dropped)

    def alert(namespace: str, number: int) -> Alert:
        values: Mapping[str, str] = {"namespace": namespace, "policy": str(number)}
        return Alert(tuple(sorted(values.items())), {}, START, "reports")

    mine = [alert("team-a", n) for n in range(3)]
    flood = [alert("evil", n) for n in range(500)]
    table.update({a.labels: a for a in mine}, lambda _: True, 0.0, START)
    table.update({}, lambda _: True, 1.0, START)
    table.update({a.labels: a for a in flood}, lambda _: True, 2.0, START)
    table.update({}, lambda _: True, 3.0, START)
    kept = Counter(dict(labels)["namespace"] for labels in table.entries)
    assert kept == {"team-a": 3, "evil": 7}
    assert dropped == {"resolved": 493}


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("aaaaab", "aaab"),
        ("aaabbb", "aabb"),
        ("abcdef", "abcd"),
        ("ab", "ab"),
        ("", ""),
    ],
)
def test_every_namespace_gets_its_nth_before_any_gets_one_more(offered: str, chosen: str) -> None:
    shares = Shares[str](4)
    for namespace in offered:
        shares.offer(namespace, namespace)
    kept, left = shares.split()
    assert sorted(kept) == list(chosen)
    assert len(kept) + len(left) <= len(offered)


def test_a_namespace_may_start_again_what_it_used_up_before() -> None:
    rate = StartRate(2, 0.5)
    assert [rate.admits("a") for _ in range(3)] == [True, True, False]
    assert rate.admits("b")
    rate.look()
    assert not rate.admits("a")
    rate.look()
    assert rate.admits("a")
