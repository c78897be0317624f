"""An Alertmanager to post to, which can be down in every way, and a push to it in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Literal, NamedTuple

import msgspec

from exporter.alerting.alert import Labels, labels_of
from exporter.alerting.ports import Completeness, PostAnswer, PushClock
from exporter.alerting.push import Push
from exporter.alerting.settings import AlertingSettings, AlertmanagerTarget
from exporter.errors import Unavailable
from tests.alerting.cluster import START, Cluster

Mode = Literal["ok", "refuse", "hang", "500", "400", "413", "429", "404"]


class Wire(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    generator_url: str = msgspec.field(name="generatorURL", default="")


class Held(NamedTuple):
    """An alert as an Alertmanager holds it, in Unix seconds."""

    starts: float
    ends: float
    annotations: Mapping[str, str]


def wall() -> float:
    return START + asyncio.get_running_loop().time()


class FakeAlertmanager:
    """Holds alerts as the real one does: by labels, the earliest start, until they end.

    ``resolved`` are the resolutions it was told, with their times. What *invalid* picks it
    refuses; of a batch with such an alert it takes the rest, and says 400.
    """

    def __init__(self, mode: Mode = "ok", *, ahead: float = 0.0, retry_after: float = 0.0) -> None:
        self.mode: Mode = mode
        self.ahead = ahead
        self.retry_after = retry_after
        self.held: dict[Labels, Held] = {}
        self.resolved: list[tuple[float, Labels]] = []
        self.batches: list[tuple[float, int]] = []
        self.largest: int | None = None
        self.delay = 0.0
        self.dated = True
        self.invalid: Callable[[Labels], bool] = lambda _: False

    @property
    def now(self) -> float:
        return wall() + self.ahead

    @property
    def date(self) -> float:
        """The Date header has whole seconds."""
        return float(int(self.now)) if self.dated else 0.0

    def firing(self) -> dict[Labels, Held]:
        return {labels: held for labels, held in self.held.items() if held.ends > self.now}

    def names(self) -> set[str]:
        return {dict(labels)["alertname"] for labels in self.firing()}

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> PostAnswer:
        assert url.endswith("/api/v2/alerts")
        assert headers["Content-Type"] == "application/json"
        alerts = msgspec.json.decode(body, type=list[Wire])
        self.batches.append((wall() - START, len(alerts)))
        await asyncio.sleep(self.delay)
        if self.mode == "refuse":
            raise Unavailable("no response: connection refused")
        if self.mode == "hang":
            await asyncio.Event().wait()
        if self.mode != "ok":
            return PostAnswer(int(self.mode), self.retry_after, self.date, "no")
        return self._take(alerts)

    def _take(self, alerts: list[Wire]) -> PostAnswer:
        if self.largest is not None and len(alerts) > self.largest:
            return PostAnswer(413, 0.0, self.date, "too large")
        refused = [self._put(alert) for alert in alerts].count(False)
        return PostAnswer(400 if refused else 200, 0.0, self.date, "invalid" if refused else "")

    def _put(self, alert: Wire) -> bool:
        labels = labels_of(alert.labels)
        if self.invalid(labels) or alert.ends_at < alert.starts_at:
            return False
        starts, ends = alert.starts_at.timestamp(), alert.ends_at.timestamp()
        if ends <= self.now:
            self.resolved.append((wall() - START, labels))
        old = self.held.get(labels)
        if old is not None and (old.starts < ends < old.ends or old.starts < starts < old.ends):
            starts = min(starts, old.starts)
            ends = ends if ends <= self.now else max(ends, old.ends)
        self.held[labels] = Held(starts, ends, alert.annotations)
        return True


class Counts:
    """What an observer was told."""

    def __init__(self) -> None:
        self.actives: list[int] = []
        self.sents: dict[str, int] = {}
        self.faileds: dict[tuple[str, str], int] = {}
        self.droppeds: dict[str, int] = {}
        self.ups: dict[str, bool] = {}
        self.successes: dict[str, float] = {}
        self.skews: dict[str, float] = {}

    def active(self, count: int) -> None:
        self.actives.append(count)

    def sent(self, target: str, count: int) -> None:
        self.sents[target] = self.sents.get(target, 0) + count

    def failed(self, target: str, reason: str, count: int) -> None:
        self.faileds[target, reason] = self.faileds.get((target, reason), 0) + count

    def dropped(self, reason: str, count: int) -> None:
        self.droppeds[reason] = self.droppeds.get(reason, 0) + count

    def up(self, target: str, up: bool) -> None:
        self.ups[target] = up

    def success(self, target: str, unix: float) -> None:
        self.successes[target] = unix

    def skew(self, target: str, seconds: float) -> None:
        self.skews[target] = seconds


class Watches:
    """Whether reports and Events are complete."""

    def __init__(self) -> None:
        self.reports = True
        self.events = True


class Site:
    """A cluster, a push that runs, and Alertmanagers a, b, ... that it goes to."""

    def __init__(
        self, *fakes: FakeAlertmanager, namespace_labels: tuple[str, ...] = (), **settings: object
    ) -> None:
        self.fakes = fakes or (FakeAlertmanager(),)
        urls = [f"http://{letter}:9093" for letter in "abcdef"[: len(self.fakes)]]
        self.settings = msgspec.convert(
            {**settings, "alertmanagers": [{"url": url} for url in urls]}, AlertingSettings
        )
        self.cluster = Cluster(namespace_labels, wall)
        self.watches = Watches()
        self.counts = Counts()
        self.namespace_labels = namespace_labels
        self.push = self._push()

    @property
    def alertmanager(self) -> FakeAlertmanager:
        return self.fakes[0]

    def _push(self) -> Push:
        posts: dict[str, FakeAlertmanager] = dict(
            zip([t.url for t in self.settings.alertmanagers], self.fakes, strict=True)
        )
        return Push(
            self.settings,
            self.cluster.state,
            Completeness(lambda: self.watches.reports, lambda: self.watches.events),
            partial(_post, posts),
            self.counts,
            namespace_labels=self.namespace_labels,
            clock=PushClock(wall, asyncio.get_running_loop().time, lambda: 0.5),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Site"]:
        """Run the push; it is cancelled at the end, without a flush."""
        task = asyncio.create_task(self.push.run())
        try:
            await asyncio.sleep(0)
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def restart_push(self) -> None:
        """Begin to push anew, about the same cluster."""
        self.push = self._push()

    def restart(self, *, clock: Callable[[], float] = wall) -> None:
        """Lose everything but the cluster's own objects, which the test brings again."""
        self.cluster = Cluster(self.namespace_labels, clock)
        self.push = self._push()


def _post(posts: Mapping[str, FakeAlertmanager], target: AlertmanagerTarget) -> FakeAlertmanager:
    return posts[target.url]
