"""A small cluster whose API server runs in a thread of its own, so that a test may wait."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

from exporter.simulator.checks import BASELINE, CHECKS, SampleCheck
from exporter.simulator.kyverno import ReportTarget
from exporter.simulator.world import Subject, World
from tests.apiserver import Simulator, Store

T = TypeVar("T")
TEAMS = {"kube-system": "platform", "carts": "shop", "catalog": "shop", "payments": "shop"}


class Town:
    """Who violates what, changed from any thread; ``url`` is the API server's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.store = Store(time.time)
        self.world = World(self.store, CHECKS)
        for check in CHECKS:
            self.world.add_policy(check)
        for name, team in TEAMS.items():
            self.world.add_namespace(name, {"team": team})
        self.api = Simulator(self.store)

    @property
    def url(self) -> str:
        return self.api.url

    def wait(self, work: Coroutine[object, object, T]) -> T:
        """Run something in the API server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _act(self, act: Callable[[], None]) -> None:
        async def acting() -> None:
            act()

        self.wait(acting())

    def fail(self, namespace: str, name: str, *checks: SampleCheck) -> None:
        """Let a Deployment fail these policies, and no other."""
        target = ReportTarget("Deployment", namespace, name, f"uid-{namespace}-{name}")
        verdicts = {check.policy: "fail" for check in checks}
        self._act(lambda: self.world.put(Subject(target, verdicts, {})))

    def rescan(self) -> None:
        """Let Kyverno write all reports anew, with the time of now in each result."""
        self._act(self.world.rescan)

    def block(self, namespace: str, name: str, check: SampleCheck = BASELINE) -> None:
        """Let a request for a Pod be refused."""
        target = ReportTarget("Pod", namespace, name, self.store.uid())
        self._act(lambda: self.world.block(check, target))


@contextmanager
def town() -> Iterator[Town]:
    """Run the cluster."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="API server")
    thread.start()
    here = Town(loop)
    try:
        here.wait(here.api.start())
        yield here
        here.wait(here.api.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
