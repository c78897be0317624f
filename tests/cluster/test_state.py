"""State in a ConfigMap of a real API server: Pods and API servers go, counts and ages stay."""

from collections.abc import Iterator

import pytest
import yaml

from exporter.checkpoint.format import decode
from tests.app.running import EVENTS_TOTAL, self_metrics, total
from tests.chart.rendering import at, render
from tests.cluster.gate import Gate
from tests.cluster.harness import ControlPlane
from tests.cluster.state import STATE, Kept, Pod, is_state, kill_at_random

pytestmark = pytest.mark.tier("cluster")

KILLS = 10


@pytest.fixture
def kept(cluster: ControlPlane, namespace: str) -> Kept:
    return Kept(cluster, namespace)


@pytest.fixture
def first(kept: Kept) -> Iterator[Pod]:
    """A Pod that has counted three blocked requests."""
    kept.fail("web", "api")
    with kept.pod("first") as pod:
        pod.remembers()
        kept.block(3)
        pod.shows(3)
        yield pod


def test_a_new_pod_with_nothing_but_the_object_goes_on(kept: Kept, first: Pod) -> None:
    ages = first.ages()
    first.process.stop()
    kept.block(2)
    with kept.pod("second", seen=first.seen) as second:
        second.shows(5)
        kept.block()
        second.shows(6)
        assert second.ages() == ages != {}
    assert (first.seen.total, first.seen.falls) == (6, [])


def test_an_administrator_sees_who_wrote_what(kept: Kept, first: Pod) -> None:
    assert (kept.note("writer"), kept.note("active")) == ("first", "true")
    assert (kept.note("failures"), kept.note("failures-left-out")) == ("2", "0")
    first.process.stop()
    assert kept.note("active") == "false"
    assert decode(kept.content()).counters["events"][0][1] == 3


def test_labels_that_others_set_are_kept_and_no_conflict(kept: Kept, first: Pod) -> None:
    kept.plane.kubectl("label", "configmap", STATE, "-n", kept.namespace, "team=platform")
    kept.block()
    samples = first.shows(4)
    assert self_metrics(samples, "checkpoint_conflicts_total") == 0
    assert at(kept.object(), "metadata", "labels", "team") == "platform"


def test_applying_the_manifest_again_leaves_the_content(kept: Kept, first: Pod) -> None:
    """As Argo CD, Flux and kubectl do, by patches of the client or of the server."""
    [manifest] = [o for o in render({"namespaceOverride": kept.namespace}).objects if is_state(o)]
    content = kept.content()
    for how in ("--server-side=false", "--server-side=true"):
        kept.plane.kubectl("apply", how, "-f", "-", stdin=yaml.safe_dump(dict(manifest)))
        assert kept.content() == content
    kept.block()
    samples = first.shows(4)
    assert self_metrics(samples, "checkpoint_conflicts_total") == 0
    assert kept.note("writer") == "first"


def test_an_object_that_is_deleted_and_made_again_gets_everything(kept: Kept, first: Pod) -> None:
    where = ("configmap", STATE, "-n", kept.namespace)
    kept.plane.kubectl("delete", *where)
    kept.block()
    first.until(lambda s: self_metrics(s, "checkpoint_failures_total"))
    assert total(first.scrape() or {}, EVENTS_TOTAL) == 3, "what is not durable is not shown"
    assert "create it" in first.process.log
    kept.plane.kubectl("create", *where)
    first.shows(4)
    assert first.seen.falls == []


def test_while_the_api_server_is_away_counters_stand_still_and_nothing_is_lost(
    kept: Kept, gate: Gate
) -> None:
    kept.fail("web")
    with kept.pod("first", gate) as first:
        first.remembers()
        kept.block(2)
        first.shows(2)
        gate.shut()
        kept.block(3)
        first.until(lambda s: self_metrics(s, "watch_up") == 0)
        assert total(first.scrape() or {}, EVENTS_TOTAL) == 2
        first.process.kill()
    with kept.pod("second", gate, seen=first.seen) as second:
        gate.open()
        second.shows(5)
    assert (first.seen.total, first.seen.falls) == (5, [])


def test_of_two_pods_one_writes_and_the_other_shows_the_same(kept: Kept, first: Pod) -> None:
    with kept.pod("second") as second:
        second.until(lambda s: self_metrics(s, "checkpoint_writer") == 0)
        kept.block(2)
        first.shows(5)
        samples = second.shows(5)
        assert self_metrics(samples, "checkpoint_conflicts_total") == 0
        assert kept.note("writer") == "first"
        assert first.seen.falls == second.seen.falls == []


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_when_the_writer_is_gone_the_other_takes_over_exactly(
    kept: Kept, first: Pod, how: str
) -> None:
    ages = first.ages()
    with kept.pod("second") as second:
        second.until(lambda s: self_metrics(s, "checkpoint_writer") == 0)
        kept.block(2)
        second.shows(5)
        getattr(first.process, how)()
        kept.block(2)
        second.shows(7)
        assert kept.note("writer") == "second"
        assert second.ages() == ages
        kept.block()
        assert total(second.shows(8), EVENTS_TOTAL) == 8
        assert second.seen.falls == []
    with kept.pod("third", seen=second.seen) as third:
        kept.block()
        third.shows(9)
    # What the second one showed at first was counted before it was there.
    assert (second.seen.total, second.seen.falls) == (9, [])


def test_a_reload_of_either_pod_loses_and_repeats_nothing(kept: Kept, first: Pod) -> None:
    with kept.pod("second") as second:
        second.until(lambda s: self_metrics(s, "checkpoint_writer") == 0)
        for number, pod in enumerate((second, first)):
            kept.block(2)
            pod.reload(max_series=10_000 + number)
            second.shows(kept.blocked)
        assert kept.note("writer") == "first"
        kept.block()
        second.reload(max_series=20_000)
        first.process.kill()
        kept.block()
        samples = second.shows(kept.blocked)
        assert total(samples, EVENTS_TOTAL) == kept.blocked
        assert kept.note("writer") == "second"
        assert first.seen.falls == second.seen.falls == []


def test_a_second_writer_is_noticed_and_no_counter_falls(kept: Kept, first: Pod) -> None:
    """Two processes of one name take each other for themselves, until both write."""
    with kept.pod("first") as twin:
        twin.until(lambda s: self_metrics(s, "checkpoint_writer") is not None)
        for blocked in range(4, 14):
            kept.block()
            for pod in (first, twin):
                pod.shows(blocked)
        conflicts = [
            self_metrics(pod.scrape() or {}, "checkpoint_conflicts_total") for pod in (first, twin)
        ]
        assert any(conflicts)
        shown = [total(pod.scrape() or {}, EVENTS_TOTAL) for pod in (first, twin)]
        assert shown == [kept.blocked] * 2
        assert first.seen.falls == twin.seen.falls == []


def test_kills_at_random_points_lose_and_repeat_nothing(kept: Kept, gate: Gate) -> None:
    seen = kill_at_random(kept, gate, KILLS, seed=7)
    assert (seen.total, seen.falls) == (kept.blocked, [])
