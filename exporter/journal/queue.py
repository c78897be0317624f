"""The lines of the journal that are in memory, within bounds, and shared by namespace."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from exporter.journal.line import LINE_BYTES
from exporter.journal.writer import LineWriter, Target
from exporter.model.changes import Scope
from exporter.state.memory import hash_of
from exporter.state.occurrences import Check
from exporter.state.report_store import ReportKey

log = logging.getLogger(__name__)

LIMIT_BYTES: Final = 16 * 2**20
"""All lines in memory together, whether they wait for a checkpoint or for the file."""

_SHARE: Final = 4
_REAP_LINES: Final = 200


class FailureKey(NamedTuple):
    """Which failure opened or closed. ``hashed`` is computed only where keys are compared."""

    opened: bool
    place: ReportKey
    check: Check

    @property
    def hashed(self) -> tuple[bool, str]:
        """Name it as one that closed before its report was listed is known: by its hash only."""
        kind, resource, *_ = self.check
        known_as = f"#{hash_of(self.place, self.check):x}" if kind or resource else self.place.name
        return (self.opened, known_as)


class Entry(NamedTuple):
    """An encoded line; *key* identifies the occurrence and *row* the counter's row.

    Unlike the line's id, the key is the same in two exporters that see the occurrence in a watch
    and in a list. *origin* are the scope and the resourceVersion of the Event that it is of.
    """

    event_name: str
    namespace: str
    line: bytes
    key: Hashable = None
    row: tuple[str, ...] = ()
    origin: tuple[Scope, int] | None = None

    @property
    def compared(self) -> tuple[Hashable, tuple[str, ...]]:
        """Give what is equal for the same occurrence in another exporter."""
        key = self.key
        return (key.hashed if isinstance(key, FailureKey) else key), self.row


class JournalMetrics(Protocol):
    """What is counted about the journal."""

    def written(self, event_name: str, count: int) -> None:
        """Count lines that are written."""
        ...

    def dropped(self, reason: str, count: int) -> None:
        """Count lines that are not."""
        ...


class Journal:
    """The journal of a process: lines in memory within bounds, and the thread that writes them.

    Once half of the bytes are used, a namespace may hold at most a quarter of what is left, so that
    any number of namespaces leave some to the next. What is not admitted is counted, logged once,
    and reported as a gap when there is room again: ``on_gap`` is called with the number of lines.
    """

    def __init__(self, metrics: JournalMetrics, limit_bytes: int = LIMIT_BYTES) -> None:
        self.on_gap: Callable[[int], None] | None = None
        self.pending_bytes = 0
        self._metrics = metrics
        self._limit = limit_bytes
        self._held: Counter[str] = Counter()
        self._sent: deque[Entry] = deque()
        self._reaped = 0
        self._writer: LineWriter | None = None
        self._missing = 0

    def open(self, target: Target | None) -> None:
        """Write to *target* from now on; with None, once what is sent is written, to none."""
        self.reap()
        former = self._writer
        if former is not None and target is not None and former.target.file == target.file:
            former.retarget(target)
            return
        self._writer, self._reaped = None, 0
        if target is not None:
            for reason in _REASONS:  # only a counter that is exposed at 0 shows its first increase
                self._metrics.dropped(reason, 0)
            self._writer = LineWriter(target)
            self._writer.put(entry.line for entry in self._sent)
            if former is not None:
                former.abandon()
        elif former is not None:
            former.finish()
            while self._sent:
                self._forget(self._sent.popleft())

    def reopen(self) -> None:
        """Open the file of the journal's name again, as logrotate asks for."""
        if self._writer is not None:
            self._writer.reopen()

    def admit(self, entry: Entry) -> bool:
        """Take a line into account, if there is room for it."""
        size = len(entry.line)
        if self.pending_bytes + LINE_BYTES > self._limit // 2:
            self.reap()
        free = self._limit - self.pending_bytes
        if size > free:
            self.drop("full", 1)
            return False
        is_scarce = self.pending_bytes + size > self._limit // 2
        if is_scarce and self._held[entry.namespace] + size > free // _SHARE + LINE_BYTES:
            self.drop("share", 1)
            return False
        self._held[entry.namespace] += size
        self.pending_bytes += size
        return True

    def drop(self, reason: str, count: int) -> None:
        """Count lines that are not written."""
        if not self._missing:
            log.warning(
                "lines are missing from the journal: %s; "
                "policyreport_exporter_journal_dropped_total counts them",
                _REASONS[reason],
            )
        self._missing += count
        self._metrics.dropped(reason, count)

    def forget(self, entries: Iterable[Entry]) -> None:
        """Give back the room of admitted lines that are not to be written."""
        for entry in entries:
            self._forget(entry)

    def send(self, entries: Sequence[Entry]) -> None:
        """Write admitted lines."""
        self._sent += entries
        if len(self._sent) > _REAP_LINES:
            self.reap()
        if self._writer is not None:
            self._writer.put([entry.line for entry in entries])

    def unwritten(self) -> list[Entry]:
        """List the lines that were sent and are not written yet."""
        self.reap()
        return list(self._sent)

    def reap(self) -> None:
        """Count what is written, and report what was left out once there is room again."""
        writer = self._writer
        if writer is None:
            return
        names: Counter[str] = Counter()
        while self._reaped < writer.written:
            self._reaped += 1
            entry = self._sent.popleft()
            names[entry.event_name] += 1
            self._forget(entry)
        for name, count in names.items():
            self._metrics.written(name, count)
        if self._missing and self.pending_bytes < self._limit // 2:
            missing, self._missing = self._missing, 0
            log.warning("%d lines are missing from the journal", missing)
            if self.on_gap is not None:
                self.on_gap(missing)

    def close(self, seconds: float) -> None:
        """Write what was sent, within *seconds*; log what is left."""
        writer = self._writer
        if writer is None:
            return
        writer.finish()
        if not writer.join(seconds):
            writer.abandon()
        self.reap()
        if self._sent:
            log.error(
                "journal %s: %d lines could not be written before the exit",
                writer.target.file,
                len(self._sent),
            )

    def _forget(self, entry: Entry) -> None:
        size = len(entry.line)
        self.pending_bytes -= size
        self._held[entry.namespace] -= size
        if not self._held[entry.namespace]:
            del self._held[entry.namespace]


_REASONS: Final = {
    "full": "the file cannot be written, or not fast enough",
    "share": "too many lines of one namespace wait to be written",
    "repeats": "one Event represents too many violations",
}
