"""The push to real Alertmanagers of the oldest and a current version."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import msgspec
import pytest
from aiohttp import web

from exporter.alerting.alert import Alert, PostedAlert, encode, labels_of
from exporter.alerting.ports import Completeness
from exporter.alerting.push import Push
from exporter.alerting.settings import AlertingSettings, AlertmanagerTarget
from exporter.notify.client import AlertmanagerClient
from tests.alerting.alertmanagers import Counts
from tests.alerting.cluster import Cluster, failing
from tests.servers import Alertmanager, alertmanager
from tests.tools import eventually

pytestmark = pytest.mark.tier("monitoring")

CONFIG = """
route: {receiver: nobody, group_wait: 1s, group_interval: 1s, group_by: [alertname]}
receivers: [{name: nobody}]
"""
INTERVAL = 2.0


@contextmanager
def alertmanagers(*programs: str) -> Iterator[list[Alertmanager]]:
    with ExitStack() as running:
        yield [running.enter_context(alertmanager(CONFIG, program=p)) for p in programs]


class Setup:
    """A cluster, and a push whose minute is two seconds."""

    def __init__(self, *targets: AlertmanagerTarget, **settings: object) -> None:
        said = {"interval": INTERVAL, "resolve_delay": 0.5, **settings}
        made = msgspec.convert(said, AlertingSettings)
        self.settings = msgspec.structs.replace(made, alertmanagers=targets)
        self.counts = Counts()
        self.clients: list[AlertmanagerClient] = []
        self.began()

    def began(self) -> None:
        """Begin with an empty state, as a new process does."""
        self.cluster = Cluster(clock=time.time)
        self.push = Push(
            self.settings,
            self.cluster.state,
            Completeness(lambda: True, lambda: True),
            self._client,
            self.counts,
        )

    def _client(self, target: AlertmanagerTarget) -> AlertmanagerClient:
        self.clients.append(AlertmanagerClient(target))
        return self.clients[-1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.push.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.push.flush(5)
            for client in self.clients:
                await client.close()
            self.clients.clear()


def policies(manager: Alertmanager) -> set[str]:
    return {alert.labels["policy"] for alert in manager.alerts()}


async def until(look: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(eventually, look, within=30, what=what)


@pytest.mark.parametrize("program", ["alertmanager", "alertmanager31"])
async def test_a_violation_and_a_block_arrive_as_they_were_sent(program: str) -> None:
    with alertmanagers(program) as (manager,):
        setup = Setup(AlertmanagerTarget(manager.url))
        setup.cluster.report("web", failing(since=1_790_000_000))
        setup.cluster.block("pod", ago=60)
        async with setup.running():
            await until(lambda: len(manager.alerts()) == 2, "both arrived")
            violation, block = sorted(
                manager.alerts(), key=lambda a: a.labels["alertname"], reverse=True
            )
        assert violation.labels["alertname"] == "PolicyViolation"
        assert violation.labels["namespace"] == "team-a"
        assert violation.annotations["resources"] == "Deployment/web"
        assert violation.starts_at.timestamp() == 1_790_000_000
        assert violation.ends_at.timestamp() == pytest.approx(time.time() + 4 * INTERVAL, abs=5)
        assert block.labels["alertname"] == "PolicyBlocked"
        assert block.annotations["resources"] == "Pod/pod"
        assert manager.metric("alertmanager_alerts_invalid_total") == 0


@pytest.mark.parametrize("program", ["alertmanager", "alertmanager31"])
async def test_what_is_mended_is_resolved_long_before_it_expires(program: str) -> None:
    with alertmanagers(program) as (manager,):
        setup = Setup(AlertmanagerTarget(manager.url), interval=60.0, resolve_delay=0.0)
        setup.cluster.report("web", failing())
        async with setup.running():
            await until(lambda: bool(manager.alerts()), "it fires")
            setup.cluster.remove("web")
            await setup.push.look()
            await setup.push.look()
            await until(lambda: not manager.alerts(), "it is resolved")


async def test_of_two_alertmanagers_one_may_be_down_for_a_while() -> None:
    with alertmanagers("alertmanager", "alertmanager31") as (down, up):
        setup = Setup(AlertmanagerTarget(down.url), AlertmanagerTarget(up.url))
        setup.cluster.report("web", failing("stays"), failing("goes"))
        async with setup.running():
            await until(lambda: policies(down) == {"stays", "goes"}, "the first knows")
            down.process.stop()
            setup.cluster.report("web", failing("stays"), failing("comes"))
            await until(lambda: policies(up) == {"stays", "comes"}, "the second is told meanwhile")
            await until(lambda: setup.counts.ups[down.url] is False, "it is noticed")
            down.process.start()
            await until(lambda: policies(down) == {"stays", "comes"}, "the first catches up")
        assert setup.counts.faileds[down.url, "connection"] > 0
        assert not [target for target, _ in setup.counts.faileds if target == up.url]


class Notified(msgspec.Struct, rename="camel"):
    """A notification, as a webhook gets it."""

    status: str
    common_labels: dict[str, str]


@asynccontextmanager
async def webhook() -> AsyncIterator[tuple[str, list[tuple[str, str]]]]:
    """Give a URL for notifications, and the status and the name of what arrived there."""
    seen: list[tuple[str, str]] = []

    async def note(request: web.BaseRequest) -> web.Response:
        said = msgspec.json.decode(await request.read(), type=Notified)
        seen.append((said.status, said.common_labels["alertname"]))
        return web.Response()

    runner = web.ServerRunner(web.Server(note))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def test_a_restart_of_the_exporter_is_no_new_incident() -> None:
    failed_at, blocked_at = time.time() - 600, time.time() - 300

    def objects() -> None:
        setup.cluster.report("web", failing(since=failed_at))
        setup.cluster.block("pod", ago=time.time() - blocked_at)

    async with webhook() as (url, notified):
        config = CONFIG.replace(
            "{name: nobody}", f"{{name: nobody, webhook_configs: [url: '{url}']}}"
        )
        with alertmanager(config) as manager:
            setup = Setup(AlertmanagerTarget(manager.url))
            objects()
            async with setup.running():
                await until(lambda: len(notified) == 2, "both are notified")
            before = {alert.fingerprint: alert for alert in manager.alerts()}
            setup.began()
            objects()
            async with setup.running():
                stopped = max(alert.updated_at for alert in before.values())
                await until(
                    lambda: min(a.updated_at for a in manager.alerts()) > stopped, "told again"
                )
                await asyncio.sleep(3 * INTERVAL)  # some flushes of Alertmanager's groups
            after = {alert.fingerprint: alert for alert in manager.alerts()}
    assert before.keys() == after.keys()
    for fingerprint, alert in after.items():
        shift = alert.starts_at - before[fingerprint].starts_at
        assert abs(shift.total_seconds()) < 0.01
    assert sorted(notified) == [("firing", "PolicyBlocked"), ("firing", "PolicyViolation")]


async def test_one_alert_that_is_refused_does_not_keep_the_others_back() -> None:
    with alertmanagers("alertmanager") as (manager,):
        client = AlertmanagerClient(AlertmanagerTarget(manager.url))
        good = Alert(labels_of({"alertname": "Good"}), {}, time.time(), "reports")
        bad = Alert(labels_of({"alertname": "Bad", "no-label": "x"}), {}, time.time(), "reports")
        body = encode(PostedAlert(alert, time.time() + 60) for alert in (bad, good))
        answer = await client(
            f"{manager.url}/api/v2/alerts", body, {"Content-Type": "application/json"}
        )
        await client.close()
        assert answer.status == 400
        assert [alert.labels["alertname"] for alert in manager.alerts()] == ["Good"]
