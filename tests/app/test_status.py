"""What the status page is told: pages of failures against a plain sort, figures that agree, ids."""

import asyncio
import random
import time
from itertools import product

import pytest

from exporter.model.report import Result
from exporter.state.failures import OpenFailure, standing
from exporter.view import failing as pages
from exporter.view.failing import failing, failing_page, order
from exporter.view.summary import blocked, by_severity, figures, total, unrenewed, worst
from exporter.view.values import (
    COUNT_CHOICES,
    DEFAULT_COUNT,
    OLD_SECONDS,
    SEVERITIES,
    Counts,
    FailingResult,
    Query,
    Unrenewed,
)
from exporter.web.page.panels import count_names
from grafana.dashboards.variables import COUNTS
from tests.alerting.cluster import Cluster
from tests.alerting.cluster import failing as failed
from tests.engines.reading import NOW, Object, watched

NAMESPACES = ("", "team-a", "team-b", "team-c")
POLICIES = ("probes", "labels", "images")
QUERIES = [
    Query(search, namespace, policy, severity, "", DEFAULT_COUNT, offset, limit)
    for search, namespace, policy, severity, (offset, limit) in product(
        ("", "WEB-1"),
        (None, "", "team-b"),
        ("", "labels"),
        ("", "low", "none"),
        ((0, 50), (3, 5), (40, 40), (10_000, 1)),
    )
]


def some_cluster(reports: int = 60, seed: int = 0) -> Cluster:
    """Write reports, some of them anew and some of them away again."""
    cluster, chance = Cluster(), random.Random(seed)
    for number in [*range(reports), *range(0, reports, 3)]:
        name, namespace = f"web-{number}", NAMESPACES[number % len(NAMESPACES)]
        results = [some_result(chance) for _ in range(chance.randrange(4))]
        cluster.report(name, *results, namespace=namespace)
        if chance.random() < 0.2:
            cluster.remove(name, namespace=namespace)
    return cluster


def some_result(chance: random.Random) -> Result:
    return failed(
        chance.choice(POLICIES),
        f"rule-{chance.randrange(99)}",
        severity=chance.choice(SEVERITIES),
        result=chance.choice(("pass", "fail", "fail", "error")),
    )


def rows(cluster: Cluster) -> list[FailingResult]:
    found = cluster.state.ledger.failures.places.values()
    return sorted((failing(s) for each in found for s in standing(each)), key=order)


def wanted(row: FailingResult, query: Query) -> bool:
    text = f"{row.namespace}\n{row.name}\n{row.policy}\n{row.rule}\n{row.message}".lower()
    return (
        query.severity in ("", row.severity)
        and query.policy in ("", row.policy)
        and query.namespace in (None, row.namespace)
        and query.search.lower() in text
    )


@pytest.mark.parametrize("slice_", [1, 7, pages.SLICE])
async def test_a_page_is_what_a_plain_sort_would_show(
    slice_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SLICE", slice_)
    cluster = some_cluster()
    for query in QUERIES:
        matching = [row for row in rows(cluster) if wanted(row, query)]
        page = await failing_page(cluster.state.ledger.failures, query)
        assert list(page.rows) == matching[query.offset : query.offset + query.limit], query
        assert page.matching == len(matching), query


@pytest.mark.parametrize("seed", range(5))
def test_the_buckets_hold_what_fails_and_nothing_else(seed: int) -> None:
    buckets = some_cluster(seed=seed).state.ledger.failures.buckets
    found = [
        (row.severity, row.namespace, row.kind, row.controlled)
        for row in rows(some_cluster(seed=seed))
    ]
    assert {bucket: found.count(bucket) for bucket in set(found)} == buckets.counts
    assert buckets.places.keys() == buckets.counts.keys()
    for bucket, places in buckets.places.items():
        assert sum(places.values()) == buckets.counts[bucket]


async def test_the_first_page_looks_only_where_it_shows_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster()
    for number in range(300):
        severity = "low" if number > 10 else "critical"
        cluster.report(f"web-{number}", failed(severity=severity))
    looked: list[str] = []

    def look(found: OpenFailure) -> FailingResult:
        looked.append(found.name)
        return failing(found)

    monkeypatch.setattr(pages, "failing", look)
    page = await failing_page(cluster.state.ledger.failures, Query(limit=5))
    assert page.matching == 300
    assert len(looked) == 11


async def test_changes_while_a_page_is_made_do_not_break_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "SLICE", 5)
    cluster = some_cluster()

    async def change() -> None:
        for number in range(60):
            namespace = NAMESPACES[number % len(NAMESPACES)]
            cluster.remove(f"web-{number}", namespace=namespace)
            await asyncio.sleep(0)

    changing = asyncio.create_task(change())
    page = await failing_page(cluster.state.ledger.failures, Query(search="web", limit=200))
    assert list(page.rows) == sorted(page.rows, key=order)
    await changing
    assert not (await failing_page(cluster.state.ledger.failures, Query())).rows


