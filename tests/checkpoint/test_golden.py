"""A checkpoint that an earlier version wrote is read: its file stays as it was written then."""

from pathlib import Path

import pytest

from exporter.checkpoint.filters import CountingFilters
from exporter.checkpoint.format import decode, restore
from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.metadata import Metadata
from exporter.model.report import Instant, Reference, Report, Result
from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from tests.state.violations import NOW

GOLDENS = sorted((Path(__file__).parent / "goldens").glob("schema-*.json"))
REPORTS = Scope(POLICY_REPORTS)
ABOUT = Reference("Pod", "web", "team-a", "0b7e")


def report(*failing: tuple[str, str, str]) -> Report:
    at = Instant(int(NOW - 5))
    results = [
        Result(policy, rule, "fail", severity="high", source=source, timestamp=at)
        for policy, rule, source in failing
    ]
    return Report.of(Metadata("0b7e", "team-a"), ABOUT, None, results)


@pytest.fixture(params=GOLDENS, ids=lambda path: path.stem)
def state(request: pytest.FixtureRequest) -> ClusterState:
    """What the old checkpoint gives, once its reports were listed: one of three is fixed."""
    state = ClusterState(Selection(), lambda: NOW)
    restore(state, decode(request.param.read_bytes()), [Scope(EVENTS), REPORTS], CountingFilters())
    limits = ("require-limits", "limits", "kyverno")
    team = ("team-a/need-team", "", "KyvernoValidatingPolicy")
    state.apply(Init(REPORTS))
    state.apply(Applied(REPORTS, report(limits, team)))
    state.apply(InitDone(REPORTS))
    state.ledger.restore.finish()
    return state


def test_counters_go_on_where_the_old_version_ended(state: ClusterState) -> None:
    (value,) = state.violation_events.total.rows.values()
    assert value == 7


def test_only_what_was_fixed_meanwhile_is_closed_and_nothing_is_opened(
    state: ClusterState,
) -> None:
    failures = state.ledger.failures
    assert not any(failures.opened.rows.values())
    assert {k: n for k, n in failures.closed.rows.items() if n} == {
        ("team-a", "gone", "high", "kyverno"): 1
    }


def test_ages_survive_even_where_kyverno_renamed_the_source(state: ClusterState) -> None:
    assert state.ledger.failures.oldest.least.rows == {
        ("team-a", "require-limits", "high", "kyverno"): NOW - 9000,
        ("team-a", "team-a/need-team", "high", "KyvernoValidatingPolicy"): NOW - 8000,
    }
