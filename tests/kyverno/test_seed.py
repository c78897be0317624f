"""The page that this project began with, from a real Kyverno, read through the exporter."""

from collections import Counter
from contextlib import suppress

import pytest

from tests.kyverno import seed
from tests.kyverno.seed import ROWS, Row
from tests.kyverno.series import EVENTS, FAILING, RESULTS, SUMMARY
from tests.kyverno.world import World

pytestmark = [pytest.mark.tier("kyverno"), pytest.mark.xdist_group("kyverno")]

WORDS = ("pass", "fail", "warn", "error", "skip")


@pytest.fixture(scope="module")
def shop(world: World) -> World:
    """The cluster once every report of the story is written."""
    with suppress(AssertionError):  # the first test says what is wrong with it
        world.until(lambda: seed.table(world) == sorted(ROWS), "the reports are the page's")
    world.recount("the seed page")
    return world


def test_the_tables_are_those_of_the_page(shop: World) -> None:
    assert seed.table(shop) == sorted(ROWS)


def sums(rows: list[Row]) -> Counter[tuple[str, str, str]]:
    """Add up the columns by namespace and kind."""
    found: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        for word, count in zip(WORDS, row[3:], strict=True):
            found[row.namespace, row.kind, word] += count
    return +found


def test_the_exporter_adds_up_the_columns_of_the_page(shop: World) -> None:
    shown = {
        (labels.get("namespace", ""), labels["kind"], labels["result"]): count
        for key, count in shop.exporter.scrape()[SUMMARY].items()
        if (labels := dict(key)).get("namespace") in {row.namespace for row in ROWS} and count
    }
    assert shown == dict(sums(ROWS))


def test_the_exporter_finds_the_owners_that_the_references_name(shop: World) -> None:
    referred = {
        (item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]): (
            item["metadata"].get("ownerReferences", [])
        )
        for item in seed.objects(shop)
    }

    def workload(kind: str, namespace: str, name: str) -> tuple[str, str]:
        for owner in referred[kind, namespace, name]:
            return workload(owner["kind"], namespace, owner["name"])
        return kind, name

    shown = {
        (row["kind"], row["namespace"], row["name"]): (row["workload_kind"], row["workload"])
        for key in shop.exporter.scrape()[FAILING]
        if (row := dict(key)).get("namespace") in {row.namespace for row in ROWS}
    }
    assert shown == {each: workload(*each) for each in shown}
    assert {row[:3] for row in ROWS if row.failed} == {(n, k, name) for k, n, name in shown}
    owned = {(row["namespace"], row["kind"], row["controlled"]) for row in summed(shop)}
    assert owned == {(n, k, str(bool(refs)).lower()) for (k, n, _), refs in referred.items()}


def summed(shop: World) -> list[dict[str, str]]:
    """Return the labels of the counts of the shop."""
    rows = [dict(key) for key, count in shop.exporter.scrape()[SUMMARY].items() if count]
    return [row for row in rows if row.get("namespace") in {row.namespace for row in ROWS}]


def test_one_pod_is_left_that_fails_and_it_is_named(shop: World) -> None:
    [(series, count)] = [
        (dict(key), count)
        for key, count in shop.exporter.scrape()[FAILING].items()
        if ("namespace", "default") in key
    ]
    assert count == 1
    assert (series["kind"], series["name"]) == ("Pod", "nginx")
    check = (series["policy"], series["rule"], series["result"])
    assert check == ("restrict-image-registries", "validate-registries", "fail")


@pytest.mark.parametrize(
    ("policy", "rule", "name"),
    [
        ("baseline-policy", "baseline", "privileged-pod"),
        ("restrict-image-registries", "validate-registries", "nginx-public"),
    ],
)
def test_each_of_the_two_blocked_pods_is_counted_and_named(
    shop: World, policy: str, rule: str, name: str
) -> None:
    blocked = {"namespace": "default", "kind": "Pod", "policy": policy, "rule": rule}
    assert shop.shown(EVENTS, outcome="blocked", **blocked) == 1
    assert shop.shown("policyviolation_recent_block_timestamp_seconds", name=name, **blocked)


def test_what_is_blocked_is_in_no_report(shop: World) -> None:
    assert seed.gone(shop)
    assert not shop.report("Pod", "default", "privileged-pod")
    assert shop.shown(RESULTS, namespace="default", kind="Pod", result="fail") == 1
