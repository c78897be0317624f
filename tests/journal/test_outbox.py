"""A line is written if and only if it is counted durably; memory is bounded, and shared fairly."""

from pathlib import Path

import pytest

from exporter.journal.outbox import CHECKPOINT_BYTES, Lane, Outbox
from exporter.journal.queue import LIMIT_BYTES, Entry, Journal
from exporter.journal.writer import Target
from exporter.model.changes import Scope
from exporter.model.resource import EVENTS
from tests.journal.counts import Counts

pytestmark = pytest.mark.tier("unit")


def entry(key: str, namespace: str = "team-a", row: str = "row", size: int = 0) -> Entry:
    return Entry("failure_opened", namespace, key.encode().ljust(size) + b"\n", key, (row,))


class Desk:
    """A journal into a file, and the outboxes that use it."""

    def __init__(self, directory: Path, limit_bytes: int = 1 << 20) -> None:
        self.counts = Counts()
        self.file = directory / "journal"
        self.journal = Journal(self.counts, limit_bytes)
        self.gaps: list[int] = []
        self.journal.on_gap = self.gaps.append
        self.journal.open(Target(str(self.file)))

    def outbox(self, *, held: bool = True) -> Outbox:
        outbox = Outbox(self.journal)
        if held:
            outbox.hold()
        return outbox

    def written(self) -> list[str]:
        """End the journal, and read it."""
        self.journal.close(20)
        text = self.file.read_text() if self.file.exists() else ""
        return [line.rstrip() for line in text.splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def add(outbox: Outbox, *keys: str, lane: Lane = "failures", row: str = "row") -> None:
    for key in keys:
        outbox.add(lane, entry(key, row=row))


def lines(outbox: Outbox) -> list[str]:
    return [line.decode().strip() for line in outbox.covered()]


def test_without_checkpoints_a_line_is_written_at_once(desk: Desk) -> None:
    add(desk.outbox(held=False), "a", "b")
    assert desk.written() == ["a", "b"]
    assert desk.counts.lines == {"failure_opened": 2}
    assert desk.journal.pending_bytes == 0


def test_what_no_checkpoint_covers_is_not_written(desk: Desk) -> None:
    outbox = desk.outbox()
    add(outbox, "a")
    outbox.release(outbox.mark)
    assert desk.written() == []


def test_a_checkpoint_holds_what_it_covers_and_a_durable_one_releases_it(desk: Desk) -> None:
    outbox = desk.outbox()
    add(outbox, "a")
    add(outbox, "event", lane="events")
    outbox.cover("failures")
    mark = outbox.mark
    assert lines(outbox) == ["a"]
    add(outbox, "b")
    outbox.cover("failures")
    outbox.release(mark)
    assert desk.written() == ["a"]
    assert lines(outbox) == ["b"]


def test_a_checkpoint_that_failed_releases_nothing_and_the_next_one_all(desk: Desk) -> None:
    outbox = desk.outbox()
    add(outbox, "a")
    outbox.cover("failures")
    add(outbox, "b")
    outbox.cover("failures")
    assert lines(outbox) == ["a", "b"]
    outbox.release(outbox.mark)
    assert desk.written() == ["a", "b"]


def test_a_checkpoint_holds_lines_that_a_blocked_journal_has_not_written(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.file.symlink_to("/dev/full")
    outbox = desk.outbox()
    add(outbox, "a")
    outbox.cover("failures")
    outbox.release(outbox.mark)
    assert lines(outbox) == ["a"]
    desk.file.unlink()
    assert desk.written() == ["a"]
    assert lines(outbox) == []


def test_without_a_state_directory_after_all_everything_is_written(desk: Desk) -> None:
    outbox = desk.outbox()
    add(outbox, "a")
    outbox.release_all()
    add(outbox, "b")
    assert desk.written() == ["a", "b"]


def test_a_burst_is_written_before_its_checkpoint_events_first(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 1 << 26)
    outbox = desk.outbox()
    size = 10_000
    for number in range(20):
        outbox.add("failures", entry(f"failure {number}", f"n{number % 9}", size=size))
    for number in range(CHECKPOINT_BYTES // size):
        outbox.add("events", entry(f"event {number}", f"n{number % 9}", size=size))
    written = desk.written()
    assert written == [f"event {number}" for number in range(len(written))]
    assert len(written) > 50
    outbox.cover("events")
    outbox.cover("failures")
    assert sum(map(len, outbox.covered())) <= CHECKPOINT_BYTES
    assert len(outbox.covered()) == 20 + CHECKPOINT_BYTES // size - len(written)


def test_one_namespace_alone_loses_nothing_of_a_burst(tmp_path: Path) -> None:
    desk = Desk(tmp_path, LIMIT_BYTES)
    outbox = desk.outbox()
    count = 3 * CHECKPOINT_BYTES // 1000
    for number in range(count):
        outbox.add("events", entry(str(number), size=1000))
    outbox.cover("events")
    outbox.release(outbox.mark)
    assert desk.written() == [str(number) for number in range(count)]
    assert +desk.counts.left_out == {}


def test_a_full_journal_drops_counts_logs_once_and_reports_a_gap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, 100_000)
    desk.file.symlink_to("/dev/full")
    outbox = desk.outbox(held=False)
    for number in range(300):
        outbox.add("failures", entry(str(number), f"n{number}", size=1000))
    assert desk.counts.left_out["full"] > 150
    assert desk.journal.pending_bytes <= 100_000
    assert (
        len([r for r in caplog.records if "lines are missing from the journal: " in r.message]) == 1
    )
    desk.file.unlink()
    written = desk.written()
    assert len(written) == 300 - desk.counts.left_out.total()
    assert desk.gaps == [desk.counts.left_out.total()]


def test_each_reason_is_counted_from_zero_while_there_is_a_journal(tmp_path: Path) -> None:
    counts = Counts()
    journal = Journal(counts)
    assert counts.left_out == {}
    journal.open(Target(str(tmp_path / "journal")))
    assert counts.left_out == {"full": 0, "share": 0, "repeats": 0}


def test_a_namespace_leaves_room_to_others(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 400_000)
    desk.file.symlink_to("/dev/full")
    outbox = desk.outbox(held=False)
    for number in range(1000):
        outbox.add("failures", entry(f"loud {number}", "loud", size=1000))
    for number in range(50):
        outbox.add("failures", entry(f"quiet {number}", "quiet", size=1000))
    assert +desk.counts.left_out == {"share": 1000 - 200_000 // 1001}
    desk.file.unlink()
    assert sum(line.startswith("quiet") for line in desk.written()) == 50


class Succession:
    """A former exporter's outbox and its successor's, both counting from one capture."""

    def __init__(self, desk: Desk, *, held: bool) -> None:
        self.former, self.new = desk.outbox(held=held), desk.outbox(held=held)

    def begin(self) -> None:
        self.former.begin_record()
        self.new.wait()

    def switch(self) -> None:
        self.new.succeed(self.former)
        self.new.cover("failures")
        self.new.cover("events")
        self.new.release(self.new.mark)
        self.new.take_over()
        self.former.discard()


@pytest.mark.parametrize("held", [True, False])
def test_of_two_exporters_that_count_the_same_one_line_is_written(desk: Desk, held: bool) -> None:
    both = Succession(desk, held=held)
    add(both.former, "before")
    both.begin()
    add(both.former, "a", "b", "b")
    add(both.new, "before", "a", "b") if held else add(both.new, "a", "b")
    both.switch()
    add(both.new, "after")
    add(both.former, "late")
    both.new.cover("failures")
    both.new.release(both.new.mark)
    assert desk.written() == ["before", "a", "b", "b", "after"]
    assert desk.journal.pending_bytes == 0


def test_what_only_the_successor_counts_has_a_line(desk: Desk) -> None:
    both = Succession(desk, held=True)
    both.begin()
    add(both.former, "a")
    add(both.new, "a", "news")
    add(both.new, "of another row", row="new filters")
    both.switch()
    assert sorted(desk.written()) == ["a", "news", "of another row"]


def test_a_row_has_as_many_lines_as_the_larger_counter(desk: Desk) -> None:
    both = Succession(desk, held=True)
    both.begin()
    add(both.former, "a", "b", "c")
    add(both.new, "d")
    both.switch()
    assert desk.written() == ["a", "b", "c"]


def test_a_successor_that_is_dropped_writes_nothing(desk: Desk) -> None:
    both = Succession(desk, held=False)
    both.begin()
    add(both.new, "a")
    both.new.discard()
    both.former.end_record()
    add(both.former, "b")
    assert desk.written() == ["b"]
    assert desk.journal.pending_bytes == 0


def test_lines_that_an_old_file_does_not_take_go_to_the_new_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.file.symlink_to("/dev/full")
    add(desk.outbox(held=False), "a")
    desk.file = tmp_path / "other"
    desk.journal.open(Target(str(desk.file)))
    assert desk.written() == ["a"]


def test_what_another_process_has_counted_is_not_written(desk: Desk) -> None:
    outbox = desk.outbox()
    scope = Scope(EVENTS)
    for version in (1, 2, 3):
        line = entry(f"event {version}", row="events")._replace(origin=(scope, version))
        outbox.add("events", line)
        if version == 1:
            outbox.cover("events")
    add(outbox, "failure")
    outbox.drop_covered(lambda _, version: version <= 2)
    outbox.cover("events")
    outbox.cover("failures")
    outbox.release(outbox.mark)
    assert desk.written() == ["event 3"]
    assert desk.journal.pending_bytes == 0
