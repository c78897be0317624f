"""Workloads from metadata: exact whatever the names, in any order of reports and metadata."""

import tracemalloc
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.changes import Applied, Deleted, Init, InitDone, Scope
from exporter.model.metadata import Metadata, OwnedMetadata, OwnedObject, OwnerReference
from exporter.model.ownership import Workload
from exporter.model.report import Reference, Report, Result
from exporter.model.resource import JOBS, OWNED_RESOURCES, PODS, POLICY_REPORTS, REPLICA_SETS
from exporter.state.cluster import ClusterState
from exporter.state.failures import standing
from exporter.state.selection import Filters, Globs, Selection

NAMESPACE = "team-a"
SCOPES = {resource.kind: Scope(resource) for resource in OWNED_RESOURCES}
REPORTS = Scope(POLICY_REPORTS)
HASH = "5d59d67564"


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


class Thing(NamedTuple):
    """An object of the cluster; ``owner`` is its controller."""

    uid: str
    kind: str
    name: str
    owner: "Thing | None" = None

    @property
    def chain(self) -> list["Thing"]:
        """Its owners, the nearest first."""
        return [] if self.owner is None else [self.owner, *self.owner.chain]


class Shown(NamedTuple):
    """What is shown of an object that fails."""

    controlled: str
    workload: Workload


class Town:
    """A state that follows metadata, and what it shows."""

    def __init__(self, selection: Selection | None = None) -> None:
        selection = selection or Selection()
        self.state = ClusterState(selection, lambda: 1_800_000_000.0, metadata=True)

    def report(self, *things: Thing, word: str = "fail", namespace: str = NAMESPACE) -> None:
        for thing in things:
            about = Reference(thing.kind, thing.name, namespace, thing.uid)
            result = Result("p", "r", word, "high", "", "kyverno")
            report = Report.of(Metadata(thing.uid, namespace), about, None, [result])
            self.state.apply(Applied(REPORTS, report))

    def scattered(self, name: str, *things: Thing) -> None:
        """Write a report whose results name resources, as other engines do."""
        results = [
            Result(
                "p", "r", "fail", "high", "", "kyverno",
                resources=[Reference(each.kind, each.name, NAMESPACE, each.uid)],
            )
            for each in things
        ]  # fmt: skip
        report = Report.of(Metadata(name, NAMESPACE), None, None, results)
        self.state.apply(Applied(REPORTS, report))

    def forget(self, *things: Thing) -> None:
        """Delete reports."""
        for thing in things:
            self.state.apply(Deleted(REPORTS, Report(Metadata(thing.uid, NAMESPACE))))

    def tell(self, *things: Thing, namespace: str = NAMESPACE) -> None:
        """Bring metadata."""
        for thing in things:
            self.state.apply(Applied(SCOPES[thing.kind], metadata(thing, namespace)))

    def drop(self, *things: Thing) -> None:
        """Delete objects."""
        for thing in things:
            self.state.apply(Deleted(SCOPES[thing.kind], metadata(thing)))

    def relist(self, kind: str, things: Iterable[Thing]) -> None:
        self.state.apply(Init(SCOPES[kind]))
        self.tell(*things)
        self.state.apply(InitDone(SCOPES[kind]))

    def shown(self) -> dict[tuple[str, str], Shown]:
        """Settle; give what is shown of what fails by kind and name."""
        self.state.ledger.settle()
        return {
            (one.kind, one.name): Shown(one.controlled, one.workload)
            for contribution in self.state.ledger.failures.places.values()
            for one in standing(contribution)
        }

    def controlled(self, kind: str) -> dict[str, int]:
        """Settle; count the resources of a kind by the label controlled."""
        self.state.ledger.settle()
        rows = self.state.ledger.totals.resources
        return {row[2]: sum(counts) for row, counts in rows.items() if row[1] == kind}


