"""An exporter in this process over an embedded API server, and what a scrape of it shows."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from prometheus_client.parser import text_string_to_metric_families

from exporter.app.exporter import CheckpointTarget, Exporter
from exporter.checkpoint.file import StateFile
from exporter.errors import StateError
from exporter.kube.client import KubeClient
from exporter.kube.credentials import Anonymous
from exporter.kube.discovery import cluster_id
from exporter.kube.source import KubeSource
from exporter.metrics.self_metrics import new_self_metrics
from exporter.settings.file import ConfigFile, Plan
from exporter.simulator.checks import BASELINE, CHECKS, REGISTRIES
from exporter.simulator.kyverno import ReportTarget
from exporter.simulator.world import Subject, World
from tests.apiserver import Simulator, Store

EVENTS_TOTAL: Final = "policyviolation_events_total"
OWN: Final = "policyreport_exporter_"
AT_ONCE: Final = ConfigFile(birth_hold=0.0, checkpoint_interval=0.1)
BY_HAND: Final = ConfigFile(birth_hold=0.0, checkpoint_interval=3600.0)
"""Nothing is committed but when a test says so."""


class Series(NamedTuple):
    """A series' name and labels, sorted."""

    name: str
    labels: tuple[tuple[str, str], ...]

    def label(self, name: str) -> str:
        return dict(self.labels)[name]


Samples = dict[Series, float]


