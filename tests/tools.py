"""Real components for tests: found, started on loopback in their own directory, and stopped."""

import os
import random
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec
import pytest

from tools.pins import TOOLS

T = TypeVar("T")
READY_SECONDS = 60.0
STOP_SECONDS = 15.0
LOG_TAIL_LINES = 40


def tool(name: str) -> Path:
    """Return the program; skip the test where it is missing, saying what installs it."""
    found = TOOLS[name].find(name)
    if found is None:
        pytest.skip(f"{name} is missing: make tools")
    return found


def free_port() -> int:
    """Return a loopback port that nothing listens on now.

    It lies below the range of outgoing connections: one of those could take it while the server
    that the test restarts is away, and a client that keeps dialling could even meet itself.
    """
    while True:
        port = random.SystemRandom().randrange(15000, 30000)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def eventually(
    look: Callable[[], T | None], *, within: float = 30.0, what: str = "", every: float = 0.05
) -> T:
    """Look every 50 ms until the answer is truthy, for what no event announces.

    In a test whose own event loop must go on meanwhile, call it through asyncio.to_thread.
    """
    deadline = time.monotonic() + within
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or look}; last seen: {seen!r}")
        time.sleep(every)
    return seen


def answers(url: str, *, trust: ssl.SSLContext | None = None) -> bool:
    """Say whether the URL answers with a success."""
    try:
        with urllib.request.urlopen(url, timeout=2, context=trust) as response:
            return bool(response.status < 300)
    except OSError:
        return False


def is_alive(group: int) -> bool:
    """Whether a process of a group runs that is no zombie."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member = entry.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(member) == group and state != "Z":
            return True
    return False


class Process:
    """A child that runs until it is stopped; ``log`` is everything it wrote.

    The end of its log is shown with each test that fails while it runs, or in its block.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path,
        ready: str | Callable[[], bool],
        within: float = READY_SECONDS,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.argv = [str(word) for word in argv]
        self.name = Path(self.argv[0]).name
        self.cwd = cwd
        self.env = {**os.environ, **(env or {})}
        self.within = within
        self.log_file = cwd / f"{self.name}.log"
        self._ready = partial(answers, ready) if isinstance(ready, str) else ready
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Everything that the child wrote to stdout and stderr so far."""
        if not self.log_file.exists():
            return ""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        """Start the child and wait until it is ready."""
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(
                self.argv,
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        RUNNING.append(self)
        try:
            eventually(self._settled, within=self.within, what=f"{self.name} is ready")
            assert self.running, f"{self.name} ended with {self._child.poll()}"
        except BaseException:
            self.kill()
            self._show_log()
            raise

    def _settled(self) -> bool:
        return not self.running or self._ready()

    def stop(self) -> int:
        """Ask the child to end, insist after a while, and return its exit status."""
        if self._child is None:
            return 0
        self._child.terminate()
        try:
            return self._wait()
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End the child without asking."""
        if self._child is None:
            return 0
        self._child.kill()
        return self._wait()

    def _wait(self) -> int:
        assert self._child is not None
        status = self._child.wait(STOP_SECONDS)
        if self in RUNNING:
            RUNNING.remove(self)
        return status

    @property
    def log_tail(self) -> str:
        return "\n".join(self.log.splitlines()[-LOG_TAIL_LINES:])

    def _show_log(self) -> None:
        print(f"--- {self.name}: the end of its log ---\n{self.log_tail}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is not None:
            self._show_log()


RUNNING: list[Process] = []
"""What is started and not stopped, for the reports of failed tests."""


@contextmanager
def own_directory(files: Mapping[str, str] | None = None) -> Iterator[Path]:
    """Yield a temporary directory that holds ``files``, keyed by relative path."""
    with tempfile.TemporaryDirectory(prefix="pre-test-", ignore_cleanup_errors=True) as name:
        for relative, text in (files or {}).items():
            path = Path(name, relative)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield Path(name)


def fetch(url: str, *, post: bytes | None = None) -> bytes:
    """Return the body of a successful answer; a refusal's body is in the error."""
    request = urllib.request.Request(url, data=post)
    if post is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            body: bytes = response.read()
            return body
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"{url}: {error.code} {error.read()[:2000]!r}") from error


def decode(body: bytes, shape: type[T]) -> T:
    """Read JSON as ``shape``, unknown fields ignored."""
    return msgspec.json.decode(body, type=shape, strict=False)
