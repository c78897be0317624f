"""Processes that share an object, in any order of events, writes, crashes and take-overs.

Each sees the same cluster, later or sooner. No counter that one shows falls, and in the end
everything is counted once, whoever counted it.
"""

import asyncio
from collections.abc import Iterator
from itertools import count

from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.checkpoint.capture import Checkpointer
from exporter.checkpoint.filters import CountingFilters
from exporter.checkpoint.format import counters_of, decode, scope_name
from exporter.checkpoint.object import ObjectStore
from exporter.checkpoint.writer import CheckpointWriter
from exporter.metrics.self_metrics import new_self_metrics
from exporter.model.changes import Applied, Change, Deleted, Init, InitDone, Scope
from exporter.model.report import Report
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from exporter.state.tally import Labels
from exporter.watch.reflector import Reflector
from tests.checkpoint.objects import MemoryObject
from tests.checkpoint.test_capture import failing
from tests.metrics.clusters import REPORTS
from tests.state.violations import NOW, SCOPE, event
from tests.virtual_time import run

REPORT_NAMES = [f"r{number}" for number in range(4)]
UNTIL_SILENT_SECONDS = 200.0
FIRST_VERSION = 100


class Followed(Reflector):
    """Where a watch has come to, without a watch."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.synced = True
        self.at = 0

    @property
    def version(self) -> str:
        return str(self.at)


class World:
    """What happened: Events, and reports that begin and cease to fail, by version."""

    def __init__(self) -> None:
        self.api = MemoryObject()
        self.changes: list[Change] = []
        self.failing: dict[str, Report] = {}
        self.blocked = 0
        self.names = (f"pod-{number}" for number in count())
        self._durable: dict[tuple[str, Labels], int] = {}

    @property
    def version(self) -> int:
        return FIRST_VERSION + len(self.changes)

    def block(self) -> None:
        self.blocked += 1
        self.changes.append(Applied(SCOPE, event(f"p.{self.blocked}", version=self.version + 1)))

    def turn(self, name: str) -> None:
        """Let a report begin to fail, or be gone."""
        known = self.failing.pop(name, None)
        if known is not None:
            self.changes.append(Deleted(REPORTS, known))
        else:
            self.failing[name] = failing(name)
            self.changes.append(Applied(REPORTS, self.failing[name]))

    def look(self) -> None:
        """Compare what is durable with what was durable before."""
        if not self.api.stored.content:
            return
        counters = decode(self.api.stored.content).counters
        rows = {(name, labels): n for name, each in counters.items() for labels, n in each}
        for row, value in self._durable.items():
            assert rows.get(row, 0) >= value, f"{row} fell"
        self._durable = rows

    def listed(self, scope: Scope) -> Iterator[Change]:
        yield Init(scope)
        if scope == REPORTS:
            yield from [Applied(REPORTS, each) for each in self.failing.values()]
        else:
            yield from [c for c in self.changes if c.scope == SCOPE]
        yield InitDone(scope)


class Process:
    """One replica: a state that has come to ``at``, and its writer."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.events = Followed(SCOPE)
        self.state = ClusterState(Selection(), lambda: NOW)
        checkpointer = Checkpointer(
            self.state,
            [self.events, Followed(REPORTS)],
            CountingFilters(),
            asyncio.get_running_loop().time,
        )
        self.store = ObjectStore(world.api, name, checkpointer._clock)
        self.writer = CheckpointWriter(self.store, self.state, checkpointer, new_self_metrics())
        self.at = 0
        self.shown: dict[str, dict[Labels, int]] = {}

    async def start(self) -> "Process":
        await self.writer.open("c")
        self.look()
        for scope in (REPORTS, SCOPE):
            for change in self.world.listed(scope):
                self.state.apply(change)
        self.state.ledger.restore.finish()
        self.at = len(self.world.changes)
        self.events.at = FIRST_VERSION + self.at
        return self

    def see(self, most: int) -> None:
        for change in self.world.changes[self.at : self.at + most]:
            self.state.apply(change)
            self.at += 1
        self.events.at = FIRST_VERSION + self.at

    async def commit(self) -> None:
        await self.writer.commit()
        self.look()

    def look(self) -> None:
        """Compare what is shown with what was shown before."""
        for name, counters in counters_of(self.state).items():
            for labels, value in self.shown.get(name, {}).items():
                assert counters.shown.get(labels, 0) >= value, f"{name} fell"
            self.shown[name] = dict(counters.shown)

    def total(self, name: str) -> int:
        return sum(counters_of(self.state)[name].shown.values())


