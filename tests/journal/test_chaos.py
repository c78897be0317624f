"""After an hour of everything that can fail, each thing that was counted has one line."""

from pathlib import Path

import pytest

from exporter.journal.queue import Journal
from exporter.journal.recorder import JournalSettings, Place, Recorder
from exporter.journal.writer import Target
from tests.journal.counts import Counts
from tests.journal.reading import read_lines, rows_of, shown
from tests.virtual_time import run
from tests.watch.chaos import Chaos
from tests.watch.test_chaos import IN_PARALLEL, STREAM_OR_PAGES

pytestmark = pytest.mark.tier("simulator")


@pytest.mark.parametrize("seed", [0, 2])
def test_after_an_hour_of_chaos_each_count_has_a_line(seed: int, tmp_path: Path) -> None:
    options = IN_PARALLEL if seed else STREAM_OR_PAGES
    chaos = Chaos(seed, stretch=3600, options=options)
    journal, file = Journal(Counts()), tmp_path / "journal.jsonl"
    journal.open(Target(str(file)))
    Recorder(JournalSettings(), chaos.seen, journal, Place("chaos"), chaos.clock)
    run(chaos.run())
    journal.close(10)
    assert chaos.seen.ledger.failures.closed.rows
    assert rows_of(read_lines(file)) == shown(chaos.seen)
