"""The file of checkpoints, when several threads write it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from exporter.checkpoint.file import StateFile

THREADS = 8
BODIES = [bytes([ord("a") + number]) * 100_000 for number in range(THREADS)]


def test_writes_that_meet_leave_one_of_them_whole(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(file.write, BODIES * 5))
    assert file.read() in BODIES
