"""The loop that derives alerts and lets every sender tell them."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from typing import Final, TypeVar

from exporter.alerting.alert import Alert, Labels, Origin
from exporter.alerting.desired import LOOKS, AlertDeriver
from exporter.alerting.ports import Completeness, DeliveryObserver, Post, PushClock
from exporter.alerting.sender import Failed, Sender
from exporter.alerting.settings import AlertingSettings, AlertmanagerTarget
from exporter.alerting.table import AlertTable
from exporter.state.cluster import ClusterState

T = TypeVar("T")

DEFAULT_CLOCK: Final = PushClock()


class Push:
    """Tells Alertmanagers what should fire.

    Nothing is told of reports, or of Events, before they were complete once. While they are not,
    whatever fires because of them goes on, and what is new is told.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each of them
        self,
        settings: AlertingSettings,
        state: ClusterState,
        complete: Completeness,
        posts: Callable[[AlertmanagerTarget], Post],
        observer: DeliveryObserver,
        *,
        namespace_labels: tuple[str, ...] = (),
        clock: PushClock = DEFAULT_CLOCK,
    ) -> None:
        self.table = AlertTable(settings, observer.dropped)
        self.desired = AlertDeriver(settings, state, namespace_labels, observer.dropped)
        self.senders = [
            Sender(target, posts(target), self.table, settings.interval, observer, clock)
            for target in settings.alertmanagers
        ]
        self._settings = settings
        self._complete = complete
        self._observer = observer
        self._clock = clock
        self._reports = False
        self._blocks_at: float | None = None
        self._dropped_at = float("-inf")

    async def run(self) -> None:
        """Derive and tell until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for sender in self.senders:
                tasks.create_task(sender.run(), name="alerts to an Alertmanager")
            while True:
                await self.look()
                await asyncio.sleep(self._settings.interval / LOOKS)

    async def look(self) -> None:
        """Derive what should fire now, and wake the senders."""
        resolvable = self._look_at_sources()
        steps = self.desired.steps(reports=self._reports, blocks_at=self._blocks_at)
        desired = await leisurely(steps)
        self._take(desired, resolvable)
        for sender in self.senders:
            sender.wake()

    def adopt(self, other: "Push") -> None:
        """Go on with the alerts of *other*, which tells no more of them.

        What stands goes on to stand, and what is not wanted here is resolved as if it had ended.
        """
        self.table.adopt(other.table)
        self.desired.adopt(other.desired)

    def end_all(self) -> None:
        """Resolve everything, as nobody is to be told any more; ``flush`` tells that."""
        self.table.end_all(self._clock.steady(), self._clock.wall())
        self._observer.active(0)

    async def flush(self, seconds: float) -> None:
        """Tell once more all that fires, so that it outlasts a restart; nothing is resolved."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*map(_flush, self.senders))
        except TimeoutError:
            return

    def _look_at_sources(self) -> dict[Origin, bool]:
        reports, events = self._complete.reports(), self._complete.events()
        self._reports |= reports
        if events:
            self._blocks_at = self._clock.wall()
        return {"reports": reports, "events": events, "both": reports and events}

    def _take(self, desired: Mapping[Labels, Alert], resolvable: Mapping[Origin, bool]) -> None:
        steady = self._clock.steady()
        self.table.update(desired, resolvable.__getitem__, steady, self._clock.wall())
        self._observer.active(self.table.firing)
        # As alerts that are told count each time, so do those that are folded instead.
        if steady - self._dropped_at >= self._settings.interval:
            self._dropped_at = steady
            self._observer.dropped("limit", self.desired.folded)


async def _flush(sender: Sender) -> None:
    try:
        await sender.deliver(all_firing=True)
    except Failed:
        return


async def leisurely(steps: Generator[None, None, T]) -> T:
    """Run a generator to its end, serving others whenever it pauses."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value
        await asyncio.sleep(0)
