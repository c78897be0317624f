"""Twenty thousand reports: read, counted right, and deleted one by one under our eyes."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from itertools import count, islice
from typing import NamedTuple

import pytest

from exporter.model.resource import POLICY_REPORTS
from exporter.simulator.checks import LABELS, REGISTRIES
from exporter.watch.lists import FIRST_PAGE_OBJECTS, PAGE_OBJECTS
from tests.app.running import Samples, self_metrics, summaries, total
from tests.cluster.harness import ControlPlane, control_plane
from tests.cluster.objects import Object, pod_report, sums
from tests.cluster.running import CONFIG, SUMMARY, exporter, scraping

pytestmark = [pytest.mark.tier("cluster"), pytest.mark.slow]

REPORTS = POLICY_REPORTS.name
MANY, DELETED = 20_000, 5_000
MEGABYTES = 400  # no budget, but what a leak or a list kept whole would exceed
PAGES = -(-(MANY - FIRST_PAGE_OBJECTS) // PAGE_OBJECTS)
ROWS = CONFIG | {"reports": {"detail": "summary"}}


class Mode(NamedTuple):
    """How lists are read, and how many requests a long one takes."""

    lists: int
    config: Mapping[str, object] = CONFIG
    flags: tuple[str, ...] = ()


# The first page is short, and shows that a list is long. Servers read pages from etcd before 1.34.
STREAMS = ("--emulated-version=1.33", "--feature-gates=WatchList=true")
MODES = {
    "streamed": Mode(1, flags=STREAMS),
    "streamed as rows": Mode(1, ROWS, STREAMS),
    "by pages, without streams": Mode(1 + PAGES, flags=("--feature-gates=WatchList=false",)),
    "by pages": Mode(1 + PAGES),
}


class Crowd:
    """A control plane and the reports that stand in it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.reports: dict[str, Object] = {}
        self._numbers = count()

    def add(self, number: int) -> None:
        """Write so many reports, every tenth with two failures."""
        new = [pod_report("default", f"{n}", *failing(n)) for n in islice(self._numbers, number)]
        asyncio.run(self.plane.create_all(POLICY_REPORTS.path("default"), new))
        self.reports |= {report["metadata"]["name"]: report for report in new}

    def delete(self, number: int) -> None:
        """Delete the oldest."""
        names = list(self.reports)[:number]
        asyncio.run(self.plane.delete_all(POLICY_REPORTS.path("default"), names))
        for name in names:
            del self.reports[name]


def failing(number: int) -> tuple[str, ...]:
    return (LABELS.policy, REGISTRIES.policy) if number % 10 == 0 else ()


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    with control_plane(STREAMS) as plane:
        found = Crowd(plane)
        began = time.monotonic()
        found.add(MANY)
        print(f"{MANY} reports written in {time.monotonic() - began:.1f} s")
        yield found


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_all_are_read_and_counted(crowd: Crowd, mode: Mode) -> None:
    crowd.add(MANY - len(crowd.reports))
    if crowd.plane.flags != mode.flags:
        crowd.plane.restart_apiserver(mode.flags)
    began = time.monotonic()
    with exporter(crowd.plane.kubeconfig, config=mode.config) as running:
        seconds = time.monotonic() - began
        samples = running.scrape()
    assert summaries(samples) == sums(crowd.reports.values())
    assert self_metrics(samples, "objects", resource=REPORTS) == MANY
    others = (self_metrics(samples, "synced") or 0) - 1  # each takes one request
    assert self_metrics(samples, "api_requests_total", verb="list") == mode.lists + others
    megabytes = (total(samples, "process_resident_memory_bytes") or 0) / 2**20
    print(f"{MANY} reports: ready in {seconds:.1f} s, {megabytes:.0f} MB")
    assert 0 < megabytes < MEGABYTES


def test_the_sums_fall_with_every_deletion_and_are_right_at_the_end(crowd: Crowd) -> None:
    with exporter(crowd.plane.kubeconfig) as running:
        before = sums(crowd.reports.values())
        with scraping(running, SUMMARY) as seen:
            crowd.delete(DELETED)
            wanted = sums(crowd.reports.values())
            after = running.until(lambda s: summaries(s) == wanted)
        assert self_metrics(after, "relists_total") is None
        assert (
            self_metrics(after, "watch_changes_total", resource=REPORTS, change="deleted")
            == DELETED
        )
    passes = [passed(samples) for samples in seen]
    assert passes == sorted(passes, reverse=True)
    assert before["default", "Pod", "pass"] >= passes[0] > passes[-1] >= passed(after)
    assert len(set(passes)) > 2


def passed(samples: Samples) -> float:
    return total(samples, SUMMARY, result="pass") or 0
