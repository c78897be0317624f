"""The life of the sample cluster: what happens next, decided by a seed, step by step."""

import asyncio
import heapq
import random
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from exporter.simulator import checks
from exporter.simulator.checks import SampleCheck
from exporter.simulator.kyverno import ReportTarget
from exporter.simulator.sample import NAMESPACES, sample, workload
from exporter.simulator.store import Store
from exporter.simulator.world import Subject, World

EVENT_TTL_SECONDS = 3600.0
SCAN_SECONDS = 3600.0
REVISIONS = 3
PODS = 4
MAX_EXTRA = 40
RETRY_SECONDS = (5.0, 160.0)
# About one violation in so many is mended each time that somebody mends some.
MENDED = 25


class ScenarioClock:
    """A clock that stands still until it is moved; for runs that must not depend on the hour."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.now


class _Due(NamedTuple):
    at: float
    number: int
    happening: Callable[[], float]


class Scenario:
    """Things that happen to a World, in simulated seconds.

    Two scenarios with one seed make the same things happen in the same order, however the time is
    cut into steps. With a ``clock`` of ours, objects carry simulated times; else the store's.
    """

    def __init__(self, world: World, *, seed: int = 0, clock: ScenarioClock | None = None) -> None:
        self.world = world
        self.elapsed = 0.0
        self._clock = clock
        self._began = clock.now if clock else 0.0
        self._random = random.Random(seed)  # noqa: S311 - a play, not a secret
        self._due: list[_Due] = []
        self._number = 0
        self._extra: list[str] = []
        self._backoff = RETRY_SECONDS[0]
        self._expiring: list[tuple[float, float]] = []
        for first, happening in self._happenings():
            self._schedule(first, happening)

    def advance(self, seconds: float) -> None:
        """Let that much simulated time pass, and everything in it happen."""
        end = self.elapsed + seconds
        while self._due and self._due[0].at <= end:
            due = heapq.heappop(self._due)
            self._pass_to(due.at)
            self._schedule(due.happening(), due.happening)
        self._pass_to(end)

    def _happenings(self) -> tuple[tuple[float, Callable[[], float]], ...]:
        return (
            (3, self._block),
            (30, self._block_in_kube_system),
            (45, self._retry),
            (11, self._audit),
            (17, self._scale),
            (25, self._rollout),
            (40, self._fix),
            (55, self._violate),
            (300, self._scan),
            (420, self._enforce),
            (700, self._relabel),
            (10, self._expire),
        )

    def _schedule(self, after: float, happening: Callable[[], float]) -> None:
        self._number += 1
        heapq.heappush(self._due, _Due(self.elapsed + after, self._number, happening))

    def _pass_to(self, elapsed: float) -> None:
        self.elapsed = elapsed
        if self._clock:
            self._clock.now = self._began + elapsed

    def _between(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def _suffix(self) -> str:
        return "".join(self._random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))

    def _enforcing(self, namespace: str, kind: str) -> list[SampleCheck]:
        return [
            check
            for check in self.world.checks.values()
            if check.action == "Enforce" and check.applies_to(kind, namespace, "")
        ]

    def _refuse(self, namespace: str, kind: str, name: str) -> None:
        check = self._random.choice(self._enforcing(namespace, kind))
        self.world.block(check, ReportTarget(kind, namespace, name, self.world.store.uid()))

    def _block(self) -> float:
        namespace = self._random.choice([name for name in NAMESPACES if name != "kube-system"])
        kind = self._random.choice(["Pod", "Pod", "Pod", "Deployment", "Job"])
        self._refuse(namespace, kind, f"{self._random.choice(_NAMES)}-{self._suffix()}")
        return self._between(2, 8)

    def _block_in_kube_system(self) -> float:
        self._refuse("kube-system", "Pod", f"node-debugger-{self._suffix()}")
        return self._between(60, 150)

    def _retry(self) -> float:
        # A ReplicaSet whose Pods are refused asks again, ever more slowly, under ever new names.
        target = f"orders-batch-6c9f7d5b4c-{self._suffix()}"
        self.world.block(
            checks.BASELINE, ReportTarget("Pod", "orders", target, self.world.store.uid())
        )
        self._backoff = self._backoff * 2 if self._backoff < RETRY_SECONDS[1] else RETRY_SECONDS[0]
        return self._backoff

    def _audit(self) -> float:
        auditing = [
            check
            for check in self.world.checks.values()
            if check.action == "Audit" and "Pod" in check.kinds
        ]
        check = self._random.choice(auditing)
        namespace = self._random.choice(check.namespaces or tuple(NAMESPACES))
        name = f"{self._random.choice(_NAMES)}-{self._suffix()}"
        target = ReportTarget("Pod", namespace, name, self.world.store.uid())
        self.world.audit(check, target)
        self.world.put(Subject(target, {check.policy: "fail"}, {}))
        self._keep(target.uid)
        return self._between(12, 30)

    def _keep(self, uid: str) -> None:
        self._extra.append(uid)
        while len(self._extra) > MAX_EXTRA:
            oldest = self._extra.pop(0)
            if oldest in self.world.subjects:
                self.world.remove(oldest)

    def _scale(self) -> float:
        pods = self._of_kind("Pod")
        if self._extra and self._random.random() < 0.5:
            uid = self._extra.pop(self._random.randrange(len(self._extra)))
            if uid in self.world.subjects:
                self.world.remove(uid)
        else:
            twin = self._random.choice(pods)
            name = f"{twin.target.name.rpartition('-')[0] or twin.target.name}-{self._suffix()}"
            target = twin.target._replace(name=name, uid=self.world.store.uid())
            self.world.put(twin._replace(target=target))
            self._keep(target.uid)
        return self._between(15, 45)

    def _rollout(self) -> float:
        subject = self._random.choice(self._of_kind("Deployment"))
        namespace, name = subject.target.namespace, subject.target.name
        mine = [
            each.target
            for each in self.world.subjects.values()
            if each.target.namespace == namespace and _revision_of(each.target, name)
        ]
        pods = [target for target in mine if target.kind == "Pod"]
        for target in pods:
            self.world.remove(target.uid)
        for target in [each for each in mine if each.kind == "ReplicaSet"][:-REVISIONS]:
            self.world.remove(target.uid)
        pods_now = min(max(len(pods), 1), PODS)
        workload(self.world, subject.target, pods_now, subject.verdicts)
        return self._between(40, 90)

    def _fix(self) -> float:
        failing = self.world.failing()
        for subject, check in self._random.sample(failing, len(failing) // MENDED):
            now = self.world.subjects[subject.target.uid]
            verdicts = {k: v for k, v in now.verdicts.items() if k != check.policy}
            self.world.put(now._replace(verdicts=verdicts))
        return self._between(30, 70)

    def _violate(self) -> float:
        subject = self._random.choice(self._of_kind("Deployment") + self._of_kind("StatefulSet"))
        kind, namespace, name, _ = subject.target
        applying = [
            check
            for check in self.world.checks.values()
            if check.action == "Audit"
            and check.policy not in subject.verdicts
            and check.applies_to(kind, namespace, name)
        ]
        if applying:
            check = self._random.choice(applying)
            self.world.audit(check, subject.target)
            self.world.put(subject._replace(verdicts=subject.verdicts | {check.policy: "fail"}))
        return self._between(40, 80)

    def _scan(self) -> float:
        self.world.rescan()
        return SCAN_SECONDS

    def _enforce(self) -> float:
        check = self.world.checks[checks.LABELS.policy]
        action = "Enforce" if check.action == "Audit" else "Audit"
        self.world.add_policy(check._replace(action=action))
        # Kyverno evaluates everything again when a policy changes.
        self.world.rescan()
        return 900

    def _relabel(self) -> float:
        namespace = self.world.store.get("namespaces", "", "orders")
        env = namespace.data["metadata"]["labels"]["env"] if namespace else ""
        other = "prod" if env == "staging" else "staging"
        self.world.add_namespace("orders", NAMESPACES["orders"] | {"env": other})
        return 1100

    def _expire(self) -> float:
        # The times on the objects may be another clock's.
        self._expiring.append((self.elapsed, self.world.store.clock()))
        while self._expiring and self._expiring[0][0] <= self.elapsed - EVENT_TTL_SECONDS:
            self.world.expire(self._expiring.pop(0)[1])
        return 10

    def _of_kind(self, kind: str) -> list[Subject]:
        return [each for each in self.world.subjects.values() if each.target.kind == kind]


_NAMES = ("debug", "nginx", "toolbox", "report", "import", "shell", "migrate", "cache")


def _revision_of(target: ReportTarget, deployment: str) -> bool:
    dashes = {"ReplicaSet": 1, "Pod": 2}.get(target.kind, 0)
    return bool(dashes) and target.name.rsplit("-", dashes)[0] == deployment


STEP_SECONDS = 0.25
# Each remembered write holds two versions of an object: this many are some tens of megabytes.
HISTORY = 2_000


def living(seed: int = 0) -> Scenario:
    """Build the sample cluster as of now; serve ``.world.store``, and ``play`` it."""
    store = Store(time.time, seed=seed, history=HISTORY)
    return Scenario(sample(store), seed=seed)


async def play(scenario: Scenario, speed: float = 1.0) -> NoReturn:
    """Advance the scenario by ``speed`` simulated seconds a second, until cancelled."""
    clock = asyncio.get_running_loop().time
    last = clock()
    while True:
        await asyncio.sleep(STEP_SECONDS)
        now = clock()
        scenario.advance((now - last) * speed)
        last = now
