"""A living cluster behind a network that fails at random, and an account that never fails.

Everything is decided by a seed. The followers read the embedded API server over HTTP; the account
takes each write from the store itself. In the end both must say the same.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from exporter.kube.client import KubeClient
from exporter.kube.credentials import Anonymous
from exporter.kube.source import KubeSource
from exporter.model.changes import Applied, Deleted, Init, InitDone, Scope
from exporter.model.resource import CLUSTER_POLICIES, CLUSTER_POLICY_REPORTS, EVENTS, POLICY_REPORTS
from exporter.simulator.sample import sample
from exporter.simulator.scenario import Scenario
from exporter.simulator.scenario import ScenarioClock as PlayClock
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from exporter.watch.lists import ReflectorOptions
from exporter.watch.pace import TimeSlice, WatchClock
from exporter.watch.reflector import Reflector
from exporter.wire.codec import codec_for
from tests.apiserver import Simulator, Store, faults
from tests.virtual_time import Stalls
from tests.watch.cluster import NOON
from tests.watch.recording import Counts

RESOURCES: Final = (POLICY_REPORTS, CLUSTER_POLICY_REPORTS, CLUSTER_POLICIES, EVENTS)
STEP_SECONDS: Final = 5.0
CALM_SECONDS: Final = 800.0  # longer than a watch may be silent
HOUR_SECONDS: Final = 3600.0
WINDOW_SECONDS: Final = 60.0
MOST_IN_A_WINDOW: Final = 12
"""Attempts of one kind in a minute, by the backoff curve: at 0, 0.4, 1.2, 2.8, 6, 12.4, 25.2,
40.2, 55.2 s, and again from the start after a minute that was healthy."""


class Chaos:
    """One run. ``stretch`` of simulated seconds of trouble, then calm, then the comparison."""

    def __init__(self, seed: int, *, stretch: float, options: ReflectorOptions) -> None:
        self.chance = random.Random(seed)
        self.stretch = stretch
        self.clock = PlayClock(NOON)
        self.store = Store(self.clock, seed=seed, history=2_000)
        self.scenario = Scenario(sample(self.store), seed=seed, clock=self.clock)
        self.api = Simulator(self.store, watch_list=bool(seed % 2))
        self.seen = ClusterState(Selection(), self.clock)
        self.account = ClusterState(Selection(), self.clock)
        self.counts = Counts()
        self.struck: Counter[str] = Counter()
        self.crowded: list[str] = []
        self.reflectors: list[Reflector] = []
        self.hourly: Callable[[], object] = lambda: None
        self.stalls = Stalls()
        self._options = options
        self._accounted = self.store.version
        self._port = 0

    async def run(self) -> None:
        """Live through it all."""
        async with AsyncExitStack() as stack:
            await self.api.start()
            stack.push_async_callback(self.api.stop)
            self._port = int(self.api.url.rpartition(":")[2])
            client = await stack.enter_async_context(
                KubeClient(Anonymous(self.api.url), self.counts, line_bytes=200_000)
            )
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            running = [tasks.create_task(each.run()) for each in self._reflectors(client)]
            await self._settled(30)
            self._open_account()
            await self._trouble()
            self.api.faults.clear()
            await self._settled(CALM_SECONDS)
            for task in running:
                task.cancel()

    def _reflectors(self, client: KubeClient) -> list[Reflector]:
        source = KubeSource(client, self.counts)
        clock = WatchClock(self.clock, jitter=self.chance.random)
        turns = TimeSlice()
        self.reflectors = [
            Reflector(
                Scope(each),
                source,
                self.seen.apply,
                self.counts,
                options=self._options,
                clock=clock,
                turns=turns,
            )
            for each in RESOURCES
        ]
        return self.reflectors

    async def _settled(self, seconds: float) -> None:
        """Let time pass without a write, and see that everything is followed."""
        await asyncio.sleep(seconds)
        for reflector in self.reflectors:
            assert reflector.up, (str(reflector), reflector.state)
            assert reflector.synced

    def _open_account(self) -> None:
        for resource in RESOURCES:
            scope, codec = Scope(resource), codec_for(resource)
            self.account.apply(Init(scope))
            for stored in self.store.all(resource.name):
                self.account.apply(Applied(scope, codec.one(stored.raw)))
            self.account.apply(InitDone(scope))

    def _keep_account(self) -> None:
        for resource in RESOURCES:
            scope, codec = Scope(resource), codec_for(resource)
            for entry in self.store.since(resource.name, self._accounted):
                change = Applied if entry.new else Deleted
                self.account.apply(change(scope, codec.one(entry.last.raw)))
        self._accounted = self.store.version

    async def _trouble(self) -> None:
        end = self.scenario.elapsed + self.stretch
        hour = self.scenario.elapsed + HOUR_SECONDS
        while self.scenario.elapsed < end:
            if self.scenario.elapsed >= hour:
                hour += HOUR_SECONDS
                self.api.faults.clear()
                self.hourly()
                self.stalls.forgive()
            self.scenario.advance(STEP_SECONDS)
            self._keep_account()
            self.stalls.forgive()
            if self.chance.random() < 0.15:
                await self._strike()
            await asyncio.sleep(STEP_SECONDS)
            self._watch_the_rate()

    def _watch_the_rate(self) -> None:
        """Note who asks more often than the backoff allows."""
        now = asyncio.get_running_loop().time()
        calls = [call for call in self.api.faults.calls if call.at > now - WINDOW_SECONDS]
        first = [call for call in calls if call.page == 1 and not call.namespace]
        attempts = Counter((call.resource, call.verb) for call in first)
        for (resource, verb), times in attempts.items():
            # After a doubt each attempt to watch is preceded by a look at the server's version.
            if resource and times > MOST_IN_A_WINDOW * (2 if verb == "list" else 1):
                self.crowded.append(f"{times} times {verb} {resource}")

    async def _strike(self) -> None:
        name = self.chance.choice(STRIKES)
        self.struck[name] += 1
        match name:
            case "forgotten":
                self._keep_account()
                self.store.tick()
                self.store.compact()
                self._accounted = self.store.version
            case "away":
                await self._go_away(self.chance.uniform(1, 240))
            case "kind gone":
                self.api.registry.stop(self.chance.choice((POLICY_REPORTS, CLUSTER_POLICY_REPORTS)))
                await asyncio.sleep(self.chance.uniform(1, 90))
                for resource in RESOURCES:
                    self.api.serve(resource)
            case _:
                verb = self.chance.choice(("list", "watch", "watch", "watch", "*"))
                whose = self.chance.choice((*(each.name for each in RESOURCES), "*"))
                times = self.chance.randint(1, 6)
                self.api.faults.add(FAULTS[name](self.chance), whose, verb, times=times)

    async def _go_away(self, seconds: float) -> None:
        """Be unreachable, while the cluster lives on."""
        await self.api.stop()
        self.scenario.advance(seconds)
        self._keep_account()
        self.stalls.forgive()
        await asyncio.sleep(seconds)
        await self.api.start(port=self._port)


def numbers(state: ClusterState) -> dict[str, object]:
    """Give the numbers that must agree, whatever order the changes came in."""
    state.ledger.settle()
    happened: dict[tuple[str, ...], int] = {}
    for labels, count in state.violation_events.total.rows.items():
        happened[labels[:3]] = happened.get(labels[:3], 0) + count
    return {
        "results": {key: list(row) for key, row in state.ledger.totals.results.items()},
        "summary": {key: list(row) for key, row in state.ledger.totals.summary.items()},
        "reports": state.ledger.reports.rows,
        "events": {key: count for key, count in happened.items() if count},
        "objects": state.objects(),
    }


def _after(chance: random.Random) -> int:
    return chance.randrange(6)


HUGE: Final = b"x" * 300_000 + b"\n"
FAULTS: Final[dict[str, Callable[[random.Random], faults.Fault]]] = {
    "gone": lambda _: faults.Answer(410, reason="Expired"),
    "gone in mid-stream": lambda c: faults.Inject((faults.error_event(410),), _after(c)),
    "throttled": lambda _: faults.Answer(429, headers={"Retry-After": "7"}),
    "throttled in mid-stream": lambda c: faults.Inject((faults.error_event(429),), _after(c)),
    "server error": lambda c: faults.Answer(c.choice((500, 502, 503, 504))),
    "server error in mid-stream": lambda c: faults.Inject((faults.error_event(500),), _after(c)),
    "refused": lambda c: faults.Answer(c.choice((401, 403))),
    "not found": lambda _: faults.Answer(404),
    "HTML": lambda _: faults.html(),
    "table": lambda _: faults.AsTable(),
    "silence": lambda c: faults.Stall(_after(c)),
    "never answered": lambda _: faults.Hang(),
    "slow": lambda c: faults.Delay(c.uniform(1, 60)),
    "reset": lambda _: faults.Reset(),
    "closed": lambda c: faults.End(_after(c)),
    "closed by RST": lambda c: faults.End(_after(c), reset=True),
    "line cut": lambda c: faults.CutLine(_after(c)),
    "line cut by RST": lambda c: faults.CutLine(_after(c), reset=True),
    "body cut": lambda c: faults.CutBody(c.randrange(5_000)),
    "garbage": lambda c: faults.Inject((faults.GARBAGE,), _after(c)),
    "unknown type": lambda c: faults.Inject(
        (faults.event("REPLACED", POLICY_REPORTS, "x", "carts"),), _after(c)
    ),
    "broken object": lambda c: faults.Inject(
        (faults.event("ADDED", POLICY_REPORTS, "x", "carts", results=7),), _after(c)
    ),
    "huge line": lambda c: faults.Inject((HUGE,), _after(c)),
    "told twice": lambda c: faults.Repeat(_after(c)),
    "told late": lambda c: faults.Late(_after(c)),
    "compressed": lambda _: faults.Gzip(),
}
STRIKES: Final = (*FAULTS, "forgotten", "away", "kind gone")
