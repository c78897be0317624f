"""Keeps what a restart must not lose: commit, then expose."""

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

from exporter.checkpoint.capture import Capture, Checkpointer
from exporter.checkpoint.file import CheckpointStore
from exporter.checkpoint.follow import Follower
from exporter.checkpoint.format import (
    EVENT_LIFETIME_SECONDS,
    Checkpoint,
    counters_of,
    decode,
)
from exporter.checkpoint.object import ObjectStore, OvertakenError
from exporter.errors import ApiError, Malformed, StateError
from exporter.metrics.self_metrics import SelfMetrics
from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.metadata import version_number
from exporter.state.cluster import ClusterState
from exporter.watch.lists import all_pages
from exporter.watch.pace import TimeSlice
from exporter.watch.ports import Source

log = logging.getLogger(__name__)


async def survey(
    source: Source, scope: Scope, state: ClusterState, turns: TimeSlice | None = None
) -> str:
    """List a scope into the state and return the version of the list; empty when it failed.

    The list contains what exists, and what is newer than the checkpoint counts. The watch that then
    continues from the checkpoint also sends what was created and deleted meanwhile; what both
    contain counts once. The watermark is then how far that watch must come to cover what is
    counted. Yields to the event loop as *turns* demand.
    """
    turns = turns or TimeSlice()
    try:
        resource = await source.resolve(scope.resource)
        if resource is None:
            return ""
        state.apply(Init(scope))
        version, newest = "", 0
        async for page in all_pages(source, resource, scope.namespace):
            for item in page.objects:
                state.apply(Applied(scope, item))
                newest = max(newest, version_number(item.version))
                if turns.over:
                    await asyncio.sleep(0)
            version = page.version
        state.apply(InitDone(scope))
        state.violation_events.watermarks[scope] = newest
    except (ApiError, Malformed) as error:
        log.info("%s: will be listed again: %s", scope.resource.name, error)
        return ""
    return version


