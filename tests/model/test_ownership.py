"""Whose an object is, read from names: against the owner references that controllers write."""

import os
import random
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.ownership import (
    DEPENDENT,
    KINDS,
    LONGEST_PREFIX,
    SUFFIX_LETTERS,
    OwnersByName,
    Workload,
    encode_digits,
    family_of,
    member_of,
    workload_of,
    workload_of_all,
)

NAMESPACES: Final = 10_000 if os.environ.get("HYPOTHESIS_LONG") else 400
"""The soak run has the 10,000 of decision 30."""
MINUTES: Final = 29_800_000
"""Of August 2026."""

WORDS: Final = ("web", "api", "db", "html5", "https", "mssql", "worker", "7", "v2", "2026", "x")


class Made(NamedTuple):
    """An object, and the controller that its owner reference names."""

    kind: str
    name: str
    owner: Workload | None = None


class Namespace:
    """Objects as Kubernetes' controllers name them, with their owner references.

    Names of what people create are words, with numbers and words that look generated; only an
    exact generated form beside its owner is left out: it says nothing else than the owner's.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.objects: dict[tuple[str, str], Made] = {}

    def create(self, kind: str, name: str, owner: Made | None = None) -> Made:
        made = Made(kind, name, None if owner is None else (owner.kind, owner.name))
        return self.objects.setdefault((kind, name), made)

    def word(self) -> str:
        words = self.chance.choices(WORDS, k=self.chance.randint(1, 3))
        long = ["long" * self.chance.randint(8, 14)] if self.chance.random() < 0.15 else []
        return "-".join(words[:1] + long + words[1:])

    def generated(self, prefix: str) -> str:
        return prefix[:LONGEST_PREFIX] + "".join(self.chance.choices(SUFFIX_LETTERS, k=5))

    def pods(self, owner: Made) -> None:
        for _ in range(self.chance.randint(1, 3)):
            self.create("Pod", self.generated(f"{owner.name}-"), owner)

    def deployment(self) -> None:
        kind = self.chance.choice(("Deployment", "Deployment", "Rollout"))
        owner = self.create(kind, self.word())
        for _ in range(self.chance.randint(1, 3)):
            digits = encode_digits(self.chance.randrange(100_000, 2**32))
            self.pods(self.create("ReplicaSet", f"{owner.name}-{digits}", owner))

    def cron_job(self) -> None:
        owner = self.create("CronJob", self.word())
        for minute in self.chance.sample(range(MINUTES, MINUTES + 90), 2):
            self.pods(self.create("Job", f"{owner.name}-{minute}", owner))

    def indexed_job(self) -> None:
        owner = self.create("Job", self.word())
        for index in range(self.chance.randint(1, 12)):
            end = f"-{index}-"
            prefix = owner.name + end
            if len(prefix) > LONGEST_PREFIX:
                prefix = prefix[: LONGEST_PREFIX - len(end)] + end
            self.create("Pod", self.generated(prefix), owner)

    def stateful_set(self) -> None:
        owner = self.create("StatefulSet", self.word())
        for ordinal in range(self.chance.randint(1, 12)):
            self.create("Pod", f"{owner.name}-{ordinal}", owner)

    def single_level(self) -> None:
        kind = self.chance.choice(("DaemonSet", "Job", "ReplicaSet", "ReplicationController"))
        self.pods(self.create(kind, self.word()))

    def bare_pod(self) -> None:
        name = f"{self.word()}-{self.chance.choice(('canary', 'debug', 'a1', '0x', '007'))}"
        self.create("Pod", name)

    def fill(self) -> "Namespace":
        steps = (
            *(self.deployment, self.cron_job, self.indexed_job, self.stateful_set),
            *(self.single_level, self.bare_pod),
        )
        for _ in range(self.chance.randint(2, 9)):
            self.chance.choice(steps)()
        return self

    def top(self, made: Made) -> Workload:
        while made.owner is not None:
            made = self.objects[made.owner]
        return made.kind, made.name


def found(objects: list[Made]) -> dict[Made, Workload | None]:
    """Apply the rules as the exporter does, family by family."""
    families: dict[str, OwnersByName] = {}
    members = {made: member_of(made.kind, made.name) for made in objects}
    for made, member in members.items():
        if member is not None and made.kind != "Pod":
            names = families.setdefault(family_of(member[1]), OwnersByName())
            names[made.name] = (*names.get(made.name, ()), made.kind)
    return {
        made: workload_of(member, families.get(family_of(member[1]), OwnersByName()))
        for made, member in members.items()
        if member is not None
    }


@given(st.integers(0, 2**32))
def test_a_workload_that_is_found_is_the_one_that_owner_references_lead_to(seed: int) -> None:
    namespace = Namespace(random.Random(seed)).fill()
    for made, workload in found(list(namespace.objects.values())).items():
        assert workload in (None, namespace.top(made))


def test_of_many_namespaces_nearly_every_copy_is_found_and_none_is_of_a_wrong_workload() -> None:
    owned = missed = 0
    for seed in range(NAMESPACES):
        namespace = Namespace(random.Random(seed)).fill()
        for made, workload in found(list(namespace.objects.values())).items():
            assert workload in (None, namespace.top(made)), (seed, made)
            owned += made.owner is not None
            missed += made.owner is not None and workload is None
    assert owned > 15 * NAMESPACES
    assert missed / owned < 0.05


HASH = "5d59d67564"

CASES = {
    "Pod of a Deployment": ("Pod", f"web-{HASH}-x7k2p", ("Deployment", "web")),
    "ReplicaSet of a Deployment": ("ReplicaSet", f"web-{HASH}", ("Deployment", "web")),
    "Pod of a DaemonSet": ("Pod", "agent-x7k2p", ("DaemonSet", "agent")),
    "Pod of a StatefulSet": ("Pod", "db-11", ("StatefulSet", "db")),
    "Job of a CronJob": ("Job", "backup-29800000", ("CronJob", "backup")),
    "Pod of a CronJob": ("Pod", "backup-29800000-x7k2p", ("CronJob", "backup")),
    "Pod of an indexed Job": ("Pod", "train-0-x7k2p", ("Job", "train")),
    "vowels are never generated": ("Pod", "agent-debug", None),
    "a date is no schedule": ("Job", "backup-20260131", None),
    "an ordinal has no leading zero": ("Pod", "db-01", None),
    "no hash: letters that no digit becomes": ("ReplicaSet", "web-qqqqqqqqq", None),
    "no hash: more than 32 bits": ("ReplicaSet", "web-ffffffffff", None),
    "no hash: too short to be certain": ("ReplicaSet", "web-5d", None),
    "two owners fit": ("Pod", "twin-x7k2p", None),
    "unknown owner": ("Pod", "other-x7k2p", None),
    "the owner itself": ("Deployment", "web", None),
}
OWNERS = {
    "web": ("Deployment",),
    "agent": ("DaemonSet",),
    "db": ("StatefulSet",),
    "backup": ("CronJob",),
    "train": ("Job",),
    "twin": ("DaemonSet", "Job"),
}


@pytest.mark.parametrize(("kind", "name", "workload"), CASES.values(), ids=CASES)
def test_names_reveal_the_workload(kind: str, name: str, workload: Workload | None) -> None:
    member = member_of(kind, name)
    assert (None if member is None else workload_of(member, OwnersByName(OWNERS))) == workload


def test_a_pod_whose_long_owner_was_cut_finds_the_top() -> None:
    name = "a-service-with-a-name-that-leaves-no-room-for-the-hash"
    replica_set = f"{name}-{HASH}"
    pod = f"{replica_set}-"[:LONGEST_PREFIX] + "x7k2p"
    member = member_of("Pod", pod)
    assert member is not None
    assert family_of(member[1]) == family_of(name)
    names = OwnersByName({name: ("Deployment",), replica_set: ("ReplicaSet",)})
    assert workload_of(member, names) == ("Deployment", name)


class Counting(OwnersByName):
    """Counts the looks at single names."""

    looks = 0

    def get(self, name: str, default: Any = None) -> Any:
        self.looks += 1
        return super().get(name, default)


@pytest.mark.parametrize("owners", ["one CronJob", "many Jobs"])
def test_the_work_for_many_pods_whose_prefix_was_cut_grows_with_their_number(owners: str) -> None:
    number, long = 500, "j" * 50
    jobs = {
        "one CronJob": {long: ("CronJob",)}
        | {f"{long}-{MINUTES + n}": ("Job",) for n in range(number)},
        "many Jobs": {f"{long}-{n}-job": ("Job",) for n in range(number)},
    }
    names = Counting(jobs[owners])
    found = set()
    for index in range(1_000_000, 1_000_000 + number):
        end = f"-{index}-"
        member = member_of("Pod", f"{long[: LONGEST_PREFIX - len(end)]}{end}x7k2p")
        assert member is not None
        found.add(workload_of(member, names))
    assert found == {("CronJob", long) if owners == "one CronJob" else None}
    assert names.looks < 30 * number


POD_TEMPLATE: Final = "5d59d67564"
TEXTS: Final = (
    "web",
    f"web-{POD_TEMPLATE}",
    "web-5947866",
    f"web-{MINUTES}",
    f"web-api-{POD_TEMPLATE}",
    "web-3",
)
MEMBERS = st.tuples(st.sampled_from(sorted(DEPENDENT | KINDS - {"Pod"})), st.sampled_from(TEXTS))
PLAIN = st.tuples(st.sampled_from(["ReplicaSet", "random", "ordinal"]), st.sampled_from(TEXTS))


@given(st.lists(MEMBERS, max_size=4), st.lists(PLAIN, max_size=4), MEMBERS)
def test_what_a_family_has_in_common_is_what_each_of_its_members_has(
    some: list[tuple[str, str]], copies: list[tuple[str, str]], top: tuple[str, str]
) -> None:
    for family in ([*some, *copies], [top, *copies]):
        names = OwnersByName()
        for form, text in family:
            if form in KINDS:
                names[text] = (*names.get(text, ()), form)
        common = workload_of_all([form for form, _ in family], [text for _, text in family])
        if common is not None:
            each = {workload_of(member, names) for member in family if member[0] in DEPENDENT}
            assert each <= {common}


@pytest.mark.parametrize("top", ["Deployment", "Rollout", "DaemonSet", "StatefulSet"])
def test_a_workload_with_its_copies_needs_no_look_at_each(top: str) -> None:
    form = {"DaemonSet": "random", "StatefulSet": "ordinal"}.get(top)
    copies = [("random", f"web-{POD_TEMPLATE}"), ("ReplicaSet", f"web-{POD_TEMPLATE}")]
    forms, texts = zip((top, "web"), *([(form, "web")] * 2 if form else copies), strict=True)
    assert workload_of_all(forms, texts) == (top, "web")
