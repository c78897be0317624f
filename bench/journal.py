"""What the journal costs: Events and failures that are counted with one and without."""

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.api import Api
from bench.changes import Mix
from bench.command import Command, exporting
from bench.events import event
from bench.measure import Figures, fresh, rounds, run_seconds, timed
from bench.product import SCOPE as REPORTS
from bench.reports import NOW, Reports, Shape, line, pages
from bench.rescan import filled
from bench.server import Load, serving
from exporter.app.memory import prepare_for_sync
from exporter.checkpoint.failures import FailureColumns
from exporter.checkpoint.format import SCHEMA, Checkpoint, encode
from exporter.journal.outbox import Lane
from exporter.journal.queue import Journal
from exporter.journal.recorder import JournalSettings, Place, Recorder
from exporter.journal.writer import Target
from exporter.model.changes import Applied, Change, Init, InitDone, Scope
from exporter.model.event import Event
from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection

RATE: Final = 2_000
INTERVAL_SECONDS: Final = 10
"""Between two checkpoints, as configured by default."""

SCOPE: Final = Scope(EVENTS)

_COUNTERS: Final = (
    "policyviolation_events_total",
    "policyreport_failures_opened_total",
    "policyreport_failures_closed_total",
)
_FAILURES: Final = 2.8
"""Failures that a change of the served reports opens or closes, about."""

_CONFIG: Final = "birth_hold: 0\ncheckpoint_interval: 2\n"
_LOOKS: Final = 20
_SETTLE_SECONDS: Final = 2.5
"""Longer than between two checkpoints, after which all is shown."""

Changes = Sequence[tuple[Change, ...]]
"""What is applied to a state, in turns of one checkpoint each."""


class Way(NamedTuple):
    """Whether lines are written, and whether checkpoints are."""

    journal: bool
    state: bool


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
        **_compare("Events", partial(fresh, _once, partial(_events, count)), times),
        **_compare("failures", partial(fresh, _once, partial(_failures, count)), times),
    }


def compare_served(shape: Shape, seconds: float, times: int) -> dict[str, Figures]:
    """Measure the real command likewise, at about that many occurrences a second."""
    shape = shape._replace(failing=0.8, messages=1.0)
    with serving(Load(shape, mix=Mix(create=0, delete=0, outcome=1))) as api:
        events = partial(_served, api, EVENTS.plural, RATE, seconds)
        changes = partial(_served, api, POLICY_REPORTS.plural, RATE / _FAILURES, seconds)
        return {
            **_compare("Events, served", events, times),
            **_compare("failures, served", changes, times),
        }


def _compare(what: str, run: Callable[[Way], Figures], times: int) -> dict[str, Figures]:
    """Do the same without and with a journal, each without and with checkpoints, in turns."""
    ways = [
        Way(journal=journal, state=state) for state in (False, True) for journal in (False, True)
    ]
    taken = rounds(times, *(partial(run, way) for way in ways))
    us = {
        way: min(each["us"] for each in each_way) for way, each_way in zip(ways, taken, strict=True)
    }
    found = {}
    for way in ways:
        name = what + ", --state.dir" * way.state + ", no journal" * (not way.journal)
        found[name] = {"us": us[way], "cores": us[way] * RATE / 1e6}
        if way.journal:
            more = us[way] - us[way._replace(journal=False)]
            found[name] |= {"us_more": more, "cores_more": more * RATE / 1e6}
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


def _once(known: Callable[[], tuple[ClusterState, Lane, Changes]], way: Way) -> Figures:
    """Count occurrences and write their lines, if any; microseconds for each."""
    state, lane, turns = known()
    before = _counted(state)
    prepare_for_sync()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "journal"
        journal = Journal(Uncounted())
        recorder = None
        if way.journal:
            journal.open(Target(str(file), sync=way.state))
            recorder = Recorder(JournalSettings(), state, journal, Place("bench"), lambda: NOW + 1)
            if way.state:
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


def _served(api: Api, plural: str, rate: float, seconds: float, way: Way) -> Figures:
    """Send changes to the command; microseconds of its CPU time for each occurrence."""
    with tempfile.TemporaryDirectory() as name:
        flags = [f"--journal={name}/journal"] if way.journal else []
        flags += [f"--state.dir={name}"] if way.state else []
        with exporting(api, flags, _CONFIG) as command:
            command.ready()
            before, spent = _shown(command), run_seconds(command.pid)
            api.flow(plural, int(rate * seconds), rate)
            shown = before
            for _ in range(_LOOKS):
                time.sleep(_SETTLE_SECONDS)
                last, shown = shown, _shown(command)
                if shown == last != before:
                    break
            return {"us": (run_seconds(command.pid) - spent) / (shown - before) * 1e6}


def _shown(command: Command) -> float:
    return sum(sum(command.values(name)) for name in _COUNTERS)


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
