"""The parts of one exporter, joined: state, series, own metrics, followers."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, NoReturn

from exporter import __version__
from exporter.app.about import ExporterRows
from exporter.app.health import OutageLog, Readiness, kinds_of, settled
from exporter.app.memory import settle_after_sync
from exporter.app.scrape import ScrapeRenderer
from exporter.app.supervision import Supervisor
from exporter.checkpoint.capture import Checkpointer
from exporter.checkpoint.file import CheckpointStore
from exporter.checkpoint.format import Checkpoint
from exporter.checkpoint.writer import CheckpointWriter, survey
from exporter.errors import ApiError, Malformed
from exporter.journal.recorder import Recorder
from exporter.metrics.exposition import Exposition
from exporter.metrics.self_metrics import SelfMetrics
from exporter.model.changes import Applied, Change, Deleted, Scope
from exporter.model.metadata import version_number
from exporter.model.resource import OWNED_RESOURCES, REPORT_RESOURCES
from exporter.settings.file import Plan
from exporter.state.cluster import ClusterState
from exporter.watch.lists import (
    Lists,
    ListStrategy,
    NamespaceLists,
    PagedList,
    Reader,
    ReflectorOptions,
)
from exporter.watch.pace import Backoff, TimeSlice
from exporter.watch.ports import Source
from exporter.watch.reflector import Reflector
from exporter.wire.codec import ListPage


def options_of(scope: Scope, shards: int, mine: Callable[[str], bool]) -> ReflectorOptions:
    """Choose how to follow a scope in one of *shards* processes that takes the namespaces *mine*.

    Watches send the changes of every namespace all the same: there are few, and to watch each
    namespace alone would take as many connections as there are namespaces.
    """
    if shards == 1 or scope.resource not in (*REPORT_RESOURCES, *OWNED_RESOURCES):
        # The Event of a cluster-wide policy's violation lies in the namespace `default`.
        return ReflectorOptions()
    return ReflectorOptions(lists=own_namespaces(mine), stream=False)


def own_namespaces(mine: Callable[[str], bool]) -> Lists:
    """List long lists by namespace, those that are *mine*."""

    def lists(reader: Reader, namespace: str, first: ListPage) -> ListStrategy:
        async def chosen() -> Sequence[str]:
            return [each for each in await reader.namespaces() if mine(each)]

        if not first.cont:
            return PagedList(reader, namespace, first)
        return NamespaceLists(reader._replace(namespaces=chosen), namespace, first)

    return lists


log = logging.getLogger(__name__)

POLICIES_FIRST_SECONDS: Final = 10.0
"""Events wait this long for the policies that give them severity and category."""

SETTLE_SECONDS: Final = 60.0
"""How long changes may wait to be taken up by a scrape: what waits takes memory."""

_LOOK_SECONDS: Final = 0.05
_ONCE: Final = frozenset(
    {
        "policyreport_namespace_info",
        "policyreport_policy_info",
        "policyreport_policy_ready",
        "policyreport_policy_last_changed_timestamp_seconds",
    }
)
"""Families that shard 0 alone shows: the others know the same."""


class CheckpointTarget(NamedTuple):
    """Where checkpoints are kept, and how to learn which cluster they are of."""

    store: CheckpointStore
    identify: Callable[[], Awaitable[str]]


class Exporter:
    """One exporter over one source: its state, series, reflectors and checkpoints.

    - ``heard``: during a reload, the newest resourceVersion received, by scope; else None.
      ``_take`` adds to it; ``inherit``, exporter.app.handover and exporter.app.reloading set it.
    - ``journal``: where occurrences are recorded, None where no journal is configured. Only
      ``keep_journal`` sets it, before ``follow``.
    - ``began``: whether ``follow`` has read the checkpoint, or ``inherit`` has been called.
    """

    journal: Recorder | None = None

    def __init__(
        self,
        plan: Plan,
        source: Source,
        self_metrics: SelfMetrics,
        clock: Callable[[], float] = time.time,
        keeping: CheckpointTarget | None = None,
    ) -> None:
        self.heard: dict[Scope, int] | None = None
        self.plan = plan
        self.self_metrics = self_metrics
        self.clock = clock
        config = plan.config
        selection = config.selection(plan.shard)
        state = self.state = ClusterState(
            selection,
            clock,
            namespace_labels=config.labels.namespace_labels,
            controllers=config.events.controllers,
            known_policies_only=config.events.known_policies_only,
            shares=config.limits.shares,
            metadata=config.workloads.watch == "metadata",
        )
        exposure = config.exposure()
        if plan.shard[0]:
            exposure = exposure._replace(disabled=exposure.disabled | _ONCE)
        self.exposition = Exposition(self.state, exposure)
        turns = TimeSlice()
        self.reflectors = [
            Reflector(
                scope,
                source,
                self._take,
                self_metrics,
                options=options_of(scope, plan.shard[1], selection.namespace),
                turns=turns,
                forget_some=state.forget_some,
            )
            for scope in plan.scopes()
        ]
        self.health = Readiness(self.reflectors)
        self.scrapes = ScrapeRenderer(self.exposition, self_metrics, self.health.complete, clock)
        self.began = False
        checkpointer = Checkpointer(self.state, self.reflectors, config.choice(plan.shard), clock)
        store = keeping.store if keeping else None
        self.checkpoint_writer = CheckpointWriter(store, self.state, checkpointer, self_metrics)
        self._source = source
        self._keeping = keeping
        self._patience = POLICIES_FIRST_SECONDS
        self.about = ExporterRows(state, self.exposition, self.reflectors, self_metrics)

    def keep_journal(self, recorder: Recorder) -> None:
        """Write a line for each occurrence from now on."""
        self.journal = recorder
        self.checkpoint_writer.checkpointer.outbox = recorder.outbox
        self.checkpoint_writer.on_gap = lambda reason, s: recorder.gap(reason, seconds=s)

    async def follow(self) -> None:
        """Follow everything until cancelled; then keep what must not be lost."""
        if not self.began:
            self.about.expose()
            continues = await self._remember()
            if self.journal is not None:
                self.journal.started(__version__, continues=continues)
            self.began = True
        try:
            await self._follow()
        finally:
            if self.journal is not None:
                # The last checkpoint need not hold lines that are written.
                await self.checkpoint_writer.commit()
                await self.journal.written()
            await self.checkpoint_writer.close()

    async def inherit(self, checkpoint: Checkpoint, store: CheckpointStore | None) -> None:
        """Begin with what was captured of another exporter, which is still shown."""
        # The other is shown as long as it takes; only with its policy an Event counts where it did.
        self._patience = math.inf
        self.heard = {}
        if self.journal is not None:
            self.journal.outbox.wait()
        await self.checkpoint_writer.inherit(checkpoint, store)
        self.began = True

    async def _follow(self) -> None:
        supervised = Supervisor(self.self_metrics)
        interval = self.plan.config.checkpoint_interval
        async with asyncio.TaskGroup() as tasks:
            checkpoints = partial(self.checkpoint_writer.run, interval)
            tasks.create_task(supervised("checkpoints", checkpoints), name="checkpoints")
            tasks.create_task(self._when_complete(), name="first sync")
            tasks.create_task(self._settle(), name="unscraped changes")
            tasks.create_task(
                OutageLog(self.reflectors, self.state, self.clock).run(), name="log of outages"
            )
            for reflector in self.reflectors:
                if kinds_of(reflector.scope) != "events":
                    tasks.create_task(reflector.run(), name=str(reflector))
            await self._policies_known()
            for reflector in self.reflectors:
                if kinds_of(reflector.scope) == "events":
                    await self._resume(reflector)
                    tasks.create_task(reflector.run(), name=str(reflector))

    async def _resume(self, reflector: Reflector) -> None:
        """Let a watch go on from the checkpoint, unless the cluster is older than that."""
        covered = self.state.violation_events.watermarks.get(reflector.scope)
        if covered is None:
            return
        version = await survey(self._source, reflector.scope, self.state)
        if 0 < covered <= version_number(version):
            reflector.resume_from(str(covered))
        elif version:
            del self.state.violation_events.watermarks[reflector.scope]
            log.warning("the cluster was restored from a backup that is older than the checkpoint")
            self.self_metrics.counter("counter_resets_total", "restored").inc()
            self.checkpoint_writer.report_gap("cluster_restored")

    async def _remember(self) -> bool:
        """Begin with the checkpoint, once it is known which cluster this is; True if it is used."""
        if self._keeping is None:
            log.info(
                "neither --state.configmap nor --state.dir is set: counters start at 0, and "
                "earlier Events are not counted"
            )
            return False
        return await self.checkpoint_writer.open(await self._identity(self._keeping.identify))

    async def _identity(self, identify: Callable[[], Awaitable[str]]) -> str:
        """Ask the API server who it is for as long as it takes; nothing else works before."""
        delays = Backoff(random.random)
        while True:
            try:
                return await identify()
            except (ApiError, Malformed) as error:
                log.warning("the cluster cannot be identified yet: %s", error)
                await asyncio.sleep(delays.after(0.0, 0.0))

    async def _policies_known(self) -> None:
        """Wait for the policies, but not for one that cannot be had."""
        policies = [f for f in self.reflectors if kinds_of(f.scope) == "policies"]
        deadline = time.monotonic() + self._patience
        while not all(map(settled, policies)) and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)

    async def _when_complete(self) -> None:
        """Once all reports are listed, freeze the heap and count what ended before the start."""
        while not self.health.complete("reports"):
            await asyncio.sleep(_LOOK_SECONDS)
        await self.scrapes.settle()
        if self.checkpoint_writer.active:
            settle_after_sync()
        if any(f.synced for f in self.reflectors if kinds_of(f.scope) == "reports"):
            log.info("first sync of reports is complete")
        while not await self.finish_restore():
            await asyncio.sleep(_LOOK_SECONDS)

    async def _settle(self) -> NoReturn:
        """Update the series every SETTLE_SECONDS, for when no Prometheus scrapes."""
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            if self.health.complete("reports"):
                await self.scrapes.settle()

    async def finish_restore(self) -> bool:
        """Once everything in the checkpoint was listed, count what ended: refused is not gone.

        False while that is still to come.
        """
        ledger = self.state.ledger
        known = [f for f in self.reflectors if f.scope in ledger.counting]
        if not self.health.complete("reports"):
            return False
        if not all(f.synced or f.state == "not served" for f in known):
            return False
        while ledger.restore.finish_some():
            await asyncio.sleep(0)
        return True

    def reflector(self, scope: Scope) -> Reflector | None:
        """Give the follower of a scope."""
        return next((f for f in self.reflectors if f.scope == scope), None)

    def _take(self, change: Change) -> None:
        self.state.apply(change)
        if self.heard is not None and isinstance(change, Applied | Deleted):
            version = version_number(change.object.version)
            if version > self.heard.get(change.scope, 0):
                self.heard[change.scope] = version
