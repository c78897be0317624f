"""The command line in this process: run to its end, or until driven and signalled."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import pytest

from exporter.cli import main
from exporter.simulator.sample import sample
from exporter.simulator.world import World
from tests.apiserver import Simulator, Store
from tests.app.running import Samples, parse
from tests.kube.kubeconfigs import kubeconfig
from tests.tools import eventually, free_port

T = TypeVar("T")
WITHIN_SECONDS: Final = 60.0


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Keep this machine's own cluster and settings out."""
    for name in list(os.environ):
        if name.startswith(("KUBE", "POLICY_REPORT_EXPORTER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Take back what a command does to logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


class Beside:
    """The sample cluster in a thread of its own, as a command takes the main one."""

    def __init__(self, directory: Path) -> None:
        self.world: World
        self.api: Simulator
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self._start())
        self.kubeconfig = kubeconfig(directory, self.api.url, {"token": "t"})

    async def _start(self) -> None:
        store = Store(time.time)
        self.world, self.api = sample(store), Simulator(store)
        await self.api.start()

    def run(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN_SECONDS)

    def do(self, act: Callable[[], object]) -> None:
        """Do something to the cluster in its own thread."""

        async def acting() -> None:
            act()

        self.run(acting())

    def close(self) -> None:
        self.run(self.api.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    running = Beside(tmp_path)
    yield running
    running.close()


class Answer(NamedTuple):
    """What the web server said."""

    status: int
    text: str


class Served:
    """What a command that runs in the main thread serves; for its driver's thread."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.failure: BaseException | None = None
        self.over = threading.Event()

    def ask(self, path: str, method: str = "GET") -> Answer:
        connection = HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        finally:
            connection.close()

    def scrape(self) -> Samples:
        return parse(self.ask("/metrics").text)

    def until(self, look: Callable[[], object]) -> None:
        eventually(look, within=WITHIN_SECONDS)

    def ready(self) -> bool:
        try:
            return self.ask("/-/ready").status == 200
        except OSError:
            return False

    def signal(self, number: int) -> None:
        if not self.over.is_set():
            os.kill(os.getpid(), number)


Driver = Callable[[Served], None]


@pytest.fixture
def run() -> Iterator[Callable[..., int]]:
    """Run a command until it is ready and driven, then end it by a signal."""
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]

    def running(command: str, *arguments: str, drive: Driver, end: int = signal.SIGTERM) -> int:
        served = Served()
        thread = threading.Thread(target=_driven, args=(served, drive, end), daemon=True)
        thread.start()
        status = main([command, f"--web.listen-address={served.address}", *arguments])
        served.over.set()
        thread.join(WITHIN_SECONDS)
        if served.failure:
            raise served.failure
        return status

    yield running
    for number, handler in zip((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), before, strict=True):
        signal.signal(number, handler)


def _driven(served: Served, drive: Driver, end: int) -> None:
    try:
        deadline = time.monotonic() + WITHIN_SECONDS
        while not served.ready():
            assert not served.over.is_set(), "it ended before it was ready"
            assert time.monotonic() < deadline, "it never was ready"
            time.sleep(0.02)
        drive(served)
    except BaseException as failure:  # noqa: BLE001 - handed over to the main thread
        served.failure = failure
    finally:
        served.signal(end)
