"""Follow the checkpoints of another process, and take over once it writes no more."""

import asyncio
import logging
import random
from typing import Final

from exporter.checkpoint.capture import Capture, Checkpointer
from exporter.checkpoint.format import (
    Checkpoint,
    chosen_rows,
    counters_of,
    decode,
    scope_name,
)
from exporter.checkpoint.object import ObjectStore
from exporter.model.metadata import version_number
from exporter.state.cluster import ClusterState
from exporter.state.tally import Labels
from exporter.state.violation_events import CountedEvent

log = logging.getLogger(__name__)

PATIENCE: Final = 3.0
"""For how many of its pauses another process may leave uncommitted what this one has counted."""

MAX_UNCOMMITTED: Final = 100_000
"""Events that are remembered between two checkpoints; of more, the oldest are forgotten."""

INTERVAL_SECONDS: Final = 10.0
JITTER: Final = 0.5


class Follower:
    """Shows the counters that another process makes durable.

    Both count the same. So this one knows when there is something to write, and takes over when
    the other one has not written it for a while, or has noted that it ends. It then continues from
    the other's last checkpoint, as after a restart; the resourceVersion decides if several do.
    ``interval`` is the time between checkpoints in seconds, the same in all replicas.
    """

    def __init__(self, store: ObjectStore, state: ClusterState, checkpointer: Checkpointer) -> None:
        self.store = store
        self.interval = INTERVAL_SECONDS
        self._state = state
        self._checkpointer = checkpointer
        state.violation_events.uncommitted = []
        self._totals = self._failure_totals()
        self._news_since = 0.0
        self._read_at = asyncio.get_running_loop().time()
        self._captured: Checkpoint | None = None
        self._impatience = 1 + JITTER * random.random()  # noqa: S311 - no secret

    def begin_with(self, checkpoint: Checkpoint) -> None:
        """Follow on from a checkpoint that this process has restored."""
        self.store.other = checkpoint
        self._read_at = asyncio.get_running_loop().time()
        self._totals = self._failure_totals()

    def inherit(self, checkpoint: Checkpoint) -> Capture | None:
        """Begin with what a former exporter in this process captured; return what may be shown."""
        self._captured = checkpoint
        following = self.store.following and self.store.other is not None
        return self._shown(self.store.other) if following and self.store.other else None

    def catch_up(self, former: "Follower") -> None:
        """Keep what the former exporter has counted and no durable checkpoint covers yet."""
        events, captured = self._state.violation_events, self._captured
        counts = self._checkpointer.choice.judge().occurrence
        theirs = former._state.violation_events.uncommitted or []  # noqa: SLF001 - the same class
        if captured is not None:
            before = [e for e in theirs if _covers(captured, e) and counts(e.labels)]
            since = [e for e in events.uncommitted or [] if not _covers(captured, e)]
            events.uncommitted = before + since

    async def step(self) -> Capture | None:
        """Read what the other process wrote; return it if it is new.

        Afterwards ``store.following`` is False if this process took over.

        Raises:
            StateError: it cannot be read, or not be used.
        """
        now = asyncio.get_running_loop().time()
        look = await self.store.look()
        new: Capture | None = None
        if look.content:
            self.store.other = await asyncio.to_thread(decode, look.content)
            self._read_at, self._news_since = now, 0.0
            self._totals = self._failure_totals()
            new = self._shown(self.store.other)
        if self.store.other is not None:
            self._forget(self.store.other)  # also what arrived here after it was read
        if not self._news_since and self._has_news():
            self._news_since = now
        if not look.active or self._is_silent(now):
            await self._take_over(look.writer, active=look.active)
        return new

    def note_durable(self, checkpoint: Checkpoint) -> None:
        """Forget the Events that a durable checkpoint, of any process, covers."""
        self._forget(checkpoint)
        self._totals = self._failure_totals()

    def _forget(self, checkpoint: Checkpoint) -> None:
        events = self._state.violation_events
        events.uncommitted = [
            each
            for each in (events.uncommitted or [])[-MAX_UNCOMMITTED:]
            if not _covers(checkpoint, each)
        ]

    def _has_news(self) -> bool:
        """Whether something was counted since the last durable checkpoint."""
        if self._state.violation_events.uncommitted:
            return True
        return self._failure_totals() != self._totals

    def _failure_totals(self) -> tuple[int, int]:
        failures = self._state.ledger.failures
        return sum(failures.opened.rows.values()), sum(failures.closed.rows.values())

    def _is_silent(self, now: float) -> bool:
        pause = max(self.interval, self.store.pause_of_last_write)
        patience = PATIENCE * pause * self._impatience
        waited = bool(self._news_since) and now - self._news_since > patience
        return waited or now - self._read_at > self.store.refresh_seconds + patience

    async def _take_over(self, writer: str, *, active: bool) -> None:
        other = self.store.other
        if other is not None and not await self._checkpointer.rebase(other):
            return
        self.store.following = False
        self._news_since = 0.0
        why = "is silent" if active else "has ended"
        log.info("%s %s: this process writes the checkpoint now", writer or "the writer", why)

    def _shown(self, checkpoint: Checkpoint) -> Capture:
        """Give what may be shown of a checkpoint: no counter decreases."""
        judge = self._checkpointer.choice.judge()
        counts: dict[str, dict[Labels, int]] = {}
        unborn: dict[str, frozenset[Labels]] = {}
        for name, counters in counters_of(self._state).items():
            rows = counts[name] = chosen_rows(checkpoint, name, judge)[0]
            for labels, value in counters.shown.items():
                rows[labels] = max(value, rows.get(labels, 0))
            unborn[name] = frozenset(checkpoint.unborn.get(name, ()))
        return Capture(checkpoint, counts, unborn)


def _covers(checkpoint: Checkpoint, counted: CountedEvent) -> bool:
    """Whether a checkpoint has counted an Event."""
    covered = checkpoint.versions.get(scope_name(counted.scope), "")
    return counted.version <= version_number(covered)