class CheckpointWriter:
    """Writes checkpoints; counters are shown as the last durable one holds them.

    Invariant: what is shown never exceeds what a restart would know, and a restart counts again
    exactly what the checkpoint does not cover. So a crash at any point neither loses nor repeats
    anything that was shown. Without a store, counters are shown as they are.

    While another process writes to the store, this one shows what that makes durable.

    - ``active``: whether ``commit`` writes. Of two writers that share a store during a reload, one
      is active. ``inherit`` sets it to False, app.handover switches both.
    - ``turn``: held while a checkpoint is written, and by app.handover while it copies the state.
    - ``on_gap``: called with a reason and seconds when occurrences are possibly missing;
      app.exporter sets it where a journal is kept.
    - ``left_out``: how many failures and counters the last checkpoint had no room for.
    """

    def __init__(
        self,
        store: CheckpointStore | None,
        state: ClusterState,
        checkpointer: Checkpointer,
        self_metrics: SelfMetrics,
    ) -> None:
        self.checkpointer = checkpointer
        self.active = True
        self.on_gap: Callable[[str, float], None] | None = None
        self.turn = asyncio.Lock()
        self._store = store
        self._state = state
        self._self_metrics = self_metrics
        self._said = ""
        self._given_up = False
        self.left_out: dict[str, int] = {}
        self._follower = self._new_follower()

    async def open(self, cluster: str) -> bool:
        """Begin with the checkpoint of *cluster*, if there is one; True when it was used.

        What cannot be used is set aside and logged, and counting restarts.
        """
        if self._store is None:
            return False
        self.checkpointer.cluster = cluster
        self.checkpointer.outbox.hold()
        try:
            body = await self._store.open()
        except StateError as error:
            self._give_up(error)
            return False
        for counters in counters_of(self._state).values():
            counters.publish({})
        if body is None:
            log.info("%s: no checkpoint yet; counters start at 0", self._store.name)
            return False
        return await self._adopt(self._store, body)

    async def inherit(self, checkpoint: Checkpoint, store: CheckpointStore | None) -> None:
        """Begin with what the writer to *store* captured; that writer stays active."""
        self._store = store
        self._follower = self._new_follower()
        self.active = False
        if store is not None:
            self.checkpointer.outbox.hold()
        await self.checkpointer.begin_with(checkpoint)
        if store is None:
            self._show_all()
        elif self._follower is not None and (shown := self._follower.inherit(checkpoint)):
            self._show(shown)

    def catch_up(self, former: "CheckpointWriter") -> None:
        """Copy what only the writer of the exporter that is still shown can know; idempotent."""
        self.checkpointer.catch_up(former.checkpointer)
        if self._follower is not None and former._follower is not None:  # noqa: SLF001
            self._follower.catch_up(former._follower)  # noqa: SLF001

    async def run(self, interval: float) -> NoReturn:
        """Commit every *interval* seconds, or as seldom as the store demands, until cancelled."""
        if self._follower is not None:
            self._follower.interval = interval
        while True:
            pause = 0.0 if self._store is None else self._store.pause_seconds
            await asyncio.sleep(max(interval, pause))
            await self.commit()

    async def close(self) -> None:
        """Commit for the last time, and let another process write."""
        await self.commit()
        if self._store is not None and self.active:
            await self._store.close()

    async def commit(self) -> None:
        """Make the counters durable, then show them; not while another writer does."""
        async with self.turn:
            if self.active:
                await self.commit_now()

    async def commit_now(self) -> bool:
        """Make the counters durable, then show them; False when that failed."""
        if self._store is None:
            if self._given_up:
                self._self_metrics.counter("checkpoint_failures_total").inc()
            self.checkpointer.discard()
            return True
        try:
            return await self._committed(self._store)
        except OvertakenError as error:
            self._self_metrics.counter("checkpoint_conflicts_total").inc()
            self.checkpointer.lose()
            log.warning("%s; this process now only reads it", error)
        except StateError as error:
            self._failed(error)
        except asyncio.CancelledError:
            self.checkpointer.lose()
            raise
        except Exception:
            # What was encoded of the capture is not known: the next one begins from the state.
            self.checkpointer.discard()
            self.checkpointer.lose()
            raise
        return False

    async def _committed(self, store: CheckpointStore) -> bool:
        follower = self._follower
        if follower is not None and follower.store.following:
            new = await follower.step()
            if new is not None:
                self._show(new)
            if new is not None and follower.store.following:
                self.checkpointer.drop_covered(new.checkpoint)
            if follower.store.following:
                self._self_metrics.gauge("checkpoint_writer").set(0)
                return True
        while self.checkpointer.encode_some():
            await asyncio.sleep(0)
        moment = self.checkpointer.take(store.refresh_seconds)
        if moment is not None:
            durable = await store.save(moment.checkpoint)
            if follower is not None:
                follower.note_durable(durable)
            self._show(moment._replace(checkpoint=durable))
        self._self_metrics.gauge("checkpoint_writer").set(1)
        return True

    @property
    def store(self) -> CheckpointStore | None:
        """Where checkpoints are kept; None where they are not, or cannot be."""
        return self._store

    def _new_follower(self) -> Follower | None:
        if not isinstance(self._store, ObjectStore):
            return None
        return Follower(self._store, self._state, self.checkpointer)

    def _show(self, moment: Capture) -> None:
        for name, counters in counters_of(self._state).items():
            counters.publish(moment.counters[name], moment.unborn[name])
        self.checkpointer.outbox.release(moment.mark)
        checkpoint, gauge = moment.checkpoint, self._self_metrics.gauge
        gauge("checkpoint_last_success_timestamp_seconds").set(checkpoint.saved_at)
        if self._store is not None:
            gauge("checkpoint_bytes").set(self._store.bytes_written)
        self._note_cut(checkpoint)
        if self._said:
            log.info("checkpoints can be written again")
        self._said = ""

    def _note_cut(self, checkpoint: Checkpoint) -> None:
        """Count what the checkpoint has no room for; log it when that begins and ends."""
        numbers = {
            "failures": sum(checkpoint.failures.cut.values()),
            "counters": checkpoint.counters_cut,
        }
        for name, number in numbers.items():
            self._self_metrics.gauge("checkpoint_left_out", name).set(number)
        left_out = {name: number for name, number in numbers.items() if number}
        if left_out and not self.left_out:
            log.warning(
                "not everything fits into the checkpoint; after a restart, the failures left out "
                "have no start time, and the counters left out restart at 0",
                extra=left_out,
            )
        elif self.left_out and not left_out:
            log.info("everything fits into the checkpoint again")
        self.left_out = left_out

    def _show_all(self) -> None:
        for counters in counters_of(self._state).values():
            counters.publish(counters.rows)
        self.checkpointer.outbox.release_all()

    async def _adopt(self, store: CheckpointStore, body: bytes) -> bool:
        try:
            checkpoint = await asyncio.to_thread(decode, body)
            cluster = self.checkpointer.cluster
            if cluster and checkpoint.cluster not in ("", cluster):
                await self._restart_counting(store, "cluster", "it belongs to another cluster")
                return False
            await self.checkpointer.begin_with(checkpoint)
        except StateError as error:
            await self._restart_counting(store, "unusable", str(error))
            return False
        if self._follower is not None:
            self._follower.begin_with(checkpoint)
        if self._follower is None or not self._follower.store.following:
            self.checkpointer.outbox.replay(checkpoint.journal)
        self._note_gap(checkpoint.saved_at)
        return True

    def _note_gap(self, saved_at: float) -> None:
        away = max(self.checkpointer.now - saved_at, 0)
        gap = max(away - EVENT_LIFETIME_SECONDS, 0)
        self._self_metrics.counter("event_gap_seconds_total").inc(gap)
        log.info("continuing from a checkpoint that is %.0f seconds old", away)
        if gap:
            self.report_gap("events_expired", gap)
            log.warning("Events of %.0f seconds may have expired before they were counted", gap)

    def report_gap(self, reason: str, seconds: float = 0.0) -> None:
        """Note that occurrences may be missing."""
        if self.on_gap is not None:
            self.on_gap(reason, seconds)

    async def _restart_counting(self, store: CheckpointStore, reason: str, why: str) -> None:
        self.report_gap(f"checkpoint_{reason}")
        self._self_metrics.counter("counter_resets_total", reason).inc()
        try:
            aside = await store.set_aside(reason)
        except StateError as error:
            self._give_up(error)
            return
        log.warning("checkpoint not used: %s; kept as %s; counters restart at 0", why, aside)

    def _give_up(self, error: StateError) -> None:
        """Go on as without a store: counters begin at 0 and are shown as they are."""
        self._store, self._follower, self._given_up = None, None, True
        self._self_metrics.counter("checkpoint_failures_total").inc()
        self.report_gap("no_checkpoints")
        self._show_all()
        log.error("%s; continuing without checkpoints", error)

    def _failed(self, error: StateError) -> None:
        """Show what was durable last, and try again: shown counters do not move meanwhile."""
        self._self_metrics.counter("checkpoint_failures_total").inc()
        self.checkpointer.lose()
        if self._said != str(error):
            log.error("%s; counters do not change until a checkpoint can be written", error)
        self._said = str(error)
