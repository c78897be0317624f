"""Keeps what a restart must not lose: commit, then expose."""

import asyncio
import logging
from typing import NoReturn

from exporter.checkpoint.capture import Capture, Checkpointer
from exporter.checkpoint.file import StateFile
from exporter.checkpoint.format import (
    EVENT_LIFETIME_SECONDS,
    Checkpoint,
    counters_of,
    decode,
    encode,
)
from exporter.errors import ApiError, Malformed, StateError
from exporter.metrics.self_metrics import SelfMetrics
from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.metadata import version_number
from exporter.state.cluster import ClusterState
from exporter.watch.lists import all_pages
from exporter.watch.ports import Source

log = logging.getLogger(__name__)


async def survey(source: Source, scope: Scope, state: ClusterState) -> str:
    """List a scope into the state and return the version of the list; empty when it failed.

    The list brings what lives, and counts what is newer than the checkpoint. The watch that then
    goes on from the checkpoint also brings what came and went meanwhile; what both bring counts
    once. The watermark is then how far that watch must come to cover what is counted.
    """
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
            version = page.version
        state.apply(InitDone(scope))
        state.violation_events.watermarks[scope] = newest
    except (ApiError, Malformed) as error:
        log.info("%s: to be listed again: %s", scope.resource.name, error)
        return ""
    return version


log = logging.getLogger(__name__)


class CheckpointWriter:
    """Writes checkpoints; counters are shown as the last durable one holds them.

    Invariant: what is shown never exceeds what a restart would know, and a restart counts again
    exactly what the checkpoint does not cover. So a crash at any point neither loses nor repeats
    anything that was shown. Without a file, counters are shown as they are.

    Only one that is ``active`` writes by itself: of two that share a file, one is.
    """

    def __init__(
        self,
        file: StateFile | None,
        state: ClusterState,
        checkpointer: Checkpointer,
        self_metrics: SelfMetrics,
    ) -> None:
        self.checkpointer = checkpointer
        self.active = True
        self.turn = asyncio.Lock()
        self._file = file
        self._state = state
        self._self_metrics = self_metrics
        self._said = ""

    async def open(self, cluster: str) -> bool:
        """Begin with the checkpoint of *cluster*, if there is one; True when it was used.

        What cannot be used is set aside and logged, and counting restarts.
        """
        if self._file is None:
            return False
        self.checkpointer.cluster = cluster
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
        return await self._adopt(self._file, body)

    def inherit(self, checkpoint: Checkpoint, file: StateFile | None) -> None:
        """Begin with what the keeper of *file* captured; it goes on to keep it."""
        self._file = file
        self.active = False
        self.checkpointer.begin_with(checkpoint)
        if file is None:
            self._show_all()

    async def run(self, interval: float) -> NoReturn:
        """Commit every *interval* seconds until cancelled."""
        while True:
            await asyncio.sleep(interval)
            await self.commit()

    async def commit(self) -> None:
        """Make the counters durable, then show them; not while another keeper does."""
        async with self.turn:
            if self.active:
                await self.commit_now()

    async def commit_now(self) -> bool:
        """Make the counters durable, then show them; False when that failed."""
        if self._file is None:
            self.checkpointer.discard()
            return True
        while self.checkpointer.encode_some():
            await asyncio.sleep(0)
        moment = self.checkpointer.take()
        if moment is None:
            return True
        try:
            await asyncio.to_thread(self._file.write, encode(moment.checkpoint))
        except StateError as error:
            self._failed(error)
            return False
        self._show(moment)
        return True

    @property
    def file(self) -> StateFile | None:
        """Where checkpoints are kept; None where they are not, or cannot be."""
        return self._file

    def _show(self, moment: Capture) -> None:
        for name, counters in counters_of(self._state).items():
            counters.publish(moment.counters[name], moment.unborn[name])
        saved_at = moment.checkpoint.saved_at
        self._self_metrics.gauge("checkpoint_last_success_timestamp_seconds").set(saved_at)
        if self._said:
            log.info("checkpoints can be written again")
        self._said = ""

    def _show_all(self) -> None:
        for counters in counters_of(self._state).values():
            counters.publish(counters.rows)

    async def _adopt(self, file: StateFile, body: bytes) -> bool:
        try:
            checkpoint = decode(body)
            cluster = self.checkpointer.cluster
            if cluster and checkpoint.cluster not in ("", cluster):
                await self._restart_counting(file, "cluster", "it is of another cluster")
                return False
            self.checkpointer.begin_with(checkpoint)
        except StateError as error:
            await self._restart_counting(file, "unusable", str(error))
            return False
        self._note_gap(checkpoint.saved_at)
        return True

    def _note_gap(self, saved_at: float) -> None:
        away = max(self.checkpointer.now - saved_at, 0)
        gap = max(away - EVENT_LIFETIME_SECONDS, 0)
        self._self_metrics.counter("event_gap_seconds_total").inc(gap)
        log.info("continuing from a checkpoint, %.0f seconds old", away)
        if gap:
            log.warning("Events of %.0f seconds may have expired uncounted", gap)

    async def _restart_counting(self, file: StateFile, reason: str, why: str) -> None:
        self._self_metrics.counter("counter_resets_total", reason).inc()
        try:
            aside = await asyncio.to_thread(file.set_aside, reason)
        except StateError as error:
            self._give_up(error)
            return
        log.warning("checkpoint not used, %s; kept as %s; counting restarts", why, aside)

    def _give_up(self, error: StateError) -> None:
        """Go on as without a state directory: counters begin at 0 and are shown as they are."""
        self._file = None
        self._self_metrics.counter("checkpoint_failures_total").inc()
        self._show_all()
        log.error("%s; going on without checkpoints", error)

    def _failed(self, error: StateError) -> None:
        """Show what was durable last, and try again: shown counters do not move meanwhile."""
        self._self_metrics.counter("checkpoint_failures_total").inc()
        self.checkpointer.lose()
        if self._said != str(error):
            log.error("%s; counters stand still until a checkpoint can be written", error)
        self._said = str(error)
