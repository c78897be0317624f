"""Whatever happens: nothing that stands is resolved, and nothing that is gone goes on firing."""

import asyncio

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exporter.alerting.alert import Labels
from tests.alerting.alertmanagers import FakeAlertmanager, Mode, Site
from tests.alerting.cluster import failing
from tests.virtual_time import _Loop

POLICIES = ("p", "q", "r")
RESOURCES = ("x", "y")
LOOK = 15.0
LIMIT = 300.0


class Pushing(RuleBasedStateMachine):
    """Two resources that fail three policies or not, and two Alertmanagers that work or not.

    ``since`` is since when each policy fails without a break, ``gone`` since when it does not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=_Loop)
        self.since: dict[str, float] = {}
        self.gone: dict[str, float] = dict.fromkeys(POLICIES, 0.0)
        self.fails: dict[str, frozenset[str]] = {}
        self.outage = 0.0

    def sleep(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    @property
    def now(self) -> float:
        return self.runner.get_loop().time()

    @initialize(ahead=st.sampled_from([-900.0, 0.0, 900.0]))
    def start(self, ahead: float) -> None:
        async def begin() -> None:
            self.site = Site(FakeAlertmanager(), FakeAlertmanager(ahead=ahead))
            self.task = asyncio.ensure_future(self.site.push.run())

        self.runner.run(begin())

    @rule(name=st.sampled_from(RESOURCES), policies=st.frozensets(st.sampled_from(POLICIES)))
    def report(self, name: str, policies: frozenset[str]) -> None:
        async def change() -> None:
            self.site.cluster.report(name, *map(failing, sorted(policies)))

        self.runner.run(change())
        self.fails[name] = policies
        self.note()

    @rule(name=st.sampled_from(RESOURCES))
    def remove(self, name: str) -> None:
        async def change() -> None:
            self.site.cluster.remove(name)

        self.runner.run(change())
        self.fails[name] = frozenset()
        self.note()

    def note(self) -> None:
        standing = frozenset[str]().union(*self.fails.values())
        for policy in POLICIES:
            if policy in standing:
                self.since.setdefault(policy, self.now)
                self.gone.pop(policy, None)
            else:
                self.gone.setdefault(policy, self.now)
                self.since.pop(policy, None)

    @rule(
        which=st.sampled_from([0, 1]),
        mode=st.sampled_from(["ok", "ok", "refuse", "hang", "500", "400", "413", "429", "404"]),
    )
    def trouble(self, which: int, mode: Mode) -> None:
        self.site.fakes[which].mode = mode

    @rule(complete=st.booleans())
    def watch(self, *, complete: bool) -> None:
        if complete and not self.site.watches.reports:
            self.outage = self.now
        self.site.watches.reports = complete

    @rule(seconds=st.sampled_from([1.0, 7.0, 20.0, 70.0, 400.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.sleep(seconds)

    def firing(self, fake: FakeAlertmanager) -> set[str]:
        async def look() -> dict[Labels, object]:
            return dict(fake.firing())

        return {dict(labels)["policy"] for labels in self.runner.run(look())}

    @invariant()
    def nothing_that_stands_was_resolved(self) -> None:
        if not hasattr(self, "site"):
            return
        for fake in self.site.fakes:
            told, fake.resolved = fake.resolved, []
            for at, labels in told:
                since = self.since.get(dict(labels)["policy"])
                assert since is None or at <= since + LOOK, "resolved what stands"

    @invariant()
    def nothing_that_is_gone_fires_for_long(self) -> None:
        if not hasattr(self, "site") or not self.site.watches.reports:
            return
        for fake in self.site.fakes:
            for policy in self.firing(fake):
                gone = max(self.gone.get(policy, self.now), self.outage)
                assert self.now - gone <= LIMIT, "fires on"

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "site"):
            assert len(self.site.push.table.entries) <= len(POLICIES)
            assert all(len(s.sent) <= len(POLICIES) for s in self.site.push.senders)

    def teardown(self) -> None:
        """Once all is well again, both know exactly what stands."""
        if hasattr(self, "site"):
            for fake in self.site.fakes:
                fake.mode = "ok"
            self.site.watches.reports = True
            self.sleep(3600 + 100)  # what was refused one by one is tried again in an hour
            for fake in self.site.fakes:
                assert self.firing(fake) == set(self.since)
            self.task.cancel()
        self.runner.close()


TestPushing = Pushing.TestCase
TestPushing.settings = settings(
    max_examples=100,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
