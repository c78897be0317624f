"""The journal on standard output: apart from the log, and no one waits for its reader."""

import asyncio
import fcntl
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.app.commands import Command, serving
from tests.app.running import EVENTS_TOTAL, Cluster, Samples, self_metrics, total

pytestmark = pytest.mark.tier("simulator")

PIPE_BYTES = 4096


class Piped(Command):
    """A command whose standard output is a small pipe; ``log`` is its standard error."""

    lines: IO[bytes]

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(
                self.argv, cwd=self.cwd, env=self.env, stdout=subprocess.PIPE, stderr=log
            )
        assert self._child.stdout is not None
        self.lines = self._child.stdout
        fcntl.fcntl(self.lines, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def read(self) -> list[dict[str, Any]]:
        """Read to the end."""
        return [json.loads(line) for line in self.lines]


@contextmanager
def piped(directory: Path, cluster: Cluster) -> Iterator[Piped]:
    (directory / "config.yaml").write_text("birth_hold: 0\n")
    plain = serving(directory, cluster.api.url, "--config.file=config.yaml", "--journal=-")
    command = Piped(directory, "serve", *plain.argv[5:], port=int(plain.url.rpartition(":")[2]))
    command.start()
    try:
        yield command
    finally:
        command.kill()
        command.lines.close()


async def until(command: Command, blocked: int) -> Samples:
    async with asyncio.timeout(60):
        while True:
            samples = await asyncio.to_thread(command.scrape) or {}
            if total(samples, EVENTS_TOTAL) == blocked:
                return samples
            await asyncio.sleep(0.05)


async def listed(command: Command) -> None:
    """Wait until Events were listed: what came before is not counted."""
    async with asyncio.timeout(60):
        while True:
            samples = await asyncio.to_thread(command.scrape) or {}
            if self_metrics(samples, "synced", resource="events.events.k8s.io"):
                return
            await asyncio.sleep(0.05)


async def test_a_pipe_that_is_read_late_holds_no_metrics_and_gets_every_line(
    tmp_path: Path,
) -> None:
    async with Cluster() as cluster:
        with piped(tmp_path, cluster) as command:
            await listed(command)
            cluster.block(200)
            samples = await until(command, 200)
            assert (self_metrics(samples, "journal_pending_bytes") or 0) > 50_000
            reading = asyncio.create_task(asyncio.to_thread(command.read))
            await until(command, 200)
            assert await asyncio.to_thread(command.stop) == 128 + signal.SIGTERM
            lines = await reading
    names = Counter(line["event_name"] for line in lines)
    assert names == {"exporter_started": 1, "request_blocked": 200}
    assert "level=info" in command.log
    assert "request_blocked" not in command.log


async def test_a_pipe_that_is_never_read_does_not_hold_the_end(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        with piped(tmp_path, cluster) as command:
            await listed(command)
            cluster.block(200)
            await until(command, 200)
            assert await asyncio.to_thread(command.stop) == 128 + signal.SIGTERM
    assert "lines could not be written" in command.log
