"""Results added up for people who look: exact when they do, bounded while they do not."""

import time

import pytest

from exporter.model.changes import Applied, Deleted, InitDone, Scope
from exporter.model.resource import POLICY_REPORTS
from exporter.state import sums
from exporter.state.cluster import ClusterState
from exporter.state.contribution import ReportPart
from exporter.state.selection import Selection
from tests.metrics.clusters import report

SCOPE = Scope(POLICY_REPORTS)


def state_of(count: int) -> ClusterState:
    state = ClusterState(Selection(), time.time)
    for number in range(count):
        state.apply(Applied(SCOPE, report(f"r{number}", ["fail"] * (number + 1))))
    state.apply(InitDone(SCOPE))
    return state


def test_they_wait_for_somebody_who_looks() -> None:
    state = state_of(3)
    ledger = state.ledger
    assert not ledger.settle(sums=False)
    assert ledger.totals.results
    assert not ledger.sums.by_policy
    assert not ledger.settle()
    assert [row[1] for row in ledger.sums.by_namespace.values()] == [1 + 2 + 3]
    assert sum(row[1] for row in ledger.sums.by_policy.values()) == 1 + 2 + 3
    assert sum(row[1] for row in ledger.sums.by_severity.values()) == 1 + 2 + 3


def test_a_group_remembers_its_cells_once_it_changes() -> None:
    """As of a cluster in which hardly two reports are alike that is memory for nothing."""
    state = state_of(1)
    state.ledger.settle()
    ((_, contribution),) = state.ledger.contributions()
    assert isinstance(contribution, ReportPart)
    group = contribution.group
    assert [*group.cells] == []
    state.apply(Applied(SCOPE, report("r1", ["fail"])))
    state.ledger.settle()
    assert len(group.cells) == 1
    assert state.ledger.totals.results.cells[group.cells[0]] == group.count == 2


def test_of_what_is_gone_nothing_waits() -> None:
    state = state_of(2)
    added_up = state.ledger.sums
    state.ledger.settle()
    state.apply(Deleted(SCOPE, report("r1", ["fail"] * 2)))
    state.apply(Applied(SCOPE, report("r2", ["fail"])))
    state.ledger.settle(sums=False)
    assert [row[1] for row in added_up.by_namespace.values()] == [1]
    state.ledger.settle()
    assert [row[1] for row in added_up.by_namespace.values()] == [2]
    assert sum(row[1] for row in added_up.by_policy.values()) == 2


def test_too_much_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "CROWD", 5)
    ledger = state_of(5).ledger
    ledger.settle(sums=False)
    assert not ledger.sums.by_namespace
    ledger = state_of(6).ledger
    ledger.settle(sums=False)
    assert [row[1] for row in ledger.sums.by_namespace.values()] == [21]
    assert not ledger.sums.crowded
