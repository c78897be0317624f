"""The log: one line for one cause, with fields, a reminder while it lasts, one when it is over."""

import asyncio
import json
import logging
from typing import NamedTuple

import pytest

from exporter.app.health import REMIND_SECONDS, OutageLog
from exporter.app.logs import LogFormatter
from exporter.errors import NotServed, Refused, Unavailable
from exporter.kube.client import KubeClient
from exporter.kube.credentials import Anonymous
from exporter.kube.source import KubeSource
from exporter.metrics.self_metrics import new_self_metrics
from exporter.model.changes import Scope
from exporter.model.resource import EVENTS, POLICY_REPORTS, POLICY_RESOURCES
from exporter.watch.reflector import Reflector
from tests.alerting.cluster import Cluster
from tests.virtual_time import virtual

DOWN = Unavailable("https://prod:6443: Connection refused")


class Logged(NamedTuple):
    """An outage log over three reflectors, a clock that is set by hand, and the lines so far."""

    outages: OutageLog
    reflectors: list[Reflector]
    clock: list[float]
    caplog: pytest.LogCaptureFixture

    @property
    def records(self) -> list[logging.LogRecord]:
        return self.caplog.records

    def lines(self) -> list[str]:
        """Return the messages since the last call."""
        said = [record.getMessage() for record in self.records]
        self.caplog.clear()
        return said


def made() -> list[Reflector]:
    resources = (POLICY_REPORTS, EVENTS, POLICY_RESOURCES[0])
    self_metrics = new_self_metrics()
    source = KubeSource(KubeClient(Anonymous("http://127.0.0.1:1"), self_metrics), self_metrics)
    return [Reflector(Scope(each), source, lambda _: None, self_metrics) for each in resources]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    caplog.set_level(logging.INFO)
    reflectors = made()
    clock = [1_000.0]
    for each in reflectors:
        each.since = clock[0]
    outages = OutageLog(reflectors, Cluster().state, lambda: clock[0])
    return Logged(outages, reflectors, clock, caplog)


def fail(reflectors: list[Reflector], error: Unavailable = DOWN) -> None:
    for each in reflectors:
        each.up, each.state, each.last_error = False, "failing", error


def test_an_api_server_that_is_gone_is_one_line_for_all_that_is_watched(logged: Logged) -> None:
    fail(logged.reflectors)
    logged.outages.look()
    [record] = logged.records
    assert record.getMessage() == "not watched"
    assert vars(record)["error"] == str(DOWN)
    assert vars(record)["resources"] == 3
    logged.clock[0] += 60
    logged.outages.look()
    assert len(logged.records) == 1


def test_it_is_repeated_every_ten_minutes_and_its_end_is_logged_with_its_length(
    logged: Logged,
) -> None:
    fail(logged.reflectors)
    logged.outages.look()
    logged.clock[0] += REMIND_SECONDS
    logged.outages.look()
    assert logged.lines() == ["not watched", "not watched"]
    for each in logged.reflectors:
        each.up, each.last_error = True, None
    logged.outages.look()
    [over] = logged.records
    assert over.getMessage() == "watched again"
    assert vars(over)["seconds"] == REMIND_SECONDS


def test_another_cause_is_another_line_and_no_end(logged: Logged) -> None:
    fail(logged.reflectors)
    logged.outages.look()
    fail(logged.reflectors, Unavailable("etcd is starting (500)", 500))
    logged.outages.look()
    assert logged.lines() == ["not watched", "not watched"]


def test_refusals_of_several_resources_are_one_line(logged: Logged) -> None:
    for each in logged.reflectors:
        each.state = "refused"
        each.last_error = Refused(f"{each.scope.resource.name} is forbidden (403)", 403)
    logged.outages.look()
    assert logged.lines() == ["credentials or permissions refused"]


UNSERVED = {
    POLICY_RESOURCES[0].name: ("not served by the API server yet", logging.INFO),
    POLICY_REPORTS.name: ("no policy report API is served", logging.WARNING),
    "": ("not a Kubernetes API server, or a wrong path", logging.WARNING),
}


@pytest.mark.parametrize("name", UNSERVED, ids=["policies", "reports", "everything"])
def test_what_is_not_served_is_one_line_and_an_alarm_only_without_reports(
    name: str, logged: Logged
) -> None:
    for each in logged.reflectors:
        resource = each.scope.resource.name
        if name in {resource, ""}:
            each.state, each.last_error = "not served", NotServed(f"{resource} is not served", 404)
        else:
            each.up, each.state, each.last_sync = True, "watching", logged.clock[0]
    logged.outages.look()
    text, level = UNSERVED[name]
    [record] = logged.records
    assert record.levelno == level
    assert record.getMessage().startswith(text)


def test_fields_stay_fields_in_json() -> None:
    record = logging.LogRecord("exporter.watch", 30, "", 1, "not %s", ("watched",), None)
    record.__dict__ |= {"resources": 17, "error": 'a "b"'}
    fields = json.loads(LogFormatter("json").format(record))
    assert fields["msg"] == "not watched"
    assert (fields["resources"], fields["error"]) == (17, 'a "b"')
    line = LogFormatter("logfmt").format(record)
    assert line.endswith(r'msg="not watched" resources=17 error="a \"b\""')


@virtual
async def test_it_looks_seldom_while_nothing_fails() -> None:
    """Each look wakes up a process that may have nothing else to do."""
    looks = list[float]()

    def clock() -> float:
        looks.append(asyncio.get_running_loop().time())
        return looks[-1]

    reflectors = made()
    running = asyncio.create_task(OutageLog(reflectors, Cluster().state, clock).run())
    await asyncio.sleep(60)
    assert len(looks) >= 59, "nothing is watched yet"
    for each in reflectors:
        each.up = True
    await asyncio.sleep(1)
    looks.clear()
    await asyncio.sleep(60)
    running.cancel()
    assert len(looks) == 12
