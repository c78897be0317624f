"""A simulated cluster that a test writes to, and a follower of it over HTTP, in virtual time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count, pairwise
from typing import Any

from exporter.kube.access import Credentials
from exporter.kube.client import KubeClient
from exporter.kube.credentials import Anonymous
from exporter.kube.source import KubeSource
from exporter.model.changes import Change, Scope
from exporter.model.resource import POLICY_REPORTS, Resource
from exporter.watch.lists import ReflectorOptions
from exporter.watch.pace import WatchClock
from exporter.watch.ports import Forget, forget_nothing
from exporter.watch.reflector import Reflector
from tests.apiserver import Simulator, Store
from tests.apiserver.faults import Call
from tests.watch.recording import Counts, Mirror

NOON = 1_795_435_200.0


def report(
    name: str, namespace: str = "team-a", *, failed: int = 0, message: str = ""
) -> dict[str, Any]:
    """Make a policy report as Kyverno writes it."""
    verdict = {"policy": "p", "rule": "r", "result": "fail" if failed else "pass"}
    verdict |= {"message": message} if message else {}
    return {
        "apiVersion": POLICY_REPORTS.api_version,
        "kind": POLICY_REPORTS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "scope": {"kind": "Pod", "name": name, "namespace": namespace},
        "summary": {"pass": 1 - failed, "fail": failed},
        "results": [verdict | {"source": "kyverno"}],
    }


class Followed:
    """A follower of policy reports, unless said otherwise, in a simulated cluster.

    ``chance`` is what every jitter gets, ``options`` are the follower's; a ``generous`` one lets
    others have the event loop after each object.
    """

    def __init__(
        self,
        *,
        resource: Resource = POLICY_REPORTS,
        namespace: str = "",
        since: str = "",
        chance: float = 0.0,
        bookmark_seconds: float = 60,
        generous: bool = False,
        server: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.store = Store(self.wall)
        self.api = Simulator(self.store, bookmark_seconds=bookmark_seconds, **(server or {}))
        self.mirror = Mirror()
        self.counts = Counts()
        self.resource = resource
        self.credentials: Credentials | None = None
        self.client_options: dict[str, Any] = {}
        self.scope = Scope(resource, namespace)
        self.options = ReflectorOptions(**options)
        self.since = since
        work = count().__next__ if generous else time.perf_counter
        self.clock = WatchClock(self.wall, work, jitter=lambda: chance)
        self.forget_some: Forget = forget_nothing
        self._notes: list[Callable[[Change], None]] = []
        self.reflector: Reflector
        self.task: asyncio.Task[Any]

    def wall(self) -> float:
        return NOON + asyncio.get_event_loop().time()

    def put(
        self, name: str, namespace: str = "team-a", *, failed: int = 0, message: str = ""
    ) -> str:
        """Create or change a report; return its version."""
        data = report(name, namespace, failed=failed, message=message)
        there = self.store.get(self.resource.name, namespace, name)
        write = self.store.replace if there else self.store.create
        return str(write(self.resource.name, data).version)

    def expire(self) -> None:
        """Make the server forget everything, what a watch has not been told yet included."""
        self.store.tick()
        self.store.compact()

    def drop(self, name: str, namespace: str = "team-a") -> None:
        self.store.delete(self.resource.name, namespace, name)

    def fill(self, count: int) -> None:
        for i in range(count):
            self.put(f"r{i:05}", f"ns-{i % 7}")

    @property
    def truth(self) -> dict[tuple[str, str], str]:
        """Names and versions of what the server holds."""
        held = self.store.all(self.resource.name)
        mine = [each for each in held if self.scope.namespace in ("", each.namespace)]
        return {(each.namespace, each.data["metadata"]["name"]): str(each.version) for each in mine}

    @property
    def seen(self) -> dict[tuple[str, str], str]:
        """What the sink holds."""
        return self.mirror.versions.get(self.scope, {})

    def calls(self, verb: str) -> list[Call]:
        """The requests for the resource so far."""
        name = self.resource.name
        return [
            each for each in self.api.faults.calls if (each.resource, each.verb) == (name, verb)
        ]

    def asked(self, verb: str) -> list[dict[str, str]]:
        """The queries of the requests so far."""
        return [dict(each.query) for each in self.calls(verb)]

    def times(self, verb: str) -> list[float]:
        """When the requests were made."""
        return [each.at for each in self.calls(verb)]

    async def passes(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)
        if self.task.done():
            self.task.result()

    def watches_sink(self, note: Callable[[Change], None]) -> None:
        """Call *note* before each change reaches the mirror."""
        self._notes.append(note)

    def _sink(self, change: Change) -> None:
        for note in self._notes:
            note(change)
        self.mirror(change)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Stop the server, and start it again at the same address."""
        port = int(self.api.url.rpartition(":")[2])
        await self.api.stop()
        yield
        await self.api.start(port=port)

    def restore_backup(self) -> None:
        """Replace the cluster's state by an empty one of long ago."""
        self.store = self.api.store = Store(self.wall)

    async def until(self, done: Callable[[], object], within: float = 600) -> None:
        """Let time pass until *done*, at most *within* (virtual) seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        pause = 0.01
        while not done():
            if self.task.done():
                self.task.result()
            assert loop.time() < end, (self.reflector.state, self.mirror.kinds()[-5:])
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    async def in_step(self, within: float = 600) -> None:
        """Wait until the sink holds what the server holds, and the watch stands."""
        await self.until(lambda: self.reflector.up and self.seen == self.truth, within)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Followed"]:
        """Serve, and follow."""
        async with self.api, self.following():
            yield self

    @asynccontextmanager
    async def following(self) -> AsyncIterator["Followed"]:
        """Follow, whether or not anything is served."""
        credentials = self.credentials or Anonymous(self.api.url)
        async with KubeClient(credentials, self.counts, **self.client_options) as client:
            source = KubeSource(client, self.counts)
            self.reflector = Reflector(
                self.scope,
                source,
                self._sink,
                self.counts,
                since=self.since,
                options=self.options,
                clock=self.clock,
                forget_some=self.forget_some,
            )
            self.task = asyncio.create_task(self.reflector.run())
            try:
                yield self
            finally:
                self.task.cancel()
                await asyncio.wait([self.task])


def gaps(times: list[float]) -> list[float]:
    """Seconds from each moment to the next."""
    return [later - earlier for earlier, later in pairwise(times)]
