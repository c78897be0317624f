"""Who owns whom, kept up to date while objects come and go, in large families in steps."""

import random
from collections.abc import Mapping

import pytest

from exporter.model.ownership import Workload
from exporter.model.report import Reference, Result, ResultSet
from exporter.state.contribution import Group
from exporter.state.profile import Profile, Profiles
from exporter.state.report_store import ReportKey
from exporter.state.selection import Selection
from exporter.state.workload_index import WorkloadIndex

NAMESPACE = "team-a"
HASH = "5d59d67564"
MOST = 200
"""Members that one call resolves."""


def profile() -> Profile:
    return Profiles(Selection()).of(ResultSet.of([Result("p", "r", "pass")]), None, "kyverno")


PROFILE = profile()


class Objects:
    """Objects of one namespace, each with a report, and whose the index says that they are."""

    def __init__(self) -> None:
        self.index = WorkloadIndex()
        self.there: dict[str, Reference] = {}
        self.workloads: dict[str, Workload | None] = {}
        self.resolved: list[int] = []

    def put(self, kind: str, name: str, uid: str = "") -> None:
        uid = uid or f"uid-{kind}-{name}"
        if uid not in self.there:
            self.there[uid] = Reference(kind, name, NAMESPACE, uid)
            self._record(uid, None, self._group(kind))

    def remove(self, uid: str) -> None:
        self._record(uid, self._group(self.there[uid].kind), None)
        del self.there[uid]
        self.workloads.pop(uid, None)

    def _group(self, kind: str) -> Group:
        return Group(NAMESPACE, kind, "false", PROFILE, direct=True)

    def _record(self, uid: str, old: Group | None, new: Group | None) -> None:
        place = ReportKey(NAMESPACE, uid)
        self.index.record(place, self.there[uid], old, new, twice=False)

    def step(self) -> None:
        """Let the index resolve some of what is left."""
        found = self.index.take().get(NAMESPACE, {})
        self.resolved.append(sum(map(len, found.values())))
        for uid, owned in found.items():
            if uid in self.there:
                self.workloads[uid] = owned[-1].workload

    def settle(self) -> Mapping[str, Workload]:
        """Resolve the rest; give what has an owner."""
        self.resolved.clear()
        while not self.index.is_settled:
            self.step()
        return {uid: found for uid, found in self.workloads.items() if found is not None}


def crowd(pods: int) -> Objects:
    """A Deployment with one ReplicaSet and so many Pods."""
    made = Objects()
    for number in range(pods):
        made.put("Pod", f"web-{HASH}-{suffix(number)}")
    made.put("ReplicaSet", f"web-{HASH}")
    made.put("Deployment", "web")
    return made


def suffix(number: int) -> str:
    letters = "bcdfghjklmnpqrstvwxz2456789"
    return "".join(letters[number // 27**place % 27] for place in range(5))


def test_a_large_family_is_resolved_some_members_at_a_time() -> None:
    made = crowd(2_000)
    assert set(made.settle().values()) == {("Deployment", "web")}
    assert max(made.resolved) <= MOST
    assert sum(made.resolved) == 2_001


@pytest.mark.parametrize("pods", [1_000, 4_000])
def test_one_more_copy_of_many_resolves_itself_alone(pods: int) -> None:
    made = crowd(pods)
    made.settle()
    made.put("Pod", f"web-{HASH}-zzzzz")
    assert made.settle()[f"uid-Pod-web-{HASH}-zzzzz"] == ("Deployment", "web")
    assert sum(made.resolved) == 1
    made.remove(f"uid-Pod-web-{HASH}-zzzzz")
    made.settle()
    assert sum(made.resolved) == 0


def test_an_owner_that_goes_or_comes_concerns_only_what_it_may_own() -> None:
    made = crowd(1_000)
    for number in range(600):
        made.put("Pod", f"web-canary-{HASH}-{suffix(number)}")
    made.put("Deployment", "web-canary")
    assert len(made.settle()) == 1_601
    made.remove("uid-Deployment-web-canary")
    assert len(made.settle()) == 1_001
    assert sum(made.resolved) == 600
    made.put("Deployment", "web-canary")
    assert len(made.settle()) == 1_601
    assert sum(made.resolved) == 600


def test_a_report_that_is_of_something_else_now_is_not_given_its_former_owner() -> None:
    made = crowd(1_000)
    made.settle()
    made.put("ReplicaSet", "web-757dbcfcf7")
    made.put("StatefulSet", "web")  # all of it may be concerned
    made.step()
    for each in list(made.there)[MOST : 4 * MOST]:
        if "Pod" in each:
            made.remove(each)
            made.put("Deployment", "another", each)
    others = {each for each, about in made.there.items() if about.name == "another"}
    assert len(others) == 3 * MOST
    assert others.isdisjoint(made.settle())
    made.put("Pod", f"web-{HASH}-zzzzz", "one")
    made.remove("one")
    made.put("Pod", "another-zzzzz", "one")
    assert "one" not in made.settle()


NAMES = (
    *(("Deployment", name) for name in ("web", "web-5", "web-x", "web-web")),
    *(("ReplicaSet", f"{name}-{HASH}") for name in ("web", "web-5", "web-x")),
    *(("StatefulSet", name) for name in ("web", "web-x")),
    *(("Job", f"web-{number}") for number in (28_000_000, 28_000_001, 5)),
    ("CronJob", "web"),
    ("DaemonSet", "web"),
    *(("Pod", f"web-{number}") for number in range(3)),
    *(("Pod", f"{head}-{suffix(n)}") for head in ("web", "web-x", "web-28000000") for n in (1, 2)),
    *(("Pod", f"web-5-{HASH}-{suffix(n)}") for n in range(3)),
    ("Pod", "web-" + "w" * 54 + "x7k2p"),
    ("Deployment", "web-" + "w" * 50),
    ("Job", "web-" + "w" * 57),
)


@pytest.mark.parametrize("others", [0, 600])
@pytest.mark.parametrize("seed", range(8))
def test_it_ends_as_if_all_had_come_at_once(seed: int, others: int) -> None:
    """Objects with misleading names come and go while the index is at work."""
    chance, made = random.Random(seed), crowd(others)
    for _ in range(200):
        kind, name = chance.choice(NAMES)
        uid = f"uid-{kind}-{name}"
        if uid in made.there:
            made.remove(uid)
        else:
            made.put(kind, name)
        for _ in range(chance.choice((0, 0, 1, 2))):
            made.step()
        if chance.random() < 0.1:
            made.settle()
    anew = Objects()
    for each in made.there.values():
        anew.put(each.kind, each.name)
    assert made.settle() == anew.settle()
