"""The real command in a process of its own: its endpoints, its CPU time, its memory."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from bench.api import Api
from bench.measure import cpu_seconds, memory_mb

ROOT: Final = Path(__file__).parents[1]
PROGRAM: Final = (sys.executable, "-m", "exporter")
_SERVING: Final = re.compile(rb"serving (http://\S+)/metrics")
_LOOK_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 1_200.0


class Command:
    """``serve``, started; ``began`` is when, on the monotonic clock."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.began = time.monotonic()
        self.pid = process.pid
        self._process = process
        self._log = log
        self.url = ""

    def listening(self) -> None:
        """Wait until it listens."""
        self._wait(lambda: _SERVING.search(self._log.read_bytes()) is not None)
        found = _SERVING.search(self._log.read_bytes())
        self.url = found[1].decode() if found else ""

    def alive(self, url: str) -> None:
        """Wait until something answers there."""
        self.url = url
        self._wait(lambda: self.answers("/livez"))

    def ready(self) -> float:
        """Wait until all is known; give the seconds since it was started."""
        self._wait(lambda: self.answers("/-/ready"))
        return time.monotonic() - self.began

    def answers(self, path: str) -> bool:
        """Say whether a path answers with success."""
        try:
            with urlopen(self.url + path, timeout=10):
                return True
        except (URLError, OSError):
            return False

    def get(self, path: str) -> bytes:
        """Read a body."""
        with urlopen(self.url + path, timeout=60) as answer:
            body: bytes = answer.read()
            return body

    def values(self, name: str) -> list[float]:
        """Read the values of one family's samples."""
        text = self.get(f"/metrics?name[]={name}").decode().splitlines()
        return [float(row.rpartition(" ")[2]) for row in text if row.startswith(name)]

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that it took so far."""
        return cpu_seconds(self.pid)

    @property
    def resident_mb(self) -> float:
        """What it has resident."""
        return memory_mb(self.pid)["VmRSS"]

    @property
    def peak_mb(self) -> float:
        """The most that it had resident."""
        return memory_mb(self.pid)["VmHWM"]

    def _wait(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while not true():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(self._log.read_text()[-2000:])
            time.sleep(_LOOK_SECONDS)


@contextmanager
def exporting(
    api: Api, arguments: Sequence[str] = (), config: str = "", port: int = 0
) -> Iterator[Command]:
    """Run ``serve`` over an API server until the block ends, with a configuration file's text.

    It serves when the block begins; with *port* something answers there, which may be less.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        words = [*PROGRAM, "serve", f"--kubeconfig={api.kubeconfig(directory)}"]
        words += [f"--web.listen-address=127.0.0.1:{port}", *arguments]
        if config:
            file = directory / "config.yaml"
            file.write_text(config)
            words.append(f"--config.file={file}")
        log = directory / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                words,
                cwd=directory,
                stdout=out,
                stderr=out,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        try:
            command = Command(process, log)
            if port:
                command.alive(f"http://127.0.0.1:{port}")
            else:
                command.listening()
            yield command
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