def parse(text: str) -> Samples:
    return {
        Series(sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float | None:
    """Add up the series of a name and some labels; None where there is none."""
    wanted = labels.items()
    found = [v for s, v in samples.items() if s.name == name and wanted <= set(s.labels)]
    return sum(found) if found else None


class Increase:
    """What PromQL's increase() makes of the scrapes so far, over restarts, births at 0.

    A value that goes down is a reset: Prometheus adds all of the new value. ``falls`` are those.
    """

    def __init__(self, name: str = EVENTS_TOTAL) -> None:
        self.total = 0.0
        self.falls: list[tuple[Series, float, float]] = []
        self._name = name
        self._last: Samples = {}

    def scrape(self, samples: Samples) -> None:
        for series, value in samples.items():
            if series.name == self._name:
                last = self._last.get(series, 0.0)
                if value < last:
                    self.falls.append((series, last, value))
                self.total += value - last if value >= last else value
                self._last[series] = value


class Cluster:
    """A cluster in which requests are blocked on demand; it outlives every exporter."""

    def __init__(self) -> None:
        self.store = Store(time.time)
        self.world = World(self.store, CHECKS)
        for check in CHECKS:
            self.world.add_policy(check)
        for name in ("kube-system", "default", "team-a"):
            self.world.add_namespace(name, {"team": name})
        self.api = Simulator(self.store)
        self.blocked = 0

    async def __aenter__(self) -> Self:
        await self.api.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.api.stop()

    def block(self, times: int = 1, namespace: str = "team-a") -> None:
        for _ in range(times):
            check = (BASELINE, REGISTRIES)[self.blocked % 2]
            target = ReportTarget("Pod", namespace, f"web-{self.blocked}", self.store.uid())
            self.world.block(check, target)
            self.blocked += 1

    def report(self, name: str, *failing: str) -> None:
        """Write the report on a Pod that fails some policies."""
        target = ReportTarget("Pod", "team-a", name, f"uid-{name}")
        self.world.put(Subject(target, dict.fromkeys(failing, "fail"), {}))

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Stop the server, and start it again at the same address."""
        port = int(self.api.url.rpartition(":")[2])
        await self.api.stop()
        yield
        await self.api.start(port=port)


class Mortal(StateFile):
    """A state file whose process dies when told, leaving on disk what a kill there leaves."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.dies = ""
        self.dead = False

    def write(self, body: bytes) -> None:
        if not self.dead and not self.dies:
            super().write(body)
            return
        if not self.dead:
            self._die(body)
        raise StateError("dead")

    def _die(self, body: bytes) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        match self.dies:
            case "half written":
                new.write_bytes(body[: len(body) // 2])
            case "before the rename":
                new.write_bytes(body)
            case "after the rename":
                super().write(body)
        self.dead = True


async def body(exporter: Exporter) -> bytes:
    """Scrape all as text."""
    segments = await exporter.scrapes.scrape(openmetrics=False, names=frozenset())
    return b"".join(segments)


class Life:
    """One exporter from its start to its end."""

    def __init__(self, exporter: Exporter, task: asyncio.Task[None]) -> None:
        self.exporter = exporter
        self.task = task

    async def scrape(self) -> Samples:
        return parse((await body(self.exporter)).decode())

    async def until(self, done: Callable[[Samples], object], within: float = 20) -> Samples:
        """Scrape until *done*."""
        end = time.monotonic() + within
        while not done(samples := await self.scrape()):
            if self.task.done():
                self.task.result()
            assert time.monotonic() < end, [*filter(_tells, samples.items())]
            await asyncio.sleep(0.02)
        return samples

    async def shows(self, blocked: int) -> Samples:
        """Scrape until so many blocked requests are shown."""
        return await self.until(lambda s: (total(s, EVENTS_TOTAL) or 0) >= blocked)

    async def counts(self, blocked: int) -> None:
        """Wait until so many are counted, shown or not."""
        counters = self.exporter.state.violation_events.total
        await self.until(lambda _: sum(counters.rows.values()) >= blocked)

    async def ready(self) -> Samples:
        return await self.until(lambda _: self.exporter.health.ready()[0])

    async def commit(self) -> None:
        await self.exporter.checkpoint_writer.commit()

    async def remembers(self) -> None:
        """Wait for a checkpoint that knows how far Events are counted."""
        await self.ready()
        assert self.exporter._keeping is not None
        store = self.exporter._keeping.store
        assert isinstance(store, StateFile)
        path = store.path
        await self.until(lambda _: path.exists() and b'"versions":{}' not in path.read_bytes())


def _tells(item: tuple[Series, float]) -> bool:
    return item[0].name in (EVENTS_TOTAL, OWN + "watch_up", OWN + "synced")


@asynccontextmanager
async def living(
    cluster: Cluster,
    state: StateFile | Path | None = None,
    config: ConfigFile = AT_ONCE,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Life]:
    """Run an exporter; at the end it is stopped, with a last commit if its file lets it."""
    self_metrics = new_self_metrics()
    file = StateFile(state) if isinstance(state, Path) else state
    async with KubeClient(Anonymous(cluster.api.url), self_metrics) as client:
        keeping = CheckpointTarget(file, lambda: cluster_id(client)) if file else None
        summaries, limits = config.reports.detail == "summary", config.limits.report
        source = KubeSource(client, self_metrics, summaries=summaries, limits=limits)
        exporter = Exporter(Plan(config), source, self_metrics, clock, keeping)
        task = asyncio.create_task(exporter.follow())
        try:
            yield Life(exporter, task)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            if file is not None:
                file.release()


def self_metrics(samples: Samples, name: str, **labels: str) -> float | None:
    """Add up a family about the exporter itself."""
    return total(samples, OWN + name, **labels)


def recount(world: World) -> Counter[tuple[str, str, str]]:
    """Count the truth's results by namespace, kind and word, zeros left out."""
    found: Counter[tuple[str, str, str]] = Counter()
    for subject in world.subjects.values():
        for result in world.results(subject):
            found[subject.target.namespace, subject.target.kind, result["result"]] += 1
    return found


def summaries(samples: Mapping[Series, float]) -> Counter[tuple[str, str, str]]:
    """Give policyreport_summary by namespace, kind and word, zeros left out."""
    return Counter(
        {
            (series.label("namespace"), series.label("kind"), series.label("result")): int(value)
            for series, value in samples.items()
            if series.name == "policyreport_summary" and value
        }
    )
