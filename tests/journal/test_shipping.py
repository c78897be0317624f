"""Real readers follow the journal over rotation, and get every line once."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from exporter.journal.line import LINE_BYTES, Line, encode_line
from exporter.journal.writer import LineWriter, Rotation, Target
from tests.journal.collector import collecting, records
from tests.tools import Process, eventually, tool

pytestmark = pytest.mark.tier("monitoring")

PAGE: Final = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
CHUNKS, CHUNK_LINES = 12, 200
NOON: Final = "2026-11-28T12:00:00.000Z"


def lines(first: int, count: int) -> list[bytes]:
    """Make lines of some hundred bytes, now and then one of 16 KB."""
    return [
        encode_line(
            Line(
                timestamp=NOON,
                observed_timestamp=NOON,
                event_name="request_blocked",
                id=f"{number:032x}",
                severity_text="WARN",
                body="ä" * (LINE_BYTES if number % 97 == 0 else 90),
            )
        )
        for number in range(first, first + count)
    ]


def ids(file: Path) -> list[int]:
    """Read the ids of the whole lines that a reader has put into a file."""
    if not file.exists():
        return []
    whole = file.read_bytes().rpartition(b"\n")[0]
    return [int(json.loads(line)["id"], 16) for line in whole.splitlines()]


class Reader:
    """A real reader of *source* that writes what it reads into *copy*, as *found* reads it."""

    def __init__(self, directory: Path) -> None:
        self.source = directory / "journal.jsonl"
        self.copy = directory / "copy.jsonl"
        self.found: Callable[[], list[int]] = partial(ids, self.copy)


def tail(reader: Reader, stack: ExitStack) -> None:
    """Follow with ``tail -F``, of GNU coreutils."""
    out = stack.enter_context(reader.copy.open("wb"))
    command = ["tail", "-n", "+1", "-F", "--sleep-interval=0.1", str(reader.source)]
    child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
    stack.callback(child.wait, 10)
    stack.callback(child.terminate)


def rsyslog(reader: Reader, stack: ExitStack) -> None:
    """Follow with rsyslog and the documentation's configuration."""
    found = re.search(r"```rsyslog\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    work = reader.copy.parent / "rsyslog"
    work.mkdir()
    config = work / "rsyslog.conf"
    config.write_text(
        found[1]
        .replace("/var/lib/rsyslog", str(work))
        .replace("/var/log/policies/journal.jsonl", str(reader.source))
        .replace("/var/log/siem/journal.jsonl", str(reader.copy))
    )
    command = [str(tool("rsyslogd")), "-n", "-f", str(config), "-i", str(work / "pid")]
    stack.enter_context(Process(command, cwd=work, ready=(work / "pid").exists))


def otelcol(reader: Reader, stack: ExitStack) -> None:
    """Follow with the OpenTelemetry Collector and the documentation's configuration."""
    reader.found = lambda: [int(each["attributes"]["id"], 16) for each in records(reader.copy)]
    stack.enter_context(collecting(f"{reader.source}*", reader.copy))


@pytest.fixture(params=[tail, rsyslog, otelcol], ids=lambda start: start.__name__)
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    reader.source.touch()
    start: Callable[[Reader, ExitStack], None] = request.param
    with ExitStack() as stack:
        start(reader, stack)
        yield reader


def read_while(reader: Reader, writer: LineWriter, between: Callable[[], object]) -> None:
    """Write in chunks, each once most of the chunk before was read; then all must have been."""
    for chunk in range(CHUNKS):
        writer.put(lines(chunk * CHUNK_LINES, CHUNK_LINES))
        eventually(lambda n=chunk: len(reader.found()) > (n + 0.9) * CHUNK_LINES, within=60)  # type: ignore[misc]
        between()
    writer.finish()
    assert writer.join(20)
    eventually(lambda: len(reader.found()) >= CHUNKS * CHUNK_LINES, within=60)
    assert sorted(reader.found()) == [*range(CHUNKS * CHUNK_LINES)]


def test_over_the_exporter_s_rotation_nothing_is_lost(reader: Reader) -> None:
    writer = LineWriter(Target(str(reader.source), Rotation(bytes=100_000, keep=3)))
    read_while(reader, writer, lambda: None)
    assert reader.source.with_name("journal.jsonl.3").exists()


def test_over_logrotate_s_rotation_nothing_is_lost(reader: Reader) -> None:
    directory = reader.source.parent
    config = directory / "logrotate.conf"
    config.write_text(f"{reader.source} {{\n  rotate 5\n  nocreate\n}}\n")
    program = str(tool("logrotate"))
    command = [program, "--force", f"--state={directory / 'status'}", str(config)]
    writer = LineWriter(Target(str(reader.source)))
    rotated = []

    def rotate() -> None:
        subprocess.run(command, check=True)
        rotated.append(1)
        writer.reopen()

    read_while(reader, writer, rotate)
    assert len(rotated) == CHUNKS
    assert reader.source.with_name("journal.jsonl.5").exists()
