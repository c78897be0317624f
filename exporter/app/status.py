"""What the status page shows, taken from the state."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from exporter import __version__
from exporter.app.exporter import Exporter
from exporter.app.health import watched
from exporter.state.recent import Block
from exporter.view import values
from exporter.view.connection import connection
from exporter.view.failing import failing_page
from exporter.view.summary import (
    Figures,
    blocked,
    figures,
    left_out,
    scope_sentence,
    unrenewed,
    worst,
)


class BlockFeed:
    """The listeners for blocked requests, whichever exporter meets them."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[values.BlockedRequest], None]] = []

    def publish(self, block: Block) -> None:
        """Send a block to every listener."""
        for listener in list(self.listeners):
            listener(blocked(block))


class About(NamedTuple):
    """What stays while the program runs: the cluster's name, and the start in Unix seconds."""

    cluster: str
    started: float


class LiveStatus:
    """The state as the status page asks for it."""

    def __init__(self, exporter: Exporter, audience: BlockFeed, about: About) -> None:
        self._exporter = exporter
        self._state = exporter.state
        self._audience = audience
        self._about = about

    def activate(self) -> None:
        """Send blocked requests to the listeners from now on."""
        self._state.violation_events.recent.listeners.append(self._audience.publish)

    def deactivate(self) -> None:
        """Send no more."""
        self._state.violation_events.recent.listeners.remove(self._audience.publish)

    def overview(self, most: int, count: str = values.DEFAULT_COUNT) -> values.Overview:
        """Sum everything up, with at most *most* namespaces and policies."""
        state, exporter = self._state, self._exporter
        seen = watched(exporter.reflectors, state.objects())
        link = connection(seen)
        whole = self._reads_results()
        found = figures(state, count, whole=whole) if link.counted else None
        blocks = len(self.blocked()) if self._knows_events(seen) else None
        self_metrics = exporter.self_metrics
        old = unrenewed(state, exporter.clock() - values.OLD_SECONDS) if found and whole else None
        return values.Overview(
            version=__version__,
            cluster=self._about.cluster,
            time=exporter.clock(),
            started=self._about.started,
            ready=exporter.health.ready()[0],
            connection=link,
            watched=tuple(seen),
            detail="full" if whole else "summary",
            scope=scope_sentence(exporter.plan.namespaces, exporter.plan.shard),
            count=count,
            reports=int(sum(state.ledger.reports.rows.values())) if found else None,
            compliance=found.results.compliance if found else None,
            resources=found.resources if found else None,
            results=found.results if found else None,
            not_itemised=found.not_itemised if found and whole else None,
            cut_reports=state.ledger.totals.cut_reports,
            left_out=left_out(state),
            ignored=tuple(_ignored(self_metrics.skips, state.violation_events.ignored)),
            newest_result=max(state.ledger.newest.rows.values(), default=0.0),
            failing_by_severity=found.failing_by_severity if found else None,
            namespaces=worst(found.namespaces, most) if found else None,
            policies=_policies(found, most),
            blocked=blocks,
            blocked_capped=blocks is not None and blocks >= values.MOST_BLOCKED,
            unrenewed=tuple((old or [])[:most]),
            unrenewed_policies=None if old is None else len(old),
            not_stored=exporter.checkpoint_writer.left_out,
        )

    async def failing(self, query: values.Query) -> values.FailingPage:
        """List failing results, worst severity first, in a stable order."""
        if not self._reads_results():
            return values.FailingPage((), None)
        if not connection(watched(self._exporter.reflectors, {})).counted:
            return values.FailingPage((), None)
        if self._exporter.health.complete("reports"):
            # Prometheus may not be scraping; the overview that follows shows what is settled.
            await self._exporter.scrapes.settle(sums=True)
        page = await failing_page(self._state.ledger.failures, query)
        if page.matching:
            return page
        return values.FailingPage(page.rows, page.matching, tuple(self._unknown(query)))

    def blocked(self) -> Sequence[values.BlockedRequest]:
        """List the last blocked requests, the newest first."""
        self._state.violation_events.recent.expire()
        return [blocked(block) for block in reversed(self._state.violation_events.recent.blocks)]

    def subscribe(self, listener: Callable[[values.BlockedRequest], None]) -> Callable[[], None]:
        """Call *listener* with each request that is blocked from now on."""
        listeners = self._audience.listeners
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def _unknown(self, query: values.Query) -> list[str]:
        """Name the filters of a query whose value occurs in no report and no policy."""
        sums = self._state.ledger.sums
        policies = {labels[0] for labels in sums.by_policy}
        policies |= {policy for policy, _ in self._state.register.policy_infos}
        namespaces = {labels[0] for labels in sums.by_namespace}
        kinds = {labels[1] for labels in self._state.ledger.totals.resources}
        wanted = (
            ("namespace", query.namespace, namespaces),
            ("policy", query.policy, policies),
            ("kind", query.kind, kinds),
        )
        return [name for name, value, known in wanted if value and value not in known]

    def _reads_results(self) -> bool:
        return self._exporter.plan.config.reports.detail == "full"

    def _knows_events(self, seen: Sequence[values.Watched]) -> bool:
        """Whether Events are watched, and were listed once."""
        events = [each for each in seen if each.resource.startswith("events.")]
        return bool(events) and all(each.last_sync for each in events)


def _policies(found: Figures | None, most: int) -> tuple[values.NamedCounts, ...] | None:
    return None if found is None or found.policies is None else worst(found.policies, most)


def _ignored(skips: dict[tuple[str, str], int], events: dict[str, int]) -> list[values.Ignored]:
    rows = [values.Ignored(resource, reason, n) for (resource, reason), n in sorted(skips.items())]
    return rows + [values.Ignored("events", reason, n) for reason, n in sorted(events.items()) if n]
