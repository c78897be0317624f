"""Lines reach the file in order, each once, through rotation, a full disk and a blocked pipe."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.journal.writer import LineWriter, Rotation, Sink, Target

pytestmark = pytest.mark.tier("unit")


def numbered(count: int, size: int = 100) -> list[bytes]:
    return [b"%0*d\n" % (size - 1, number) for number in range(count)]


def until(done: Callable[[], object], within: float = 20.0) -> None:
    end = time.monotonic() + within
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def write_all(sink: Sink, lines: list[bytes]) -> None:
    while lines:
        lines = lines[sink.write(lines) :]


def test_a_file_is_rotated_between_lines_and_old_ones_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    sink = Sink(Target(str(file), Rotation(bytes=65_536, keep=2)))
    lines = numbered(2000)
    write_all(sink, list(lines))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["journal", "journal.1", "journal.2"]
    kept = b"".join((tmp_path / n).read_bytes() for n in ("journal.2", "journal.1", "journal"))
    assert b"".join(lines).endswith(kept)
    assert (tmp_path / "journal.1").stat().st_size == 65_500


def test_a_file_that_is_continued_is_rotated_at_its_whole_size(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    file.write_bytes(b"x" * 65_000 + b"\n")
    Sink(Target(str(file), Rotation(bytes=65_536))).write([b"y" * 600 + b"\n"])
    assert file.read_bytes() == b"y" * 600 + b"\n"


def test_half_a_line_of_a_process_that_was_killed_is_ended_first(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    file.write_bytes(b'{"id":"1"}\n{"id":')
    Sink(Target(str(file))).write([b'{"id":"2"}\n'])
    assert file.read_bytes() == b'{"id":"1"}\n{"id":\n{"id":"2"}\n'


def test_a_file_that_logrotate_renamed_is_left_for_a_new_one(tmp_path: Path) -> None:
    file, old = tmp_path / "journal", tmp_path / "journal-20261128"
    sink = Sink(Target(str(file)))
    sink.write([b"1\n"])
    file.rename(old)
    sink.write([b"2\n"])
    assert (old.read_bytes(), file.read_bytes()) == (b"1\n", b"2\n")


def test_a_file_that_was_truncated_is_continued_at_its_start(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    sink = Sink(Target(str(file)))
    sink.write([b"1\n"])
    os.truncate(file, 0)
    sink.write([b"2\n"])
    assert file.read_bytes() == b"2\n"


def test_what_a_full_disk_refuses_is_written_once_there_is_room(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    file.symlink_to("/dev/full")
    writer = LineWriter(Target(str(file)))
    lines = numbered(50)
    writer.put(lines)
    until(lambda: writer._complaint == "No space left on device")
    assert writer.written == 0
    file.unlink()
    writer.finish()
    assert writer.join(20)
    assert file.read_bytes() == b"".join(lines)


def test_a_file_of_limited_size_ends_with_a_whole_line(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes a write short, as a disk does that fills up."""
    import resource  # noqa: PLC0415
    import signal  # noqa: PLC0415

    file = tmp_path / "journal"
    sink, lines = Sink(Target(str(file))), numbered(10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (250, hard))
        whole = sink.write(lines)
        with pytest.raises(OSError, match="File too large"):
            sink.write(lines[whole:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert whole == 2
    write_all(sink, lines[whole:])
    read = file.read_bytes().splitlines(keepends=True)
    assert [line for line in read if len(line) == 100] == lines
    assert [len(line) for line in read if len(line) != 100] == [51]


def test_a_blocked_pipe_holds_no_caller_and_gets_everything_later(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    writer = LineWriter(Target(str(fifo)))
    lines = numbered(5000)
    began = time.perf_counter()
    writer.put(lines)
    assert time.perf_counter() - began < 5
    until(lambda: writer.written > 0)
    read, reader = b"", os.open(fifo, os.O_RDONLY)
    while len(read) < 500_000:
        read += os.read(reader, 65_536)
    os.close(reader)
    assert read == b"".join(lines)
    writer.finish()
    assert writer.join(20)


def test_a_writer_that_is_abandoned_in_a_blocked_pipe_ends_with_it(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    writer = LineWriter(Target(str(fifo)))
    writer.put(numbered(5000))
    until(lambda: writer.written > 0)
    writer.abandon()
    reader = os.open(fifo, os.O_RDONLY)
    while not writer.join(0.01):
        os.read(reader, 65_536)
    os.close(reader)
    assert writer.written < 5000
