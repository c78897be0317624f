"""The sample cluster is the workshop's, number by number."""

from collections import Counter

import pytest

from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.simulator import tables
from exporter.simulator.registry import Registry
from exporter.simulator.sample import sample
from exporter.simulator.store import Store
from exporter.simulator.views import data_as
from exporter.simulator.world import World

PAGE = """
carts         14b206ec-f98c-4f5a-98b8-08613b2bba3c   ReplicaSet    carts-757dbcfcf7                                 3      0      0      0       0      11m
carts         16f00a47-fe76-46e7-be02-3ec4bb16231e   ReplicaSet    carts-7dfbb5d849                                 3      0      0      0       0      179m
carts         50358693-2468-4b73-8873-c6239b90876c   Deployment    carts-dynamodb                                   1      2      0      0       0      179m
carts         60f7683d-3de7-40c8-8291-6dce06d2900e   Pod           carts-dynamodb-995f7768c-kl4s6                   1      2      0      0       0      179m
carts         6e48edbf-dd0d-478e-a52d-aed182785c24   Pod           carts-757dbcfcf7-sgpqv                           3      0      0      0       0      12m
carts         b0356ab5-e6a5-4326-a931-0e8d1a9f7f94   Deployment    carts                                            3      0      0      0       1      179m
carts         c914951d-21af-475d-a8f4-a0780a9d71c2   ReplicaSet    carts-dynamodb-995f7768c                         1      2      0      0       0      179m
carts         c9ee5eed-ecd0-47a5-9930-b4185757db02   ReplicaSet    carts-68d496fff8                                 2      1      0      0       0      179m
catalog       7584031d-b299-4ae6-8520-16b6b2df479f   StatefulSet   catalog-mysql                                    2      1      0      0       0      179m
catalog       8bae7be3-6452-4f2f-9d85-cf6cc3362d24   ReplicaSet    catalog-5fdcc8c65                                2      1      0      0       0      179m
catalog       93b327e5-9ce7-442c-831b-5816db78bb33   Pod           catalog-5fdcc8c65-qn5tx                          2      1      0      0       0      179m
catalog       b9de1775-064e-4d1c-b393-b5f88b0200b6   Pod           catalog-mysql-0                                  2      1      0      0       0      179m
catalog       d6c40501-8f34-4398-97a6-27ab1050ef93   Deployment    catalog                                          2      1      0      0       0      179m
checkout      11f1bb14-11b2-4f50-9da0-fde2375f66c9   ReplicaSet    checkout-redis-69cb79ff4d                        2      1      0      0       0      179m
checkout      3f896219-057e-40c0-bf99-c6ad4a57350b   Deployment    checkout                                         2      1      0      0       0      179m
checkout      3fefabc9-d971-4ea6-9045-688f825ed232   Pod           checkout-5b885fb57c-cnlkx                        2      1      0      0       0      179m
checkout      4df6b9d4-b87f-4a83-bbc3-985227280d2a   Deployment    checkout-redis                                   2      1      0      0       0      179m
checkout      b7e33f5a-8afa-4c32-98fb-aed787944a8e   ReplicaSet    checkout-5b885fb57c                              2      1      0      0       0      179m
checkout      da8392bf-5e4c-463e-98c3-20675b5aecd2   Pod           checkout-redis-69cb79ff4d-hdj5r                  2      1      0      0       0      179m
default       7c37b6cb-08e6-4ad3-adb3-df5f52bfb767   Pod           nginx-ecr                                        4      0      0      0       0      27s
default       ea02cd57-8684-43ad-8e8f-c0140beeec2b   Pod           nginx                                            3      1      0      0       0      2m29s
"""  # noqa: E501 - the page's own lines

EVENTS_SEEN = """
4m29s       Warning   PolicyViolation   clusterpolicy/baseline-policy             Pod default/privileged-pod: [baseline] fail (blocked); Validation rule 'baseline' failed. It violates PodSecurity "baseline:latest": (Forbidden reason: privileged, field error list: [spec.containers[0].securityContext.privileged is forbidden, forbidden values found: true])
82s         Warning   PolicyViolation   clusterpolicy/restrict-image-registries   Pod default/nginx-public: [validate-registries] fail (blocked); validation error: Unknown Image registry. rule validate-registries failed at path /spec/containers/0/image/
"""  # noqa: E501

pytestmark = pytest.mark.usefixtures("world")


def printed(store: Store, group: str, version: str, plural: str) -> list[list[str]]:
    """Every object as the columns that kubectl shows without -o wide, the namespace first."""
    served = Registry().find(group, version, plural)
    assert served
    wide = [column["priority"] == 0 for column in tables.definitions(served)]
    keys, objects = store.snapshot(served.storage)[1:]
    rows = []
    for stored in [objects[key] for key in keys]:
        cells = tables.cells(data_as(stored, served), served, store.clock())
        shown = [str(cell) for cell, kept in zip(cells, wide, strict=True) if kept]
        rows.append([stored.namespace, *shown])
    return rows


def test_the_workshops_namespaces_print_exactly_the_pages_table(store: Store) -> None:
    workshop = {"carts", "catalog", "checkout", "default"}
    rows = [row for row in printed(store, *POLICY_REPORTS[:3]) if row[0] in workshop]
    assert rows == [line.split() for line in PAGE.strip().splitlines()]


def test_the_blocked_requests_print_exactly_the_pages_events(store: Store) -> None:
    rows = [row[1:] for row in printed(store, "", "v1", "events")]
    assert [" ".join(row) for row in rows] == [
        " ".join(line.split()) for line in EVENTS_SEEN.strip().splitlines()
    ]


def test_every_summary_counts_its_results(store: Store) -> None:
    for stored in store.all(POLICY_REPORTS.name):
        results = Counter(each["result"] for each in stored.data["results"])
        summary = {key: count for key, count in stored.data["summary"].items() if count}
        assert summary == dict(results)


def test_all_five_results_and_all_severities_occur(store: Store) -> None:
    found = [each for stored in store.all(POLICY_REPORTS.name) for each in stored.data["results"]]
    assert {each["result"] for each in found} == {"pass", "fail", "warn", "error", "skip"}
    severities = {each.get("severity") for each in found}
    assert severities == {"critical", "high", "medium", "low", "info", None}


def test_the_truth_knows_the_two_blocked_requests(world: World, store: Store) -> None:
    assert sum(world.blocked.values()) == len(store.all(EVENTS.name)) == 2
    assert sorted((v.namespace, v.kind, v.policy, v.rule) for v in world.blocked) == [
        ("default", "Pod", "baseline-policy", "baseline"),
        ("default", "Pod", "restrict-image-registries", "validate-registries"),
    ]


def test_the_same_seed_makes_the_same_cluster(store: Store, world: World) -> None:
    again = Store(store.clock)
    sample(again)
    raw = [each.raw for each in store.all(POLICY_REPORTS.name)]
    assert raw == [each.raw for each in again.all(POLICY_REPORTS.name)]
