"""Derive alerts and have every sender deliver them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
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

Supervised = Callable[[str, Callable[[], Awaitable[None]]], Coroutine[object, object, None]]
"""Runs a named part, and decides what becomes of it when it fails."""


class Push:
    """Delivers the alerts that should fire to every Alertmanager.

    No alert is derived from reports, or from Events, before they were complete once. While they
    are incomplete later, alerts derived from them go on firing, and new ones are sent.
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

    async def run(self, supervised: Supervised | None = None) -> None:
        """Derive and deliver until cancelled; each Alertmanager is a part of its own."""
        supervised = supervised or _unsupervised
        async with asyncio.TaskGroup() as tasks:
            for sender in self.senders:
                part = f"alerts to {sender.name}"
                tasks.create_task(supervised(part, sender.run), name=part)
            await supervised("alerts", self._derive)

    async def _derive(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._settings.interval / LOOKS)

    async def look(self) -> None:
        """Derive the alerts that should fire now, and wake the senders."""
        resolvable = self._look_at_sources()
        steps = self.desired.steps(reports=self._reports, blocks_at=self._blocks_at)
        desired = await leisurely(steps)
        self._take(desired, resolvable)
        for sender in self.senders:
            sender.wake()

    def adopt(self, other: "Push") -> None:
        """Go on with the alerts of *other*, which sends no more.

        An alert that is not derived here is resolved as if its cause had ended.
        """
        self.table.adopt(other.table)
        self.desired.adopt(other.desired)

    def end_all(self) -> None:
        """Resolve every alert, as no Alertmanager is configured any more; ``flush`` sends that."""
        self.table.end_all(self._clock.steady(), self._clock.wall())
        self._observer.active(0)

    async def flush(self, seconds: float) -> None:
        """Send all firing alerts once more, so that they outlast a restart; nothing is resolved."""
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
        # Sent alerts count at each interval, so folded ones do, too.
        if steady - self._dropped_at >= self._settings.interval:
            self._dropped_at = steady
            self._observer.dropped("limit", self.desired.folded)


async def _unsupervised(_part: str, run: Callable[[], Awaitable[None]]) -> None:
    await run()


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
