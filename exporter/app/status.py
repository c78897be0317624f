"""What the status page and the snapshot show, taken from the state."""

from collections.abc import Callable, Sequence

from exporter import __version__
from exporter.app.exporter import Exporter
from exporter.state.recent import Block
from exporter.view import values
from exporter.view.failing import failing_page
from exporter.view.summary import blocked, by_first, by_severity, total, worst
from exporter.watch.reflector import Reflector


class BlockFeed:
    """Who is told of blocked requests, whichever exporter hears of them."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[values.BlockedRequest], None]] = []

    def hear(self, block: Block) -> None:
        """Tell everyone."""
        for listener in list(self.listeners):
            listener(blocked(block))


class LiveStatus:
    """The state as the status page asks for it; *started* is Unix seconds."""

    def __init__(self, exporter: Exporter, audience: BlockFeed, started: float) -> None:
        self._exporter = exporter
        self._state = exporter.state
        self._audience = audience
        self._started = started

    def activate(self) -> None:
        """Send blocked requests to the listeners from now on."""
        self._state.violation_events.recent.listeners.append(self._audience.hear)

    def deactivate(self) -> None:
        """Send no more."""
        self._state.violation_events.recent.listeners.remove(self._audience.hear)

    def overview(self, most: int) -> values.Overview:
        """Sum everything up, with at most *most* namespaces and policies."""
        exporter, ledger = self._exporter, self._state.ledger
        whole = self._reads_results()
        objects = self._state.objects()
        return values.Overview(
            version=__version__,
            started=self._started,
            ready=exporter.health.ready()[0],
            watched=tuple(_watched(f, objects) for f in exporter.reflectors),
            resources=total(ledger.totals.resources),
            results=total(ledger.sums.by_severity if whole else ledger.totals.summary),
            failing_by_severity=by_severity(self._state) if whole else None,
            namespaces=worst(
                ledger.sums.by_namespace if whole else by_first(ledger.totals.summary), most
            ),
            policies=worst(ledger.sums.by_policy, most) if whole else None,
        )

    async def failing(self, query: values.Query) -> values.FailingPage:
        """List failing results, worst severity first, in a stable order."""
        if not self._reads_results():
            return values.FailingPage((), None)
        if self._exporter.health.complete("reports"):
            # Nobody may be scraping; the overview that is asked for next shows what is settled.
            await self._exporter.scrapes.settle(sums=True)
        return await failing_page(self._state.ledger.failures, query)

    def blocked(self) -> Sequence[values.BlockedRequest]:
        """List the last blocked requests, the newest first."""
        self._state.violation_events.recent.expire()
        return [blocked(block) for block in reversed(self._state.violation_events.recent.blocks)]

    def subscribe(self, listener: Callable[[values.BlockedRequest], None]) -> Callable[[], None]:
        """Call *listener* with each request that is blocked from now on."""
        listeners = self._audience.listeners
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def _reads_results(self) -> bool:
        return self._exporter.plan.config.reports.detail == "full"


def _watched(reflector: Reflector, objects: dict[str, int]) -> values.Watched:
    resource = reflector.scope.resource
    return values.Watched(
        resource=resource.name,
        state="synced" if reflector.state == "watching" else reflector.state,
        synced=reflector.synced,
        objects=objects.get(resource.name, 0),
        last_sync=reflector.last_sync,
        last_change=reflector.last_change,
    )