def test_what_could_not_be_judged_counts_as_failing_in_every_figure() -> None:
    cluster = Cluster()
    cluster.report("a", failed("p", severity="high"), failed("q", result="error"))
    cluster.report("b", *(failed("p", f"r{n}", result="error") for n in range(3)), namespace="bad")
    cluster.report("c", *(failed("p", f"r{n}", result="pass") for n in range(3)), namespace="good")
    ledger = cluster.state.ledger
    ledger.settle()
    assert [each.name for each in worst(ledger.sums.by_namespace, 3)] == ["bad", "team-a", "good"]
    chips = by_severity(cluster.state)
    assert sum(chips.values()) == total(ledger.sums.by_severity).failing == len(rows(cluster)) == 5


def test_policies_with_old_results_are_named_unless_none_of_theirs_is_ever_scanned() -> None:
    ages = {"gone": 40, "scanned": 0, "forgotten": 2, "admission-only": 90}
    results = [
        {"policy": name, "rule": "r", "result": "pass", "source": "kyverno"}
        | {"timestamp": {"seconds": NOW - 60 - days * 86_400, "nanos": 0}}
        for name, days in ages.items()
    ]
    policies: list[Object] = [
        {"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name}}
        | {"spec": {"background": name != "admission-only", "rules": []}}
        for name in ages
        if name != "gone"
    ]
    slow = {"policy": "cis", "rule": "r", "result": "pass", "source": "Kube Bench"}
    results.append(slow | {"timestamp": {"seconds": NOW - 7 * 86_400, "nanos": 0}})
    about = {"kind": "Pod", "name": "a", "namespace": "shop", "uid": "a"}
    report: Object = {
        "apiVersion": "wgpolicyk8s.io/v1alpha2",
        "kind": "PolicyReport",
        "scope": about,
    }
    report |= {"metadata": {"name": "a", "namespace": "shop"}, "results": results}
    assert unrenewed(
        watched([*policies, report], ("kyverno", "Kube Bench")), NOW - OLD_SECONDS
    ) == [
        Unrenewed("gone", "kyverno", NOW - 60 - 40 * 86_400),
        Unrenewed("forgotten", "kyverno", NOW - 60 - 2 * 86_400),
    ]


REPLICA_SET = "web-5d59d67564"


def test_owned_objects_do_not_count_unless_they_are_asked_for() -> None:
    cluster = Cluster()
    cluster.report("web", failed("p"), failed("q", result="pass"), kind="Deployment")
    cluster.report(REPLICA_SET, failed("p"), failed("q", result="error"), kind="ReplicaSet")
    cluster.state.ledger.settle()
    counted = figures(cluster.state, DEFAULT_COUNT, whole=True)
    assert counted.results == Counts(passed=1, fail=1)
    assert counted.results.compliance == 0.5
    everything = figures(cluster.state, "objects", whole=True)
    assert everything.results == Counts(passed=1, fail=2, error=1)
    assert everything.results.compliance == 0.25


async def test_a_list_has_the_objects_that_its_figures_count() -> None:
    cluster = Cluster()
    cluster.report("web", failed("p"), kind="Deployment")
    cluster.report(REPLICA_SET, failed("p"), kind="ReplicaSet")
    cluster.state.ledger.settle()
    failures = cluster.state.ledger.failures
    found = {q: await failing_page(failures, q) for q in (Query(), Query(count="objects"))}
    assert [[row.kind for row in page.rows] for page in found.values()] == [
        ["Deployment"],
        ["Deployment", "ReplicaSet"],
    ]
    named = await failing_page(failures, Query(kind="ReplicaSet"))
    assert [row.name for row in named.rows] == [REPLICA_SET]


def test_the_choices_of_what_counts_are_those_of_the_dashboards() -> None:
    names = count_names()
    assert [names[each] for each in COUNT_CHOICES] == list(COUNTS)


def test_the_figures_of_all_results_are_those_of_all_severities() -> None:
    ledger = some_cluster().state.ledger
    ledger.settle()
    assert total(ledger.sums.by_severity) == total(ledger.totals.results)


def test_ids_grow_by_arrival_even_when_an_older_block_comes_late() -> None:
    cluster = Cluster()
    heard: list[int] = []
    cluster.state.violation_events.recent.listeners.append(lambda block: heard.append(block.number))
    for ago in (60, 30, 600, 30):
        cluster.block(f"pod-{ago}", ago=ago)
    assert heard == sorted(set(heard))
    shown = [blocked(each) for each in cluster.state.violation_events.recent.blocks]
    assert [each.time for each in shown] == sorted(each.time for each in shown)
    assert {each.id for each in shown} == set(heard)


def test_ids_grow_over_a_restart_and_are_exact_in_javascript() -> None:
    last = 0
    for _ in range(2):
        cluster = Cluster(clock=time.time)
        for number in range(50):
            cluster.block(f"pod-{number}", ago=number)
        ids = [blocked(each).id for each in cluster.state.violation_events.recent.blocks]
        assert last < min(ids)
        last = max(ids)
    assert last < 2**53
