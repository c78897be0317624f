"""A workload that fails one rule is one on every surface, however many copies of it fail, too."""

import json

import pytest

from exporter.alerting.desired import AlertDeriver
from exporter.alerting.settings import AlertingSettings
from exporter.metrics.exposition import Exposition, ExposureSettings, render
from exporter.model.changes import Applied, Scope
from exporter.model.ownership import SUFFIX_LETTERS
from exporter.model.resource import OWNED_RESOURCES, POLICY_REPORTS
from exporter.simulator.sample import sample
from exporter.simulator.store import Object, Store
from exporter.snapshot.figures import by_workload
from exporter.state.failures import standing
from exporter.view.failing import failing, failing_page
from exporter.view.summary import figures
from exporter.view.values import DEFAULT_COUNT, Query
from exporter.wire.codec import codec_for
from tests.alerting.cluster import START, Cluster
from tests.alerting.cluster import failing as failed
from tests.alerting.test_desired import alerts
from tests.app.running import Samples, parse, total
from tests.engines.reading import watched
from tests.engines.test_kyverno import FOLDER as KYVERNO
from tests.simulator.test_sample import PAGE

EVERYTHING = ExposureSettings(birth_hold=0)
FAILING = "policyreport_failing_workloads"
REPLICA_SETS = ("web-5d59d67564", "web-757dbcfcf7", "web-995f7768c")
PODS = 50