def metadata(thing: Thing, namespace: str = NAMESPACE) -> OwnedObject:
    owners = []
    if thing.owner is not None:
        owners = [
            OwnerReference("Backup", "no-controller", uuid(999)),
            OwnerReference(thing.owner.kind, thing.owner.name, thing.owner.uid, controller=True),
        ]
    return OwnedObject(OwnedMetadata(thing.name, namespace, "1", thing.uid, owners))


ROLLOUT = Thing(uuid(1), "Rollout", "shop")
OF_ROLLOUT = Thing(uuid(2), "ReplicaSet", "shop-blue", ROLLOUT)
POD = Thing(uuid(3), "Pod", "anything", OF_ROLLOUT)
DATABASE = Thing(uuid(4), "Cluster", "db")
REPLICA = Thing(uuid(5), "Pod", "db-1", DATABASE)
CRON = Thing(uuid(6), "CronJob", "backup")
JOB = Thing(uuid(7), "Job", "by-hand", CRON)
OF_JOB = Thing(uuid(8), "Pod", "worker", JOB)
WEB = Thing(uuid(9), "Deployment", "web")
OF_WEB = Thing(uuid(10), "ReplicaSet", f"web-{HASH}", WEB)
COPY = Thing(uuid(11), "Pod", f"web-{HASH}-bcdfg", OF_WEB)
BARE = Thing(uuid(12), "Pod", f"web-{HASH}-zzzzz")
ALL = (ROLLOUT, OF_ROLLOUT, POD, DATABASE, REPLICA, CRON, JOB, OF_JOB, WEB, OF_WEB, COPY, BARE)
TOLD = [each for each in ALL if each.kind in SCOPES]
TOPS: dict[Thing, Workload] = {
    **dict.fromkeys(ALL[:3], ("Rollout", "shop")),
    **dict.fromkeys(ALL[3:5], ("Cluster", "db")),
    **dict.fromkeys(ALL[5:8], ("CronJob", "backup")),
    **dict.fromkeys(ALL[8:11], ("Deployment", "web")),
    BARE: ("Pod", BARE.name),
}


def test_names_do_not_matter_and_neither_does_the_kind_of_the_controller() -> None:
    town = Town()
    town.report(*ALL)
    town.tell(*TOLD)
    found = town.shown()
    assert {each: found[each.kind, each.name].workload for each in ALL} == TOPS
    owned = {each for each in ALL if found[each.kind, each.name].controlled == "true"}
    assert owned == {each for each in ALL if each.owner is not None}
    assert sorted(town.state.ledger.failures.workloads.rows) == [
        (NAMESPACE, kind, "p", "fail", "high", "kyverno")
        for kind in ("Cluster", "CronJob", "Deployment", "Pod", "Rollout")
    ]


def test_an_owner_without_a_report_is_the_workload_but_hides_no_copy() -> None:
    town = Town()
    town.tell(*TOLD)
    town.report(OF_ROLLOUT, POD, REPLICA)
    top = ("Rollout", "shop")
    assert town.shown() == {
        ("ReplicaSet", "shop-blue"): Shown("false", top),
        ("Pod", "anything"): Shown("true", top),
        ("Pod", "db-1"): Shown("false", ("Cluster", "db")),
    }
    town.report(ROLLOUT)
    assert town.shown()["ReplicaSet", "shop-blue"].controlled == "true"
    town.forget(ROLLOUT, OF_ROLLOUT)
    assert town.shown()["Pod", "anything"] == Shown("false", top)


def test_a_pod_that_is_named_like_a_copy_and_has_no_controller_is_its_own_workload() -> None:
    town = Town()
    town.report(WEB, BARE)
    assert town.shown()["Pod", BARE.name] == Shown("true", ("Deployment", "web"))
    town.tell(BARE)
    assert town.shown()["Pod", BARE.name] == Shown("false", ("Pod", BARE.name))


def test_a_static_pod_is_its_own_workload() -> None:
    static = Thing(uuid(20), "Pod", "etcd-a", Thing(uuid(21), "Node", "a"))
    town = Town()
    town.report(static)
    town.tell(static)
    assert town.shown()["Pod", "etcd-a"] == Shown("false", ("Pod", "etcd-a"))


