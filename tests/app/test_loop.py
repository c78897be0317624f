"""What streams bring gathers for some milliseconds, and nothing else has to wait for that."""

import asyncio
import itertools
import selectors
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.app.loop import BUSY_SECONDS, CALM_SECONDS, GATHER_SECONDS, Gathering, run, streams
from tests.app.reloads import reloaded
from tests.app.running import Cluster

SHORT = 0.001


class Desk:
    """A selector in a time that only passes when it sleeps, or is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.selector = Gathering(lambda: self.now, self.sleep)
        self.during: Callable[[], None] = lambda: None
        self._pairs = [socket.socketpair() for _ in range(2)]
        for ours, _ in self._pairs:
            self.selector.register(ours, selectors.EVENT_READ)
        self.selector.streams.add(self._pairs[0][0].fileno())

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.during()

    def send(self, *names: str) -> None:
        for name in names:
            self._pair(name)[1].send(b"x")

    def heard(self, timeout: float | None = None) -> set[str]:
        """Select, read what is reported, and name it."""
        found = {key.fileobj for key, _ in self.selector.select(timeout)}
        names = {name for name in ("stream", "other") if self._pair(name)[0] in found}
        for name in names:
            self._pair(name)[0].recv(100)
        return names

    def close(self) -> None:
        self.selector.close()
        for pair in self._pairs:
            for each in pair:
                each.close()

    def _pair(self, name: str) -> tuple[socket.socket, socket.socket]:
        return self._pairs[("stream", "other").index(name)]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def test_the_first_line_after_silence_is_reported_at_once(desk: Desk) -> None:
    desk.send("stream")
    assert desk.heard() == {"stream"}
    desk.now += 60
    desk.send("stream")
    assert desk.heard(1) == {"stream"}
    assert desk.slept == []


def test_what_follows_gathers(desk: Desk) -> None:
    desk.send("stream")
    desk.heard()
    desk.now += SHORT
    desk.send("stream")
    assert desk.heard() == {"stream"}
    assert desk.slept == [pytest.approx(GATHER_SECONDS - SHORT)]


def test_no_timer_has_to_wait_for_that(desk: Desk) -> None:
    desk.send("stream")
    desk.heard()
    assert desk.heard(SHORT) == set()
    assert desk.slept == [SHORT]
    desk.send("stream")
    assert desk.heard(GATHER_SECONDS) == {"stream"}
    assert sum(desk.slept) == pytest.approx(GATHER_SECONDS), "they gather no longer for a timer"


def test_a_request_waits_for_a_sleep_that_has_begun(desk: Desk) -> None:
    desk.send("stream")
    desk.heard()
    desk.during = lambda: desk.send("other")
    assert desk.heard() == {"other"}
    assert desk.slept == [pytest.approx(GATHER_SECONDS)]


def test_what_follows_a_request_waits_for_nothing(desk: Desk) -> None:
    desk.send("stream", "other")
    desk.heard()
    for _ in range(3):
        desk.now += SHORT
        desk.send("stream", "other")
        assert desk.heard() == {"stream", "other"}
    assert desk.slept == []
    desk.now += CALM_SECONDS
    for _ in range(2):
        desk.send("stream")
        assert desk.heard() == {"stream"}
    assert len(desk.slept) == 1, "streams gather again once requests are over"


def test_a_busy_loop_is_told_of_streams_seldom_and_of_others_at_once(desk: Desk) -> None:
    desk.send("stream")
    assert desk.heard(0) == {"stream"}
    desk.send("stream", "other")
    desk.now += BUSY_SECONDS - SHORT
    assert desk.heard(0) == {"other"}
    assert desk.heard(0) == set()
    desk.now += 2 * SHORT
    assert desk.heard(0) == {"stream"}, "it is still there to be read"
    assert desk.slept == []


def test_without_streams_nothing_gathers(desk: Desk) -> None:
    desk.selector.streams.clear()
    for timeout in (None, 0, 1):
        desk.send("stream")
        assert desk.heard(timeout) == {"stream"}
    assert desk.slept == []


def test_a_timer_is_given_no_time_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []

    def select(_: object, timeout: float | None = None) -> list[object]:
        waits.append(timeout)
        return []

    desk.send("stream")
    desk.heard()
    monkeypatch.setattr(selectors.DefaultSelector, "select", select)
    desk.heard(GATHER_SECONDS + SHORT)
    desk.heard(GATHER_SECONDS)
    assert waits == [pytest.approx(SHORT), GATHER_SECONDS]


def test_watches_of_what_is_served_gather(tmp_path: Path) -> None:
    async def main() -> tuple[set[int], set[int]]:
        async with Cluster() as cluster, reloaded(cluster, tmp_path) as served:
            async with asyncio.timeout(30):
                while (await served.get("/-/ready"))[0] != 200:
                    await asyncio.sleep(0.02)
                for number in itertools.count():
                    if streams():
                        break
                    cluster.report(f"web-{number}")
                    await asyncio.sleep(0.01)
            during = streams().copy()
        return during, streams()

    during, after = run(main())
    assert during
    assert not after


def test_the_running_loop_knows_its_streams() -> None:
    async def again() -> tuple[set[int], set[int]]:
        return streams(), streams()

    one, other = run(again())
    assert one is other
    one, other = asyncio.run(again())
    assert one is not other, "where nothing gathers nobody looks"