PODS = st.integers(0, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["block", "turn"]), st.integers(0, 3)),
        st.tuples(st.just("work"), PODS),
        st.tuples(st.sampled_from(["see", "commit", "work", "crash", "stop"]), PODS),
        st.tuples(st.sampled_from(["wait", "away", "lost", "touch"]), st.just(0)),
    ),
    min_size=10,
    max_size=60,
)


class Life:
    """A world with three replicas, to which something happens at each step."""

    def __init__(self) -> None:
        self.world = World()
        self.pods: list[Process] = []

    async def begin(self) -> None:
        await self.another().start()
        await self.pods[0].commit()
        for _ in range(2):
            await self.another().start()

    def another(self) -> Process:
        self.pods.append(Process(self.world, next(self.world.names)))
        return self.pods[-1]

    async def happens(self, step: str, number: int) -> None:
        pod = self.pods[number % len(self.pods)]
        match step:
            case "block":
                self.world.block()
            case "turn":
                self.world.turn(REPORT_NAMES[number])
            case "see":
                pod.see(number + 1)
            case "commit":
                await pod.commit()
            case "work":
                pod.see(1)
                await pod.commit()
            case "wait":
                await asyncio.sleep(UNTIL_SILENT_SECONDS)
            case "stop" | "crash":
                if step == "stop":
                    await pod.writer.close()
                self.pods.remove(pod)
                await self.another().start()

    async def settle(self) -> None:
        """See everything, until whoever writes has written it, and the others have read that."""
        self.world.api.fails = []
        for _ in range(6):
            for pod in self.pods:
                pod.see(self.world.version)
                await pod.commit()
            await asyncio.sleep(UNTIL_SILENT_SECONDS)


async def lived(steps: list[tuple[str, int]]) -> None:
    life = Life()
    await life.begin()
    world = life.world
    for step, number in steps:
        world.look()
        match step:
            case "away" | "lost":
                world.api.fails = [step]
            case "touch":
                world.api.touch()
            case _:
                await life.happens(step, number)
    await life.settle()
    durable = decode(world.api.stored.content)
    sums = {name: sum(n for _, n in rows) for name, rows in durable.counters.items()}
    assert sums["events"] == world.blocked
    assert sums["opened"] - sums["closed"] == len(world.failing) == len(durable.failures)
    assert [pod.total("events") for pod in life.pods] == [world.blocked] * 3
    assert durable.versions[scope_name(SCOPE)] == str(world.version)


SEEN_LATE = [
    ("stop", 0),
    ("block", 1),
    ("work", 2),
    ("block", 0),
    ("work", 2),
    ("work", 1),
    ("wait", 0),
]
"""A follower sees an Event after the checkpoint that covers it."""


SAME_BYTES = [
    *(("block", 0), ("wait", 0), ("work", 2), ("wait", 0), ("work", 2), ("block", 0)),
    *(("turn", 0), ("crash", 0), ("crash", 0), ("work", 1), ("wait", 0), ("stop", 1)),
]
"""A process that was overtaken meets the bytes that it tried to write, written by another one."""


@settings(max_examples=100)
@given(STEPS)
@example(SEEN_LATE)
@example(SAME_BYTES)
def test_everything_counts_once_and_no_counter_falls(steps: list[tuple[str, int]]) -> None:
    run(lived(steps))
