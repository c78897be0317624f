"""A counter's first occurrence is seen, also where a restart comes between."""

from exporter.metrics.exposition import Exposition, ExposureSettings, render
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from tests.metrics.clusters import NOW, Clock

ROW = ("team-a", "Pod", "p", "ClusterPolicy", "r", "blocked", "high", "none", "admission")


def scrape(exposition: Exposition, now: float, *names: str) -> None:
    for _ in render(exposition.take(now, lambda _: True, frozenset(names)), openmetrics=False):
        pass


def shown(exposition: Exposition, now: float) -> float:
    scrape(exposition, now)
    [series] = [
        p.series for p in exposition.projections if p.family.name == "policyviolation_events_total"
    ]
    return series.value(ROW)


def fresh() -> tuple[ClusterState, Exposition]:
    state = ClusterState(Selection(), Clock())
    return state, Exposition(state, ExposureSettings(birth_hold=35))


def test_a_row_that_nobody_saw_before_a_restart_begins_at_zero() -> None:
    state, exposition = fresh()
    state.violation_events.total.restore({ROW: 3}, {ROW})
    assert [shown(exposition, NOW + t) for t in (0, 34)] == [0, 0]
    state.violation_events.total.publish({ROW: 3}, frozenset())
    assert shown(exposition, NOW + 36) == 3


def test_a_row_that_was_seen_before_a_restart_goes_on() -> None:
    state, exposition = fresh()
    state.violation_events.total.restore({ROW: 3})
    assert shown(exposition, NOW) == 3


def test_with_checkpoints_a_birth_ends_when_one_knows_of_it() -> None:
    """Else a crash would show 0 again after the value, which reads as a reset."""
    state, exposition = fresh()
    counters = state.violation_events.total
    counters.publish({})
    counters.add(ROW)
    counters.publish(dict(counters.rows), frozenset(counters.unborn))
    assert [shown(exposition, NOW + t) for t in (0, 40, 80)] == [0, 0, 0]
    assert not counters.unborn
    counters.publish(dict(counters.rows), frozenset(counters.unborn))
    assert shown(exposition, NOW + 90) == 1


def test_without_a_hold_a_row_is_born_with_its_value() -> None:
    state = ClusterState(Selection(), Clock())
    exposition = Exposition(state, ExposureSettings(birth_hold=0))
    state.violation_events.total.add(ROW, 2)
    assert shown(exposition, NOW) == 2
    assert not state.violation_events.total.unborn


def test_a_scrape_of_other_families_does_not_start_the_hold() -> None:
    state, exposition = fresh()
    state.violation_events.total.add(ROW)
    scrape(exposition, NOW, "policyreport_results")
    assert [shown(exposition, NOW + t) for t in (34, 36, 68, 70)] == [0, 0, 0, 1]


def test_a_scrape_that_was_given_up_does_not_start_the_hold() -> None:
    state, exposition = fresh()
    state.violation_events.total.add(ROW)
    exposition.take(NOW, lambda _: True)  # a client that hung up before it was rendered
    assert [shown(exposition, NOW + t) for t in (36, 70, 71)] == [0, 0, 1]


def test_the_hold_starts_with_the_moment_that_is_rendered() -> None:
    state, exposition = fresh()
    state.violation_events.total.add(ROW)
    slow = exposition.take(NOW, lambda _: True)
    other = (*ROW[:2], "other", *ROW[3:])
    state.violation_events.total.add(other)
    exposition.take(NOW + 1, lambda _: True)
    for _ in render(slow, openmetrics=False):
        pass
    assert shown(exposition, NOW + 35) == 1
    assert other in state.violation_events.total.unborn, "shown at 0 by no scrape before this one"
