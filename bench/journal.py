"""What the journal costs: Events and failures that are counted with one and without."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from bench.events import event
from bench.measure import Figures, fresh, rounds, timed
from bench.product import SCOPE as REPORTS
from bench.reports import NOW, Reports, Shape, line, pages
from bench.rescan import filled
from exporter.app.memory import prepare_for_sync
from exporter.checkpoint.failures import FailureColumns
from exporter.checkpoint.format import SCHEMA, Checkpoint, encode
from exporter.journal.outbox import Lane
from exporter.journal.queue import Journal
from exporter.journal.recorder import JournalSettings, Place, Recorder
from exporter.journal.writer import Target
from exporter.model.changes import Applied, Change, Init, InitDone, Scope
from exporter.model.event import Event
from exporter.model.resource import EVENTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection

RATE: Final = 2_000
INTERVAL_SECONDS: Final = 10
"""Between two checkpoints, as configured by default."""

WAYS: Final = {"": "file", ", --state.dir": "file, --state.dir"}
"""How lines are written, by what a row's name ends with."""

SCOPE: Final = Scope(EVENTS)

Changes = Sequence[tuple[Change, ...]]
"""What is applied to a state, in turns of one checkpoint each."""


class Uncounted:
    """A JournalMetrics that counts nothing."""

    def written(self, event_name: str, count: int) -> None:
        """Count nothing."""

    def dropped(self, reason: str, count: int) -> None:
        """Fail: a journal that drops lines costs less."""
        if count:
            raise AssertionError(f"{count} lines were dropped: {reason}")


def compare(count: int, times: int) -> dict[str, Figures]:
    """Measure *count* Events and about as many failures, *times* times.

    Figures are the least CPU time of all threads in *times* runs: what else the machine does adds
    to it.
    """
    return {
        **_compare("Events", partial(_events, count), times),
        **_compare("failures", partial(_failures, count), times),
    }


def _compare(
    what: str, known: Callable[[], tuple[ClusterState, Lane, Changes]], times: int
) -> dict[str, Figures]:
    """Apply the same changes with each way to write lines, and with none."""
    taken = rounds(times, *(partial(fresh, _once, way, known) for way in ("none", *WAYS.values())))
    plain, *others = (min(each["us"] for each in figures) for figures in taken)
    found = {f"{what}, no journal": {"us": plain, "cores": plain * RATE / 1e6}}
    for name, us in zip(WAYS, others, strict=True):
        found[f"{what}{name}"] = {
            "us": us,
            "cores": us * RATE / 1e6,
            "us_more": us - plain,
            "cores_more": (us - plain) * RATE / 1e6,
        }
    return found


def _events(count: int) -> tuple[ClusterState, Lane, Changes]:
    """Prepare new Events."""
    decode = msgspec.json.Decoder(Event).decode
    state = ClusterState(Selection(), lambda: NOW + 1)
    state.apply(Init(SCOPE))
    state.apply(InitDone(SCOPE))
    new = [Applied(SCOPE, decode(event(number, number + 1))) for number in range(count)]
    return state, "events", _turns(new, RATE * INTERVAL_SECONDS)


def _failures(count: int) -> tuple[ClusterState, Lane, Changes]:
    """Prepare changes of known reports, each of which opens or closes some failures, or both."""
    shape = Shape.of(max(count // 10, 10))._replace(failing=0.8, messages=1.0)
    reports = Reports(shape)
    state, codec = filled(pages(shape))
    state.ledger.settle()  # as a first scrape does
    changes: list[Change] = []
    opened_and_closed = 0
    version = shape.reports
    while opened_and_closed < count:
        version += 1
        turn, position = divmod(version - shape.reports - 1, shape.reports)
        number = shape.at(position)
        raw = line(reports.encode(number, NOW + turn + 1, version, turn + 1))
        item = codec.line(raw).object
        if item is None:
            raise AssertionError(f"report {number} was not decoded")
        changes.append(Applied(REPORTS, item))
        opened_and_closed += (
            reports.outcome(number, turn).failing + reports.outcome(number, turn + 1).failing
        )
    return state, "failures", _turns(changes, RATE * INTERVAL_SECONDS // 2)


def _turns(changes: Sequence[Change], size: int) -> Changes:
    return [tuple(changes[at : at + size]) for at in range(0, len(changes), size)]


def _counted(state: ClusterState) -> int:
    """Add up what was counted: a line is written for each."""
    failures = state.ledger.failures
    counters = (state.violation_events.total, failures.opened, failures.closed)
    return int(sum(sum(each.rows.values()) for each in counters))


def _once(way: str, known: Callable[[], tuple[ClusterState, Lane, Changes]]) -> Figures:
    """Count occurrences and, but for *way* "none", write their lines; microseconds for each."""
    state, lane, turns = known()
    before = _counted(state)
    prepare_for_sync()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "journal"
        journal = Journal(Uncounted())
        recorder = None
        if way != "none":
            journal.open(Target(str(file), sync="state" in way))
            recorder = Recorder(JournalSettings(), state, journal, Place("bench"), lambda: NOW + 1)
            if "state" in way:
                recorder.outbox.hold()
        with timed() as figures:
            for changes in turns:
                _apply(state, changes)
                if recorder is not None:
                    _commit(recorder, lane)
            journal.close(60)
        count = _counted(state) - before
        lines = file.read_bytes().count(b"\n") if recorder else count
    if lines != count:
        raise AssertionError(f"{lines} lines of {count} occurrences")
    return {"us": figures["cpu_seconds"] / count * 1e6}


def _apply(state: ClusterState, changes: Iterable[Change]) -> None:
    for change in changes:
        state.apply(change)


def _commit(recorder: Recorder, lane: Lane) -> None:
    """Do what a checkpoint does for the journal, without writing it."""
    outbox = recorder.outbox
    outbox.cover(lane)
    raws = [msgspec.Raw(line[:-1]) for line in outbox.covered()]
    encode(Checkpoint(SCHEMA, "", NOW, {}, [], {}, [], FailureColumns(), journal=raws))
    outbox.release(outbox.mark)