def test_what_is_not_known_is_found_by_its_name() -> None:
    unknown = Thing(uuid(20), "Pod", f"web-{HASH}-wwwww", OF_WEB)
    town = Town()
    town.report(COPY, unknown)
    town.tell(COPY)
    assert town.shown()["Pod", unknown.name] == Shown("false", ("Pod", unknown.name))
    town.report(WEB)
    found = town.shown()
    assert found["Pod", unknown.name] == Shown("true", ("Deployment", "web"))
    assert found["Pod", COPY.name] == Shown("true", ("Deployment", "web"))


def test_an_object_that_is_adopted_or_released_moves() -> None:
    town = Town()
    town.report(*ALL)
    town.tell(*TOLD)
    town.shown()
    town.tell(OF_ROLLOUT._replace(owner=None))
    assert town.shown()["Pod", "anything"].workload == ("ReplicaSet", "shop-blue")
    town.tell(OF_ROLLOUT._replace(owner=DATABASE))
    assert town.shown()["Pod", "anything"].workload == ("Cluster", "db")


def test_owners_in_a_circle_end() -> None:
    one = Thing(uuid(20), "Job", "one")
    two = Thing(uuid(21), "Job", "two", one)
    town = Town()
    town.report(one, two)
    town.tell(two, one._replace(owner=two))
    assert {each.controlled for each in town.shown().values()} == {"true"}


def test_results_that_name_resources_are_of_the_same_workloads() -> None:
    town = Town()
    town.scattered("scan", POD, REPLICA, JOB)
    found = town.shown()
    assert found["Pod", "anything"].workload == ("Pod", "anything")
    town.tell(*TOLD)
    found = town.shown()
    assert found["Pod", "anything"] == Shown("false", ("Rollout", "shop"))
    assert found["Job", "by-hand"] == Shown("false", ("CronJob", "backup"))
    town.scattered("other", OF_ROLLOUT, CRON)
    found = town.shown()
    assert found["Pod", "anything"] == Shown("true", ("Rollout", "shop"))
    assert found["Job", "by-hand"] == Shown("true", ("CronJob", "backup"))


def test_a_report_that_fails_only_now_has_the_workload_that_it_had() -> None:
    town = Town()
    town.tell(*TOLD)
    town.report(REPLICA, word="pass")
    assert town.controlled("Pod") == {"false": 1}
    town.report(REPLICA)
    assert town.shown()["Pod", "db-1"] == Shown("false", ("Cluster", "db"))


def test_what_is_gone_leaves_nothing_behind() -> None:
    town = Town()
    town.tell(*TOLD)
    town.relist("Pod", [POD])
    town.drop(POD, OF_ROLLOUT, JOB, OF_WEB)
    owners = town.state.ledger.owners
    assert owners is not None
    assert [owners.count(kind) for kind in SCOPES] == [0, 0, 0]
    kept = owners._controllers
    assert not kept._shared
    assert not any(each.held or each.unlisted for each in kept._objects.values())


def test_a_list_that_breaks_off_forgets_nothing() -> None:
    town = Town()
    town.tell(*TOLD)
    town.state.apply(Init(SCOPES["Pod"]))
    town.tell(REPLICA)
    town.report(*ALL)
    assert town.shown()["Pod", "anything"].workload == ("Rollout", "shop")
    town.relist("Pod", [REPLICA])
    assert town.state.objects()[PODS.name] == 1


def test_only_chosen_namespaces_are_kept() -> None:
    town = Town(Selection(Filters(namespaces=Globs((NAMESPACE,)))))
    town.tell(*TOLD)
    town.tell(*TOLD, namespace="other")
    counts = town.state.objects()
    assert [counts[r.name] for r in (PODS, REPLICA_SETS, JOBS)] == [5, 2, 1]


