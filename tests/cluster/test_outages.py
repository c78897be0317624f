"""What a real API server does to whoever watches it: away, killed, its history forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from exporter.simulator.checks import LABELS
from tests.app.running import Samples, self_metrics, summaries
from tests.cluster.gate import Gate, gate_to
from tests.cluster.harness import ControlPlane, control_plane
from tests.cluster.objects import Object, as_open_report, pod_report, sums
from tests.cluster.running import SUMMARY, Running, exporter, scraping
from tests.tools import eventually

pytestmark = pytest.mark.tier("cluster")

REPORTS, OPEN_REPORTS = "policyreports.wgpolicyk8s.io", "reports.openreports.io"
WATCH_UP = "policyreport_exporter_watch_up"
STEADY = [pod_report("default", f"steady-{n}", LABELS.policy) for n in range(3)]
OPEN = as_open_report(pod_report("default", "open", LABELS.policy))
GOING = as_open_report(pod_report("default", "going"))
STANDING = [*STEADY, OPEN, GOING]
WHILE_AWAY = 10  # scrapes


class Followed(NamedTuple):
    """A control plane, the gate before it, and an exporter that sees it through the gate."""

    plane: ControlPlane
    gate: Gate
    running: Running


@contextmanager
def followed(plane: ControlPlane) -> Iterator[Followed]:
    """Run an exporter that watches all of a control plane that holds STANDING, and no more."""
    plane.kubectl("delete", "policyreports,reports", "--all", "-n", "default")
    plane.apply(STANDING)
    with (
        gate_to(plane) as gate,
        exporter(gate.kubeconfig(plane.kubeconfig)) as running,
    ):
        running.until(all_up)
        yield Followed(plane, gate, running)


@pytest.fixture(scope="module")
def uncached() -> Iterator[ControlPlane]:
    """Watches are served from etcd: versions are good for as long as etcd remembers them."""
    with control_plane(("--watch-cache=false",)) as plane:
        yield plane


@pytest.fixture
def remembering(uncached: ControlPlane) -> Iterator[Followed]:
    with followed(uncached) as found:
        yield found


def all_up(samples: Samples) -> bool:
    return bool(ups := [v for s, v in samples.items() if s.name == WATCH_UP]) and all(ups)


def none_up(samples: Samples) -> bool:
    return self_metrics(samples, "watch_up") == 0


def relists(samples: Samples, resource: str = REPORTS) -> float:
    return self_metrics(samples, "relists_total", resource=resource) or 0


def has_no_hole(seen: list[Samples], at_least: list[Object]) -> bool:
    """Say whether each scrape showed each of these sums, or more."""
    wanted = sums(at_least)
    return all(summaries(samples) >= wanted for samples in seen)


def change(plane: ControlPlane) -> list[Object]:
    """Delete a report and write two; return what stands then."""
    plane.kubectl("delete", "report", "default-going", "-n", "default")
    new = [pod_report("default", f"new-{n}") for n in range(2)]
    plane.apply(new)
    return [*STEADY, OPEN, *new]


def test_away_for_a_while_it_is_served_from_memory_and_nothing_is_listed_again(
    remembering: Followed,
) -> None:
    plane, _, running = remembering
    before = relists(running.scrape())
    with scraping(running, SUMMARY) as seen:
        plane.apiserver.kill()
        running.until(none_up)
        enough = len(seen) + WHILE_AWAY
        eventually(lambda: len(seen) >= enough, what="it is scraped meanwhile")
        assert summaries(running.scrape(SUMMARY)) == sums(STANDING)
        assert set(running.states().values()) == {"failing"}
        plane.apiserver.start()
        now = change(plane)
        after = running.until(lambda s: summaries(s) == sums(now) and all_up(s))
    assert has_no_hole(seen, STEADY)
    assert relists(after) == before


def test_what_happened_behind_a_shut_gate_is_seen_without_a_list(remembering: Followed) -> None:
    plane, gate, running = remembering
    before = relists(running.scrape())
    gate.shut()
    running.until(none_up)
    now = change(plane)
    gate.open()
    after = running.until(lambda s: summaries(s) == sums(now))
    assert relists(after) == before


def test_history_that_etcd_compacted_is_listed_again_without_a_hole(remembering: Followed) -> None:
    plane, gate, running = remembering
    before = relists(running.scrape())
    with scraping(running, SUMMARY) as seen:
        gate.shut()
        running.until(none_up)
        now = change(plane)
        plane.compact_etcd()
        gate.open()
        after = running.until(lambda s: summaries(s) == sums(now) and all_up(s))
    assert has_no_hole(seen, STEADY)
    assert relists(after) == before + 1
    assert self_metrics(after, "relists_total", resource=REPORTS, reason="expired")


def test_a_killed_server_that_remembers_nothing_costs_one_list_and_no_hole() -> None:
    with control_plane() as plane, followed(plane) as (_, _, running):
        with scraping(running, SUMMARY) as seen:
            plane.create_namespace("moves-the-version-on")
            plane.apiserver.kill()
            plane.apiserver.start()
            now = change(plane)
            after = running.until(lambda s: summaries(s) == sums(now) and all_up(s))
        assert has_no_hole(seen, STEADY)
        for resource in (REPORTS, OPEN_REPORTS):
            assert relists(after, resource) == 1
            assert self_metrics(after, "relists_total", resource=resource, reason="expired")
