"""Consistent moments of all that only this program knows, taken out of the state and put back."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from exporter.checkpoint.failures import FailureColumns, PackedFailures
from exporter.checkpoint.filters import CountingFilters
from exporter.checkpoint.format import (
    SCHEMA,
    Checkpoint,
    counters_of,
    judgement,
    memory_of,
    restore,
    restore_counters,
    scope_name,
)
from exporter.checkpoint.lines import JournalPort, NoJournal
from exporter.model.changes import Scope
from exporter.model.metadata import version_number
from exporter.model.resource import EVENTS
from exporter.state.cluster import ClusterState
from exporter.state.report_store import ReportKey
from exporter.state.tally import Counters, Labels
from exporter.state.violation_events import Key
from exporter.watch.reflector import Reflector

SLICE_REPORTS: Final = 200
"""Reports that are encoded in one turn of the event loop: some milliseconds."""

Counts = dict[str, dict[Labels, int]]


class Capture(NamedTuple):
    """A checkpoint, and the counters in it, to be shown once it is durable.

    *mark* is how many lines of the journal it and its predecessors cover.
    """

    checkpoint: Checkpoint
    counters: Counts
    unborn: dict[str, frozenset[Labels]]
    mark: int = 0


class Checkpointer:
    """Takes moments of one state, for a restart or for another state that follows it.

    Invariant: a state that begins with a capture counts again exactly what that does not cover.
    """

    def __init__(
        self,
        state: ClusterState,
        reflectors: Sequence[Reflector],
        choice: CountingFilters,
        clock: Callable[[], float],
    ) -> None:
        self.cluster = ""
        self.saved_at = 0.0
        self.outbox: JournalPort = NoJournal()
        self._state = state
        self._restore = state.ledger.restore
        self._reflectors = reflectors
        self.choice = choice
        self._clock = clock
        self._versions: dict[str, str] = {}
        self._events: dict[Labels, int] = {}
        self._repeated: list[tuple[Key, int]] = []
        self._failures = PackedFailures()
        self._former_failures: FailureColumns | None = None
        self._discarded = False
        self._failures_choice = choice
        self._scopes: list[str] = []
        self._restored: Counts = {name: {} for name in counters_of(state)}
        self._aside: Counts = {name: {} for name in counters_of(state)}
        self._unkept = False
        self._kept: tuple[object, ...] = ()

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self._clock()

    async def begin_with(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint into the state, which has seen nothing yet.

        Raises:
            StateError: it is broken; the state is as it was.
        """
        memory = await asyncio.to_thread(memory_of, checkpoint, self.choice)
        scopes = [f.scope for f in self._reflectors]
        self._aside = restore(self._state, checkpoint, scopes, self.choice, memory)
        self.cluster = checkpoint.cluster or self.cluster
        self._versions = dict(checkpoint.versions)
        self._restored = {n: dict(c.rows) for n, c in counters_of(self._state).items()}
        self._events = dict(self._restored["events"])
        self._repeated = list(checkpoint.repeated)
        self._former_failures = checkpoint.failures
        self._failures_choice = checkpoint.choice or self.choice
        self._scopes = checkpoint.scopes

    def take(self, refresh_seconds: float) -> Capture | None:
        """Take a moment to be written; None when the last one holds the same and is not old."""
        self._take_failures()
        self.cover_events()
        counters = self._counters()
        unborn = {n: frozenset(c.unborn) for n, c in counters_of(self._state).items()}
        lines = self.outbox.covered()
        content = (counters, unborn, self._scopes, set(self._versions), bool(lines))
        now = self._clock()
        if self._kept == content and not self._unkept and now - self.saved_at < refresh_seconds:
            return None
        self._kept, self._unkept, self.saved_at = content, False, now
        return Capture(self._checkpoint(counters, lines), counters, unborn, self.outbox.mark)

    def lose(self) -> None:
        """Note that the last moment could not be kept."""
        self._kept = ()

    def capture(self) -> Checkpoint | None:
        """Take a moment for another state to begin with; None while no versions cover it."""
        self._take_failures()
        if not self.cover_events() and self._events != self._state.violation_events.total.rows:
            return None
        return self._checkpoint(self._counters())

    def encode_some(self) -> bool:
        """Encode the failures of some reports that changed; False when none is left.

        What is encoded between turns of the event loop is not left to ``take``.
        """
        if not self._restore.is_over:
            return False
        failures = self._state.ledger.failures
        if self._discarded:
            self._discarded, self._failures = False, PackedFailures()
            for place in failures.places:
                failures.touch(place)
        left = SLICE_REPORTS
        while failures.touched and left > 0:
            namespace, names = failures.touched.popitem()
            some = [names.pop() for _ in range(min(left, len(names)))]
            left -= len(some)
            if names:
                failures.touched[namespace] = names
            for place in [ReportKey(namespace, name) for name in some]:
                self._failures.put(place, failures.places.get(place))
            self._unkept = True
        return bool(failures.touched)

    def discard(self) -> None:
        """Forget which reports changed, where no checkpoint is written: a capture takes all."""
        self._discarded = True
        self._state.ledger.failures.touched.clear()

    async def rebase(self, checkpoint: Checkpoint) -> bool:
        """Go on from a checkpoint of another process, as after a restart; the state stays.

        Counted again is exactly what that checkpoint does not cover: the ``uncommitted`` Events,
        and the failures that differ between then and now. These are compared in turns; a
        capture in the meantime is that of the checkpoint. False, and nothing was done, while this
        one is still reading the first lists after a restart.

        Raises:
            StateError: it is broken; the state is as it was.
        """
        if not self._restore.is_over:
            return False
        memory = await asyncio.to_thread(memory_of, checkpoint, self.choice)
        higher = self._begin_again(checkpoint)
        self._restore.compare(memory, redate=True)
        try:
            while self._restore.finish_some():
                await asyncio.sleep(0)
        finally:  # what a cancelled task has left is done at once: half of it would be wrong
            self._restore.finish()
            for name, counters in counters_of(self._state).items():
                for labels, value in higher[name].items():
                    counters.raise_to(labels, value, unborn=False)
                self._restored[name] = dict(counters.rows)
            self._kept = ()
            self.outbox.replay(checkpoint.journal)
        return True

    def _begin_again(self, checkpoint: Checkpoint) -> Counts:
        """Go back to the counts of a checkpoint; return the rows that are shown beyond them."""
        self.drop_covered(checkpoint)
        shown = {name: c.shown for name, c in counters_of(self._state).items()}
        events = self._state.violation_events
        self._aside = restore_counters(self._state, checkpoint, self.choice)
        self._restored = {n: dict(c.rows) for n, c in counters_of(self._state).items()}
        higher = {n: c.show_at_least(shown[n]) for n, c in counters_of(self._state).items()}
        self._former_failures = checkpoint.failures
        self._failures_choice = checkpoint.choice or self.choice
        self._scopes = checkpoint.scopes
        self._events, self._repeated = dict(events.total.rows), list(checkpoint.repeated)
        for each in events.uncommitted or ():
            events.total.add(each.labels, each.amount)
        for scope in [f.scope for f in self._reflectors if _is_events(f.scope)]:
            version = version_number(checkpoint.versions.get(scope_name(scope), ""))
            self._versions[scope_name(scope)] = str(version or "")
            events.counted_elsewhere[scope] = version
            events.watermarks[scope] = max(version, events.watermarks.get(scope, 0))
        return higher

    def drop_covered(self, checkpoint: Checkpoint) -> None:
        """Forget the lines of what another process has counted: it writes them."""
        versions = {name: version_number(v) for name, v in checkpoint.versions.items()}
        self.outbox.drop_covered(
            lambda scope, version: version <= versions.get(scope_name(scope), 0)
        )

    def catch_up(self, former: "Checkpointer") -> None:
        """Let no counter fall below what *former* counted.

        Of what began and ended again before this one listed, only the former one knows. Once both
        were given the same, the larger of two counts is the truth.
        """
        theirs = counters_of(former._state)  # noqa: SLF001 - one of the same class
        for name, counters in counters_of(self._state).items():
            self._raise(name, counters, theirs[name], former._aside[name])  # noqa: SLF001
        former.cover_events()
        if not self.cover_events():
            self._events_of(former)

    def _raise(
        self, name: str, counters: Counters, theirs: Counters, aside: dict[Labels, int]
    ) -> None:
        counts = judgement(self.choice.judge(), name)
        restored, left_out = self._restored[name], self._aside[name]
        for labels, value in [*aside.items(), *theirs.rows.items()]:
            if counts(labels):
                counters.raise_to(labels, value, unborn=labels in theirs.unborn)
                restored[labels] = max(value, restored.get(labels, 0))
            else:
                left_out[labels] = max(value, left_out.get(labels, 0))
        # What was shown at 0 for long enough meanwhile must not be shown at 0 again.
        born = {k for k in counters.unborn if k in theirs.rows} - theirs.unborn
        counters.unborn -= born
        counters.changed |= born

    def _events_of(self, former: "Checkpointer") -> None:
        """Go on with what the former one knew of Events, until this one's versions cover it."""
        self._versions = dict(former._versions)  # noqa: SLF001
        self._repeated = list(former._repeated)  # noqa: SLF001
        total = self._state.violation_events.total.rows
        self._events = {k: n for k, n in former._events.items() if k in total}  # noqa: SLF001
        marks = self._state.violation_events.watermarks
        for reflector in self._reflectors:
            if version := version_number(self._versions.get(scope_name(reflector.scope), "")):
                marks[reflector.scope] = max(version, marks.get(reflector.scope, 0))

    def _take_failures(self) -> None:
        """Encode the failures of the reports that are left.

        Until all reports are listed again after a restart, those of the last checkpoint stay:
        only then is it known what differs.
        """
        if not self._restore.is_over:
            return
        while self.encode_some():
            pass
        if self._former_failures is not None:
            self._former_failures, self._unkept = None, True
        self._failures_choice = self.choice
        self._scopes = sorted(map(scope_name, self._state.ledger.counting))
        self.outbox.cover("failures")

    def _counters(self) -> Counts:
        """Give the counts that go with the failures and the versions that are kept."""
        learning = not self._restore.is_over
        counters = {
            name: dict(self._restored[name] if learning else c.rows)
            for name, c in counters_of(self._state).items()
        }
        counters["events"] = self._events
        return counters

    def _checkpoint(self, counters: Counts, lines: Sequence[bytes] = ()) -> Checkpoint:
        unborn = {name: sorted(c.unborn) for name, c in counters_of(self._state).items()}
        former = self._former_failures
        return Checkpoint(
            schema=SCHEMA,
            cluster=self.cluster,
            saved_at=self._clock(),
            versions=dict(self._versions),
            scopes=self._scopes,
            counters={n: [*rows.items(), *self._aside[n].items()] for n, rows in counters.items()},
            repeated=self._repeated,
            failures=self._failures.columns() if former is None else former,
            unborn=unborn,
            choice=self._failures_choice,
            overruled=sorted(self._state.violation_events.overruled),
            journal=[msgspec.Raw(line[:-1]) for line in lines],
        )

    def cover_events(self) -> bool:
        """Take over what Events were counted, if some versions cover just that.

        None does while a list is incomplete, nor after a version expired (410) until the next list:
        a restart would then count again what came after the older one.
        """
        violation_events = self._state.violation_events
        events = [f for f in self._reflectors if _is_events(f.scope)]
        counted = [f for f in events if f.synced or scope_name(f.scope) in self._versions]
        if violation_events.listing or not all(map(self._covers, counted)):
            return False
        self._versions.update({scope_name(f.scope): f.version for f in counted})
        self._events = dict(violation_events.total.rows)
        self._repeated = violation_events.repeated()
        self.outbox.cover("events")
        return True

    def _covers(self, reflector: Reflector) -> bool:
        """Return whether a watch has come as far as what is counted: a survey was ahead of it."""
        if not reflector.synced or not reflector.version:
            return False
        counted = self._state.violation_events.watermarks.get(reflector.scope, 0)
        version = version_number(reflector.version)
        return not version or version >= counted


def _is_events(scope: Scope) -> bool:
    return scope.resource.name == EVENTS.name