def crowd() -> Cluster:
    """A Deployment, its ReplicaSets and Pods, the copies first: all of them fail one rule."""
    cluster = Cluster()
    for number in range(PODS):
        suffix = "xxx" + SUFFIX_LETTERS[number // 27] + SUFFIX_LETTERS[number % 27]
        cluster.report(f"{REPLICA_SETS[0]}-{suffix}", failed(), kind="Pod")
    for name in REPLICA_SETS:
        cluster.report(name, failed(), kind="ReplicaSet")
    cluster.report("web", failed(), kind="Deployment")
    return cluster


def scraped(exposition: Exposition) -> Samples:
    shots = exposition.take(START, lambda _: True)
    return parse(b"".join(render(shots, openmetrics=False)).decode())


def sums(cluster: Cluster, family: str, **wanted: str) -> float:
    """Add up the series of a family that have these labels, as a query does."""
    samples = scraped(Exposition(cluster.state, EVERYTHING))
    return total(samples, family, **wanted) or 0


def test_it_is_one_failing_workload_in_the_metrics() -> None:
    cluster = crowd()
    assert sums(cluster, "policyreport_failing_workloads") == 1
    results = "policyreport_results"
    assert sums(cluster, results, controlled="false", result="fail") == 1
    assert sums(cluster, results, result="fail") == PODS + len(REPLICA_SETS) + 1
    resources = "policyreport_resources"
    assert sums(cluster, resources, controlled="false", status="fail") == 1
    by_name = {"workload_kind": "Deployment", "workload": "web"}
    assert sums(cluster, "policyreport_resource_results", **by_name) == PODS + 4


async def test_it_is_one_failing_check_of_one_resource_on_the_page_and_in_the_api() -> None:
    cluster = crowd()
    cluster.state.ledger.settle()
    found = figures(cluster.state, DEFAULT_COUNT, whole=True)
    assert (found.results.fail, found.resources.failing) == (1, 1)
    page = await failing_page(cluster.state.ledger.failures, Query())
    assert [(row.kind, row.name) for row in page.rows] == [("Deployment", "web")]
    assert page.matching == 1


def test_it_is_one_line_of_a_snapshot_by_workload() -> None:
    ledger = crowd().state.ledger
    ledger.settle()
    rows = [failing(one) for each in ledger.failures.places.values() for one in standing(each)]
    (line,) = by_workload(rows)
    assert (line.result.kind, line.result.name) == ("Deployment", "web")


def test_it_is_one_line_of_a_pushed_alert_even_before_a_scrape() -> None:
    cluster = crowd()
    push = AlertDeriver(AlertingSettings(), cluster.state, (), lambda *_: None)
    (alert,) = alerts(push)
    assert alert.annotations["resources"] == "Deployment/web"
    assert alert.annotations["summary"].startswith("1 resource fails")


def test_without_its_deployment_each_replica_set_is_a_workload() -> None:
    cluster = crowd()
    cluster.state.ledger.settle()
    cluster.remove("web")
    assert sums(cluster, "policyreport_failing_workloads", workload_kind="ReplicaSet") == 3
    assert sums(cluster, "policyreport_failing_workloads") == 3


@pytest.mark.parametrize(
    ("kind", "name"),
    [("Pod", "web-5d59d67564-x7k2p"), ("Pod", "my-x7k2p"), ("ReplicaSet", "web-5d59d67564")],
)
@pytest.mark.parametrize("word", ["pass", "fail"])
def test_a_copy_whose_owner_has_no_report_is_its_own_workload(
    kind: str, name: str, word: str
) -> None:
    cluster = Cluster()
    cluster.report(name, failed(result=word), kind=kind)
    assert sums(cluster, "policyreport_results", controlled="false", result=word) == 1
    assert sums(cluster, "policyreport_resources", controlled="true") == 0


def test_without_controlled_objects_the_other_series_are_as_before() -> None:
    chosen = {
        series: value
        for series, value in scraped(Exposition(crowd().state, EVERYTHING)).items()
        if dict(series.labels).get("controlled") != "true"
    }
    mine = scraped(Exposition(crowd().state, EVERYTHING._replace(controlled=False)))
    assert mine == chosen
    assert total(mine, "policyreport_results", result="fail") == 1
    assert total(mine, FAILING) == 1


def test_without_the_label_they_are_left_out_just_so() -> None:
    settings = EVERYTHING._replace(controlled=False, drop=frozenset({"controlled"}))
    samples = scraped(Exposition(crowd().state, settings))
    assert total(samples, "policyreport_results", result="fail") == 1


def test_copies_have_series_until_their_owner_is_known_and_once_it_is_gone() -> None:
    cluster = Cluster()
    exposition = Exposition(cluster.state, EVERYTHING._replace(controlled=False))

    def counted() -> list[float | None]:
        samples = scraped(exposition)
        families = (
            "policyreport_results",
            "policyreport_resources",
            "policyreport_resource_results",
        )
        return [*(total(samples, each) for each in families), total(samples, FAILING)]

    for letter in "bcd":
        cluster.report(f"{REPLICA_SETS[0]}-bcdf{letter}", failed(), kind="Pod")
    assert counted() == [3, 3, 3, 3]
    cluster.report("web", failed())
    assert counted() == [1, 1, 1, 1]
    cluster.remove("web")
    assert counted() == [3, 3, 3, 3]


PAGE_WORKLOADS = {
    "carts-757dbcfcf7": "Deployment/carts",
    "carts-757dbcfcf7-sgpqv": "Deployment/carts",
    "carts-7dfbb5d849": "Deployment/carts",
    "carts-68d496fff8": "Deployment/carts",
    "carts-dynamodb-995f7768c": "Deployment/carts-dynamodb",
    "carts-dynamodb-995f7768c-kl4s6": "Deployment/carts-dynamodb",
    "catalog-5fdcc8c65": "Deployment/catalog",
    "catalog-5fdcc8c65-qn5tx": "Deployment/catalog",
    "catalog-mysql-0": "StatefulSet/catalog-mysql",
    "checkout-5b885fb57c": "Deployment/checkout",
    "checkout-5b885fb57c-cnlkx": "Deployment/checkout",
    "checkout-redis-69cb79ff4d": "Deployment/checkout-redis",
    "checkout-redis-69cb79ff4d-hdj5r": "Deployment/checkout-redis",
    "nginx": "Pod/nginx",
    "nginx-ecr": "Pod/nginx-ecr",
}


def test_every_pod_and_replica_set_of_the_workshop_finds_its_workload() -> None:
    cluster, copies = Cluster(), set()
    for line in PAGE.strip().splitlines():
        namespace, _, kind, name, *_ = line.split()
        cluster.report(name, failed(), kind=kind, namespace=namespace)
        copies |= {name} if kind in ("Pod", "ReplicaSet") else set()
    samples = scraped(Exposition(cluster.state, EVERYTHING))
    found = {
        series.label("name"): f"{series.label('workload_kind')}/{series.label('workload')}"
        for series in samples
        if series.name == "policyreport_resource_results" and series.label("name") in copies
    }
    assert found == PAGE_WORKLOADS


def top(objects: dict[str, Object], data: Object) -> tuple[str, str]:
    """Follow the references to controllers."""
    for owner in data["metadata"].get("ownerReferences", ()):
        above = objects.get(owner["uid"])
        return top(objects, above) if above else (owner["kind"], owner["name"])
    return data["kind"], data["metadata"]["name"]


def test_every_pod_and_replica_set_of_the_demo_finds_what_its_owner_references_lead_to() -> None:
    store, state = Store(lambda: START), Cluster().state
    sample(store)
    for stored in store.all(POLICY_REPORTS.name):
        report = codec_for(POLICY_REPORTS).one(stored.raw)
        state.apply(Applied(Scope(POLICY_REPORTS), report))
    state.ledger.settle()
    copies = [each.data for r in OWNED_RESOURCES for each in store.all(r.name)]
    objects = {each["metadata"]["uid"]: each for each in copies}
    wanted, found = {}, {}
    for each in copies:
        where = (each["metadata"]["namespace"], each["kind"], each["metadata"]["name"])
        wanted[where] = top(objects, each)
        found[where] = state.ledger.workload_of(*where, each["metadata"]["uid"])
    assert found == wanted
    assert sum(owner != where[1:] for where, owner in wanted.items()) > 30


def test_no_resource_of_a_real_kyverno_is_taken_for_the_copy_of_another() -> None:
    """They are unrelated: the Pod agent-2 is of no StatefulSet."""
    ledger = watched(
        [json.loads(path.read_text()) for path in KYVERNO.glob("*report*.json")]
    ).ledger
    found = [one for each in ledger.failures.places.values() for one in standing(each)]
    assert len(found) >= 5
    assert all(one.workload == (one.kind, one.name) for one in found)
    assert {row[2] for row in ledger.totals.resources} == {"false"}
