"""The file of checkpoints, when several threads write it."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from exporter.checkpoint.file import StateFile
from exporter.errors import StateError

ROOT: Final = Path(__file__).parents[2]

THREADS = 8
BODIES = [bytes([ord("a") + number]) * 100_000 for number in range(THREADS)]


def test_writes_that_meet_leave_one_of_them_whole(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(file.write, BODIES * 5))
    assert file.read() in BODIES


HOLD = """
import sys
from pathlib import Path
from exporter.checkpoint.file import StateFile

file = StateFile(Path(sys.argv[1]))
file.prepare()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold a state directory."""
    command = [sys.executable, "-c", HOLD, str(directory)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_directory_that_another_process_uses_is_refused_by_its_holder(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        holder = f"in use by process {process.pid} on host {socket.gethostname()};"
        with pytest.raises(StateError, match=holder):
            StateFile(tmp_path).prepare()


def test_a_process_that_was_killed_leaves_its_directory(tmp_path: Path) -> None:
    with holding(tmp_path):
        pass
    file = StateFile(tmp_path)
    file.prepare()
    file.prepare()  # again, in the same process
    file.release()
    other = StateFile(tmp_path)
    other.prepare()
    other.release()
