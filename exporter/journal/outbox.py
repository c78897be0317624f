"""Lines that wait for the checkpoint that covers them."""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Literal

import msgspec

from exporter.journal.queue import Entry, Journal
from exporter.model.changes import Scope

CHECKPOINT_BYTES: Final = 2 * 2**20
"""The lines that a checkpoint holds: about 3,000 occurrences."""

_MOST_RECORDED: Final = 200_000

Lane = Literal["events", "failures"]
"""What a checkpoint covers separately: violations' Events, and failures of reports."""


class Outbox:
    """The lines of one exporter. Invariant: what is counted durably has its line written.

    While lines are *held*, each waits in its lane until a moment of the state covers it
    (``cover``), and is written once that moment is durable (``release``). The checkpoint holds the
    lines that it covers (``covered``), so a restart can write them again. No line is written
    before it is counted durably, with one exception: if more than CHECKPOINT_BYTES wait, the oldest
    are written early, and a crash then can write them twice. Those of Events are first, because
    their ids and content come from the Event and are the same when it is counted again.
    """

    def __init__(self, journal: Journal) -> None:
        self.is_held = False
        self.is_waiting = False
        self._journal = journal
        self._lanes: dict[Lane, deque[Entry]] = {"events": deque(), "failures": deque()}
        self._inherited: dict[Lane, deque[Entry]] = {"events": deque(), "failures": deque()}
        self._covered: deque[Entry] = deque()
        self._released = 0
        self._bytes = 0
        self._is_muted = False
        self._noted: Counter[tuple[Hashable, tuple[str, ...]]] | None = None

    def add(self, lane: Lane, entry: Entry) -> None:
        """Take the line of an occurrence that was counted."""
        if self._is_muted:
            return
        self._record(entry)
        if not self._journal.admit(entry):
            return
        if not (self.is_held or self.is_waiting):
            self._journal.send((entry,))
            return
        self._lanes[lane].append(entry)
        self._bytes += len(entry.line)
        if self._bytes > CHECKPOINT_BYTES and not self.is_waiting:
            self._release_early()

    def add_now(self, entry: Entry) -> None:
        """Take a line that no counter and no checkpoint covers."""
        if not (self._is_muted or self.is_waiting) and self._journal.admit(entry):
            self._journal.send((entry,))

    def cover(self, lane: Lane) -> None:
        """Note that the next checkpoint covers what has been counted in a lane."""
        for lanes in (self._inherited, self._lanes):
            self._covered += lanes[lane]
            lanes[lane].clear()

    def covered(self) -> list[bytes]:
        """List the lines that a checkpoint must hold: covered, and not written yet."""
        chosen: list[bytes] = []
        size = 0
        for entry in (*self._journal.unwritten(), *self._covered):
            size += len(entry.line)
            if size > CHECKPOINT_BYTES:
                break
            chosen.append(entry.line)
        return chosen

    @property
    def mark(self) -> int:
        """How many lines were covered so far."""
        return self._released + len(self._covered)

    def release(self, mark: int) -> None:
        """Write the lines that were covered at *mark*: the checkpoint is durable."""
        count = mark - self._released
        if count > 0:
            self._released = mark
            self._send([self._covered.popleft() for _ in range(count)])

    def hold(self) -> None:
        """Hold lines from now on until a checkpoint covers them."""
        self.is_held = True

    def release_all(self) -> None:
        """Write everything, and hold nothing from now on: no checkpoint is kept."""
        self.is_held = False
        for lane in self._lanes:
            self.cover(lane)
        self.release(self.mark)

    def drop_covered(self, is_covered: Callable[[Scope, int], bool]) -> None:
        """Forget the lines of what another process counted, which writes them.

        That is known of Events by their version. Failures are compared with the other's when this
        process takes over, and reported again then.
        """
        waiting = [*self._covered, *self._inherited["events"], *self._lanes["events"]]
        failures = [*self._inherited["failures"], *self._lanes["failures"]]
        for lines in (self._covered, *self._inherited.values(), *self._lanes.values()):
            lines.clear()
        for entry in (*waiting, *failures):
            if entry.origin is not None and not is_covered(*entry.origin):
                self._lanes["events"].append(entry)
            else:
                self._bytes -= len(entry.line)
                self._journal.forget((entry,))

    def replay(self, lines: Sequence[msgspec.Raw]) -> None:
        """Write lines of a checkpoint that another process may not have written."""
        for line in lines:
            self.add_now(Entry("replayed", "", bytes(line) + b"\n"))

    def _send(self, entries: list[Entry]) -> None:
        self._bytes -= sum(len(entry.line) for entry in entries)
        self._journal.send(entries)

    def _release_early(self) -> None:
        early: list[Entry] = []
        left = self._bytes - CHECKPOINT_BYTES // 2
        for lane in self._lanes.values():
            while lane and left > 0:
                early.append(lane.popleft())
                left -= len(early[-1].line)
        self._send(early)

    def _record(self, entry: Entry) -> None:
        if self._noted is not None and entry.key is not None:
            self._noted[entry.compared] += 1
            if len(self._noted) > _MOST_RECORDED:
                self._noted = None

    # Of two exporters during a reload, both count. The counters become the larger of both; so do
    # the lines: those of the former exporter, and of its successor those that it has in addition.

    def begin_record(self) -> None:
        """Note what is counted from now on, and what no checkpoint covers yet."""
        self._noted = Counter()
        for lane in self._lanes.values():
            for entry in lane:
                self._record(entry)

    def end_record(self) -> None:
        """Note nothing any more: there is no successor."""
        self._noted = None

    def wait(self) -> None:
        """Write nothing until ``succeed`` compares it with another's."""
        self.is_waiting = True
        self.begin_record()

    def succeed(self, former: "Outbox") -> None:
        """Take the lines of *former* that are not written, and drop those that it has as well."""
        known, mine = former._noted, self._noted  # noqa: SLF001 - of the same class
        more = _beyond(mine, known) if known is not None and mine is not None else Counter()
        for lines in self._lanes.values():
            own = list(lines)
            lines.clear()
            for entry in own:
                if more[entry.row] > 0 and known is not None and not known[entry.compared]:
                    more[entry.row] -= 1
                    lines.append(entry)
                else:
                    self._bytes -= len(entry.line)
                    self._journal.forget((entry,))
        pairs = [(lines, former._lanes[lane]) for lane, lines in self._inherited.items()]  # noqa: SLF001
        for lines, theirs in (*pairs, (self._covered, former._covered)):  # noqa: SLF001
            lines.extend(theirs)
            self._bytes += sum(len(entry.line) for entry in theirs)
            theirs.clear()
        former._bytes = 0  # noqa: SLF001

    def take_over(self) -> None:
        """Write lines from now on: the former exporter writes none."""
        self.is_waiting, self._noted = False, None
        if not self.is_held:
            self.release_all()

    def discard(self) -> None:
        """Write none of the lines that wait, and take no more."""
        self._is_muted = True
        for lines in (*self._inherited.values(), *self._lanes.values(), self._covered):
            self._journal.forget(lines)
            lines.clear()


def _beyond(
    mine: Counter[tuple[Hashable, tuple[str, ...]]],
    known: Counter[tuple[Hashable, tuple[str, ...]]],
) -> Counter[tuple[str, ...]]:
    """Count by row how many more lines one exporter has than the other."""
    rows: Counter[tuple[str, ...]] = Counter()
    for counts, sign in ((mine, 1), (known, -1)):
        for (_, row), count in counts.items():
            rows[row] += sign * count
    return rows
