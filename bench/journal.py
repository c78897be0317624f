"""What the journal costs: Events that are counted with one and without."""

import tempfile
from functools import partial
from pathlib import Path

import msgspec

from bench.events import event
from bench.measure import Figures, fresh, medians, rounds, timed
from bench.reports import NOW
from exporter.checkpoint.failures import FailureColumns
from exporter.checkpoint.format import SCHEMA, Checkpoint, encode
from exporter.journal.queue import Journal
from exporter.journal.recorder import JournalSettings, Place, Recorder
from exporter.journal.writer import Target
from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.event import Event
from exporter.model.resource import EVENTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection

RATE = 2_000
INTERVAL_SECONDS = 10
"""Between two checkpoints, as configured by default."""

SCOPE = Scope(EVENTS)


class Uncounted:
    """A JournalMetrics that counts nothing."""

    def written(self, event_name: str, count: int) -> None:
        """Count nothing."""

    def dropped(self, reason: str, count: int) -> None:
        """Fail: a journal that drops lines costs less."""
        if count:
            raise AssertionError(f"{count} lines were dropped: {reason}")


def compare(count: int, times: int) -> dict[str, Figures]:
    """Measure *count* Events, *times* times: by CPU time of all threads."""
    ways = ("none", "file", "file, --state.dir")
    without, direct, held = rounds(times, *(partial(fresh, _once, way, count) for way in ways))
    plain = medians(without)["us"]
    found = {"2,000 a second, no journal": {"us": plain, "cores": plain * RATE / 1e6}}
    for name, taken in (("2,000 a second", direct), ("2,000 a second, --state.dir", held)):
        each = medians(taken)["us"]
        found[name] = {"us": each, "cores": each * RATE / 1e6}
        found[name]["cores_more"] = (each - plain) * RATE / 1e6
    return found


def _once(way: str, count: int) -> Figures:
    """Count Events and, but for *way* "none", write their lines; give microseconds for each."""
    decode = msgspec.json.Decoder(Event).decode
    events = [decode(event(number, number + 1)) for number in range(count)]
    state = ClusterState(Selection(), lambda: NOW + 1)
    state.apply(Init(SCOPE))
    state.apply(InitDone(SCOPE))
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
            for number, each in enumerate(events, 1):
                state.apply(Applied(SCOPE, each))
                if recorder is not None and (
                    number == count or not number % (RATE * INTERVAL_SECONDS)
                ):
                    _commit(recorder)
            journal.close(60)
        lines = file.read_bytes().count(b"\n") if recorder else count
    assert lines == count, f"{lines} lines of {count} Events"
    return {"us": figures["cpu_seconds"] / count * 1e6}


def _commit(recorder: Recorder) -> None:
    """Do what a checkpoint does for the journal, without writing it."""
    outbox = recorder.outbox
    outbox.cover("events")
    raws = [msgspec.Raw(line[:-1]) for line in outbox.covered()]
    encode(Checkpoint(SCHEMA, "", NOW, {}, [], {}, [], FailureColumns(), journal=raws))
    outbox.release(outbox.mark)
