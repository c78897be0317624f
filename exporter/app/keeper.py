"""Keeps what a restart must not lose: commit, then expose."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, NoReturn

import msgspec

from exporter.app.statefile import StateFile
from exporter.errors import StateError
from exporter.metrics.own import OwnMetrics
from exporter.model.changes import Scope
from exporter.model.resource import EVENTS
from exporter.state.checkpoint import (
    EVENT_LIFETIME_SECONDS,
    SCHEMA,
    Checkpoint,
    counters_of,
    decode,
    encode_failures,
    restore,
    scope_name,
)
from exporter.state.cluster import ClusterState
from exporter.state.occurrences import Key
from exporter.state.tally import Counters, Labels
from exporter.watch.follower import Follower

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 60.0
"""A checkpoint is renewed this often even when only the resourceVersion has moved on."""


class Moment(NamedTuple):
    """A checkpoint to be written, and the counters in it, to be shown once it is durable."""

    body: bytes
    counters: dict[str, dict[Labels, int]]
    unborn: dict[str, frozenset[Labels]]


class Keeper:
    """Writes checkpoints; counters are shown as the last durable one holds them.

    Invariant: what is shown never exceeds what a restart would know, and a restart counts again
    exactly what the checkpoint does not cover. So a crash at any point neither loses nor repeats
    anything that was shown.
    """

    def __init__(
        self,
        file: StateFile,
        state: ClusterState,
        followers: Sequence[Follower],
        own: OwnMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._file = file
        self._state = state
        self._followers = followers
        self._own = own
        self._clock = clock
        self._cluster = ""
        self._versions: dict[str, str] = {}
        self._events: dict[Labels, int] = {}
        self._repeated: list[tuple[Key, int]] = []
        self._failures: dict[str, msgspec.Raw] = {}
        self._scopes: list[str] = []
        self._written: tuple[object, ...] = ()
        self._saved_at = 0.0
        self._usable = True
        self._said = ""

    async def open(self, cluster: str) -> bool:
        """Begin with the checkpoint of *cluster*, if there is one; True when it was used.

        What cannot be used is set aside and said, and counting begins anew.
        """
        self._cluster = cluster
        try:
            await asyncio.to_thread(self._file.prepare)
            body = await asyncio.to_thread(self._file.read)
        except StateError as error:
            self._give_up(error)
            return False
        for counters in counters_of(self._state).values():
            counters.publish({})
        if body is None:
            log.info("no checkpoint yet: counting begins now")
            return False
        return await self._adopt(body)

    async def run(self, interval: float) -> NoReturn:
        """Commit every *interval* seconds until cancelled."""
        while True:
            await asyncio.sleep(interval)
            await self.commit()

    async def commit(self) -> None:
        """Make the counters durable, then show them."""
        if not self._usable:
            return
        moment = self._moment()
        if moment is None:
            return
        try:
            await asyncio.to_thread(self._file.write, moment.body)
        except StateError as error:
            self._failed(error)
            return
        for name, counters in counters_of(self._state).items():
            counters.publish(moment.counters[name], moment.unborn[name])
        self._own.gauge("checkpoint_last_success_timestamp_seconds").set(self._saved_at)
        if self._said:
            log.info("checkpoints can be written again")
        self._said = ""

    async def _adopt(self, body: bytes) -> bool:
        try:
            checkpoint = decode(body)
            if self._cluster and checkpoint.cluster not in ("", self._cluster):
                await self._begin_anew("cluster", "it is of another cluster")
                return False
            scopes = [f.scope for f in self._followers]
            restore(self._state, checkpoint, scopes)
        except StateError as error:
            await self._begin_anew("unusable", str(error))
            return False
        self._versions = dict(checkpoint.versions)
        self._events = dict(self._state.occurrences.total.rows)
        self._repeated = list(checkpoint.repeated)
        self._failures = dict(checkpoint.failures)
        self._scopes = checkpoint.scopes
        self._note_gap(checkpoint.saved_at)
        return True

    def _note_gap(self, saved_at: float) -> None:
        away = max(self._clock() - saved_at, 0)
        gap = max(away - EVENT_LIFETIME_SECONDS, 0)
        self._own.counter("event_gap_seconds_total").inc(gap)
        log.info("continuing from the checkpoint of %.0f seconds ago", away)
        if gap:
            log.warning("Events of %.0f seconds may have come and expired unseen", gap)

    async def _begin_anew(self, reason: str, why: str) -> None:
        self._own.counter("counter_resets_total", reason).inc()
        try:
            aside = await asyncio.to_thread(self._file.set_aside, reason)
        except StateError as error:
            self._give_up(error)
            return
        log.warning("checkpoint not used, %s; kept as %s; counting begins anew", why, aside)

    def _give_up(self, error: StateError) -> None:
        """Go on as without a state directory: counters begin at 0 and are shown as they are."""
        self._usable = False
        self._own.counter("checkpoint_failures_total").inc()
        for counters in counters_of(self._state).values():
            counters.shown = counters.rows
        log.error("%s; going on without checkpoints", error)

    def _failed(self, error: StateError) -> None:
        """Show what was durable last, and try again: shown counters stand still meanwhile."""
        self._own.counter("checkpoint_failures_total").inc()
        self._written = ()
        if self._said != str(error):
            log.error("%s; counters stand still until a checkpoint can be written", error)
        self._said = str(error)

    def _moment(self) -> Moment | None:
        """Take a checkpoint; None when the last one says the same."""
        touched = self._take_failures()
        self._note_events()
        counters = {n: dict(self._countable(c)) for n, c in counters_of(self._state).items()}
        counters["events"] = self._events
        scopes = self._scopes
        unborn = {n: frozenset(c.unborn) for n, c in counters_of(self._state).items()}
        now, written = self._clock(), (counters, unborn, scopes, set(self._versions))
        if self._written == written and not touched and now - self._saved_at < REFRESH_SECONDS:
            return None
        self._written, self._saved_at = written, now
        return Moment(self._encode(counters, unborn, scopes), counters, unborn)

    def _take_failures(self) -> set[str]:
        """Encode the failures of namespaces where some changed, and name these.

        Until all reports are listed again after a restart, what the last checkpoint says of them
        stays: only then is it known what differs.
        """
        ledger = self._state.ledger
        if ledger.memory:
            return set()
        touched, ledger.failures.touched = ledger.failures.touched, set()
        for namespace in touched:
            body = encode_failures(self._state, namespace)
            self._failures.pop(namespace, None)
            if body:
                self._failures[namespace] = msgspec.Raw(body)
        self._scopes = sorted(map(scope_name, ledger.counting))
        return touched

    def _countable(self, counters: Counters) -> dict[Labels, int]:
        """Give the counts that go with the failures that are kept."""
        return counters.shown if self._state.ledger.memory else counters.rows

    def _encode(
        self,
        counters: dict[str, dict[Labels, int]],
        unborn: dict[str, frozenset[Labels]],
        scopes: list[str],
    ) -> bytes:
        return msgspec.json.encode(
            Checkpoint(
                schema=SCHEMA,
                cluster=self._cluster,
                saved_at=self._saved_at,
                versions=self._versions,
                scopes=scopes,
                counters={name: list(rows.items()) for name, rows in counters.items()},
                repeated=self._repeated,
                failures=self._failures,
                unborn={name: sorted(rows) for name, rows in unborn.items()},
            )
        )

    def _note_events(self) -> None:
        """Take over what Events were counted, if some versions cover just that.

        None does while a list is half read, nor after a version was lost (410) until a list has
        brought another: a restart would then count again what came after the older one.
        """
        occurrences = self._state.occurrences
        events = [f for f in self._followers if _is_events(f.scope)]
        counted = [f for f in events if f.synced or scope_name(f.scope) in self._versions]
        if occurrences.listing or not all(map(self._covers, counted)):
            return
        self._versions.update({scope_name(f.scope): f.version for f in counted})
        self._events = dict(occurrences.total.rows)
        self._repeated = occurrences.repeated()

    def _covers(self, follower: Follower) -> bool:
        """Say whether a watch has come as far as what is counted: a survey was ahead of it."""
        if not follower.synced or not follower.version:
            return False
        counted = self._state.occurrences.watermarks.get(follower.scope, 0)
        return not follower.version.isdecimal() or int(follower.version) >= counted


def _is_events(scope: Scope) -> bool:
    return scope.resource.name == EVENTS.name