@pytest.mark.parametrize("first", ["reports", "metadata"])
def test_thousands_of_pods_are_resolved_whichever_comes_first(first: str) -> None:
    pods = [Thing(uuid(1000 + n), "Pod", f"p{n}", OF_ROLLOUT) for n in range(3_000)]
    town = Town()
    for turn in ("reports", "metadata") if first == "reports" else ("metadata", "reports"):
        if turn == "reports":
            town.report(*pods, word="pass")
            town.state.ledger.settle()
        else:
            town.tell(*pods)
            town.tell(OF_ROLLOUT)
    town.report(ROLLOUT, word="pass")
    assert town.controlled("Pod") == {"true": 3_000}
    town.forget(ROLLOUT)
    assert town.controlled("Pod") == {"false": 3_000}


steps = st.lists(
    st.tuples(
        st.sampled_from(["report", "pass", "forget", "tell", "settle"]), st.sampled_from(ALL)
    ),
    max_size=40,
)


@given(steps)
def test_the_order_of_reports_and_metadata_does_not_matter(taken: list[tuple[str, Thing]]) -> None:
    town, reported = Town(), dict[Thing, str]()
    for step, thing in taken:
        match step:
            case "report" | "pass":
                reported[thing] = "fail" if step == "report" else "pass"
                town.report(thing, word=reported[thing])
            case "forget":
                reported.pop(thing, None)
                town.forget(thing)
            case "tell" if thing.kind in SCOPES:
                town.tell(thing)
            case "settle":
                town.shown()
    town.tell(*TOLD)
    expected = {
        (each.kind, each.name): Shown(
            "true" if reported.keys() & set(each.chain) else "false", TOPS[each]
        )
        for each, word in reported.items()
        if word == "fail"
    }
    assert town.shown() == expected
    of_pods = [each for each in reported if each.kind == "Pod"]
    owned = sum(bool(reported.keys() & set(each.chain)) for each in of_pods)
    wanted = {"true": owned, "false": len(of_pods) - owned}
    assert town.controlled("Pod") == {key: count for key, count in wanted.items() if count}


def test_a_replica_set_and_its_three_pods_take_at_most_900_bytes() -> None:
    """docs/cardinality.md has the figure; 500 objects are in a namespace."""
    town, told = Town(), []
    for number in range(0, 20_000, 4):
        name, namespace = f"workload-{number}-5d59d67564", f"ns-{number // 500}"
        web = Thing(uuid(50_000 + number), "Deployment", f"workload-{number}")
        replica_set = Thing(uuid(number), "ReplicaSet", name, web)
        pods = [Thing(uuid(number + n), "Pod", f"{name}-{n}", replica_set) for n in (1, 2, 3)]
        told += [(metadata(each, namespace), SCOPES[each.kind]) for each in (replica_set, *pods)]
    bodies = [(msgspec.json.encode(each), scope) for each, scope in told]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for body, scope in bodies:
            town.state.apply(Applied(scope, msgspec.json.decode(body, type=OwnedObject)))
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 600 < (after - before) / (len(told) / 4) <= 900


def test_a_uid_that_is_no_uuid_is_kept_as_it_is() -> None:
    town = Town()
    for uid in ("x", "0" * 36, "zzzzzzzz-0000-4000-8000-000000000000"):
        pod = Thing(uid, "Pod", "odd", Thing(f"{uid}-owner", "Cluster", "db"))
        town.report(pod)
        town.tell(pod)
        assert town.shown()["Pod", "odd"].workload == ("Cluster", "db")


def test_references_that_a_user_wrote_are_cut_as_labels_are() -> None:
    long = Thing("u" * 100_000, "K" * 100_000, "n" * 100_000)
    pod = Thing(uuid(20), "Pod", "odd", long)
    town = Town()
    town.report(pod)
    town.tell(pod)
    kind, name = town.shown()["Pod", "odd"].workload
    assert (len(kind), len(name)) == (128, 128)
    town.drop(pod)
    owners = town.state.ledger.owners
    assert owners is not None
    assert not owners._controllers._shared
