"""Replicas that share a checkpoint: together they write each line, whoever counts it."""

import tempfile
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from exporter.checkpoint.format import decode
from exporter.journal.queue import Journal
from exporter.journal.recorder import JournalSettings, Place, Recorder
from exporter.journal.writer import Target
from tests.checkpoint.test_replicas import STEPS, Life, Process
from tests.journal.counts import Counts
from tests.journal.reading import by_id, read_lines
from tests.state.violations import NOW
from tests.virtual_time import run

NAMES = {"request_blocked": "events", "failure_opened": "opened", "failure_closed": "closed"}


class Journalled(Life):
    """A world whose replicas each write a journal of their own into one directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self.journals: list[Journal] = []
        self._ticks = count()

    def clock(self) -> float:
        """Tell a later time to each who asks: no two replicas see a change at once."""
        return NOW + next(self._ticks) / 1000

    def another(self) -> Process:
        pod = super().another()
        journal = Journal(Counts())
        journal.open(Target(str(self.directory / f"pod-{len(self.journals)}")))
        self.journals.append(journal)
        recorder = Recorder(JournalSettings(), pod.state, journal, Place("c"), self.clock)
        pod.writer.checkpointer.outbox = recorder.outbox
        return pod

    def lines(self) -> list[dict[str, Any]]:
        """End all journals, and read them."""
        for journal in self.journals:
            journal.close(10)
        files = sorted(self.directory.iterdir())
        return [line for file in files for line in read_lines(file)]


async def lived(steps: list[tuple[str, int]], directory: Path) -> None:
    life = Journalled(directory)
    await life.begin()
    for step, number in steps:
        match step:
            case "away" | "lost":
                life.world.api.fails = [step]
            case "touch":
                life.world.api.touch()
            case _:
                await life.happens(step, number)
    await life.settle()
    durable = decode(life.world.api.stored.content).counters
    sums = Counter({name: sum(n for _, n in rows) for name, rows in durable.items()})
    lines = by_id(life.lines()).values()
    assert Counter(NAMES[line["event_name"]] for line in lines) == +sums


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_the_lines_of_all_replicas_are_what_was_counted(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        run(lived(steps, Path(directory)))
