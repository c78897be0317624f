"""What the status page and the snapshot show, taken from the state."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from heapq import nsmallest
from typing import Final

from exporter import __version__
from exporter.app.exporter import Exporter
from exporter.model.report import RESULTS
from exporter.state.cluster import ClusterState
from exporter.state.failures import Standing as Failure
from exporter.state.failures import standing
from exporter.state.recent import Block
from exporter.state.tally import Five, Tally
from exporter.watch.follower import Follower
from exporter.web import view

SLICE: Final = 2_000
"""Failures looked at between two turns of the loop: about 3 ms."""

_RANK: Final = {severity: rank for rank, severity in enumerate(view.SEVERITIES)}
_FAIL: Final = RESULTS.index("fail")


class Status:
    """The state as the status page asks for it."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._state = exporter.state
        self._started = exporter.clock()

    def overview(self, most: int) -> view.Overview:
        """Sum everything up, with at most *most* namespaces and policies."""
        exporter = self._exporter
        objects = self._state.objects()
        return view.Overview(
            version=__version__,
            started=self._started,
            ready=exporter.health.ready()[0],
            watched=tuple(_watched(f, objects) for f in exporter.followers),
            resources=total(self._state.ledger.resources),
            results=total(self._state.ledger.results),
            failing_by_severity=by_severity(self._state),
            namespaces=worst(self._state.ledger.by_namespace, most),
            policies=worst(self._state.ledger.by_policy, most),
        )

    async def failing(self, query: view.Query) -> view.FailingPage:
        """List failing results, worst severity first, in a stable order."""
        matching: list[view.Failing] = []
        for number, row in enumerate(self._rows(query.namespace)):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            if matches(row, query):
                matching.append(row)
        first = nsmallest(query.offset + query.limit, matching, key=order)
        return view.FailingPage(tuple(first[query.offset :]), len(matching))

    def blocked(self) -> Sequence[view.Blocked]:
        """List the last blocked requests, the newest first."""
        self._state.occurrences.recent.expire()
        return [blocked(block) for block in reversed(self._state.occurrences.recent.blocks)]

    def subscribe(self, listener: Callable[[view.Blocked], None]) -> Callable[[], None]:
        """Call *listener* with each request that is blocked from now on."""
        listeners = self._state.occurrences.recent.listeners

        def hear(block: Block) -> None:
            listener(blocked(block))

        listeners.append(hear)
        return lambda: listeners.remove(hear)

    def _rows(self, namespace: str | None) -> Iterator[view.Failing]:
        ledger = self._state.ledger
        if namespace is None:
            places = list(ledger.failures.places)
        else:
            places = [p for p in ledger.failures.places if p.namespace == namespace]
        for place in places:
            yield from map(failing, standing(ledger.failures.places.get(place)))


def total(tally: Tally) -> view.Counts:
    """Add up all rows."""
    return counts([sum(column) for column in zip(*tally.rows.values(), strict=True)] or [0] * 5)


def counts(row: Five) -> view.Counts:
    """Name five counts."""
    return view.Counts(*row)


def worst(tally: Tally, most: int) -> tuple[view.Standing, ...]:
    """Choose the rows with most failures."""
    rows = nsmallest(most, tally.rows.items(), key=lambda row: (-row[1][_FAIL], row[0]))
    return tuple(view.Standing(labels[0], counts(row)) for labels, row in rows)


def by_severity(state: ClusterState) -> dict[str, int]:
    """Count the failures of each severity, the worst first."""
    rows = state.ledger.by_severity.rows
    found = {severity: rows.get((severity,), [0] * 5)[_FAIL] for severity in view.SEVERITIES}
    return {severity: count for severity, count in found.items() if count}


def failing(one: Failure) -> view.Failing:
    """Show a failure."""
    outcome = one.failure.outcome
    return view.Failing(
        one.namespace,
        one.kind,
        one.name,
        outcome.policy,
        outcome.rule,
        one.failure.word,
        outcome.severity,
        outcome.source,
        one.since,
        one.message,
    )


def blocked(block: Block) -> view.Blocked:
    """Show a block; its id is its time in microseconds."""
    return view.Blocked(int(block.seconds * 1_000_000), *block)


def matches(row: view.Failing, query: view.Query) -> bool:
    """Say whether a failing result is wanted."""
    if query.policy not in ("", row.policy) or query.severity not in ("", row.severity):
        return False
    if query.namespace not in (None, row.namespace):
        return False
    text = query.search.casefold()
    where = (row.namespace, row.name, row.policy, row.rule, row.message)
    return not text or any(text in part.casefold() for part in where)


def order(row: view.Failing) -> tuple[int, str, str, str, str, str]:
    """Sort by severity, then by place."""
    rank = _RANK.get(row.severity, len(_RANK))
    return (rank, row.namespace, row.kind, row.name, row.policy, row.rule)


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
