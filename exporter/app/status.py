"""What the status page and the snapshot show, taken from the state."""

from collections.abc import Callable, Sequence
from heapq import nsmallest

from exporter import __version__
from exporter.app.exporter import Exporter
from exporter.app.failing import failing_page
from exporter.state.cluster import ClusterState
from exporter.state.recent import Block
from exporter.state.sums import Sum
from exporter.state.tally import NOTHING, FiveFold
from exporter.watch.follower import Follower
from exporter.web import view


class Audience:
    """Who is told of blocked requests, whichever exporter hears of them."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[view.Blocked], None]] = []

    def hear(self, block: Block) -> None:
        """Tell everyone."""
        for listener in list(self.listeners):
            listener(blocked(block))


class Status:
    """The state as the status page asks for it; *started* is Unix seconds."""

    def __init__(self, exporter: Exporter, audience: Audience, started: float) -> None:
        self._exporter = exporter
        self._state = exporter.state
        self._audience = audience
        self._started = started

    def play(self) -> None:
        """Tell the audience of what is blocked from now on."""
        self._state.occurrences.recent.listeners.append(self._audience.hear)

    def rest(self) -> None:
        """Tell the audience no more."""
        self._state.occurrences.recent.listeners.remove(self._audience.hear)

    def overview(self, most: int) -> view.Overview:
        """Sum everything up, with at most *most* namespaces and policies."""
        exporter, ledger = self._exporter, self._state.ledger
        whole = self._reads_results()
        objects = self._state.objects()
        return view.Overview(
            version=__version__,
            started=self._started,
            ready=exporter.health.ready()[0],
            watched=tuple(_watched(f, objects) for f in exporter.followers),
            resources=total(ledger.totals.resources),
            results=total(ledger.sums.by_severity if whole else ledger.totals.summary),
            failing_by_severity=by_severity(self._state) if whole else None,
            namespaces=worst(
                ledger.sums.by_namespace if whole else by_first(ledger.totals.summary), most
            ),
            policies=worst(ledger.sums.by_policy, most) if whole else None,
        )

    async def failing(self, query: view.Query) -> view.FailingPage:
        """List failing results, worst severity first, in a stable order."""
        if not self._reads_results():
            return view.FailingPage((), None)
        if self._exporter.health.complete("reports"):
            # Nobody may be scraping; the overview that is asked for next shows what is settled.
            await self._exporter.scrapes.settle(sums=True)
        return await failing_page(self._state.ledger.failures, query)

    def blocked(self) -> Sequence[view.Blocked]:
        """List the last blocked requests, the newest first."""
        self._state.occurrences.recent.expire()
        return [blocked(block) for block in reversed(self._state.occurrences.recent.blocks)]

    def subscribe(self, listener: Callable[[view.Blocked], None]) -> Callable[[], None]:
        """Call *listener* with each request that is blocked from now on."""
        listeners = self._audience.listeners
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def _reads_results(self) -> bool:
        return self._exporter.plan.config.reports.detail == "full"


def total(tally: FiveFold) -> view.Counts:
    """Add up all rows."""
    return counts([sum(column) for column in zip(*tally.values(), strict=True)] or [0] * 5)


def counts(row: Sequence[int]) -> view.Counts:
    """Name five counts."""
    return view.Counts(*row)


def worst(tally: FiveFold, most: int) -> tuple[view.Standing, ...]:
    """Choose the rows with most failing results."""
    rows = nsmallest(most, tally.items(), key=lambda row: (-_failing(row[1]), row[0]))
    return tuple(view.Standing(labels[0], counts(row)) for labels, row in rows)


def by_first(tally: FiveFold) -> Sum:
    """Add up the rows that agree in their first label."""
    found = Sum()
    for labels, row in tally.items():
        found.add_all(labels[:1], row)
    return found


def by_severity(state: ClusterState) -> dict[str, int]:
    """Count the failing results of each severity, the worst first."""
    rows = state.ledger.sums.by_severity
    found = {each: _failing(rows.get((each,), NOTHING)) for each in view.SEVERITIES}
    return {severity: count for severity, count in found.items() if count}


def blocked(block: Block) -> view.Blocked:
    """Show a block."""
    return view.Blocked(block.number, *block[:-1])


def _failing(row: Sequence[int]) -> int:
    return counts(row).failing


def _watched(follower: Follower, objects: dict[str, int]) -> view.Watched:
    resource = follower.scope.resource
    return view.Watched(
        resource=resource.name,
        state="synced" if follower.state == "watching" else follower.state,
        synced=follower.synced,
        objects=objects.get(resource.name, 0),
        last_sync=follower.last_sync,
        last_change=follower.last_change,
    )
