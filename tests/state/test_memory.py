"""What differs from a checkpoint is counted in turns, as exactly as at once."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.changes import Applied, Change, Deleted, Init, InitDone
from exporter.model.metadata import Metadata
from exporter.model.report import Instant, Reference, Report, Result
from exporter.state.cluster import FORGOTTEN_AT_ONCE, ClusterState, Occurrence
from exporter.state.failures import Identity
from exporter.state.memory import COMPARED_AT_ONCE, CheckpointComparison, FailureMemory, hash_of
from exporter.state.occurrences import FailureCounted
from exporter.state.report_store import ReportKey
from exporter.state.selection import Selection
from exporter.state.tally import Labels
from tests.metrics.clusters import NOW, REPORTS

NAMES = ("a", "b", "c", "d")
RULES = ("r1", "r2", "r3")
SINCE = int(NOW) - 500


def report(name: str, rules: Sequence[str], seconds: int) -> Report:
    when = Instant(int(NOW) - seconds)
    results = [
        Result("p", rule, "fail", "high", source="kyverno", timestamp=when) for rule in rules
    ]
    scope = Reference("Pod", name, "team-a", f"uid-{name}")
    return Report.of(Metadata(f"uid-{name}", "team-a"), scope, None, results)


def known(checks: Sequence[tuple[str, str]]) -> FailureMemory:
    """A checkpoint that has these failures, by name of the Pod and rule."""
    labels: Labels = ("team-a", "p", "high", "kyverno")
    marks = {
        hash_of(ReportKey("team-a", f"uid-{name}"), Identity("Pod", name, "p", rule, "kyverno")): (
            SINCE,
            labels,
        )
        for name, rule in checks
    }
    return FailureMemory(marks)


class Compared:
    """A state that listed reports, and compares them with a checkpoint."""

    def __init__(
        self, first: Sequence[Change], checks: Sequence[tuple[str, str]], *, redate: bool
    ) -> None:
        self.state = ClusterState(Selection(), lambda: NOW)
        self.counted: list[Occurrence] = []
        self.state.report_to(self.counted.append)
        for change in [Init(REPORTS), *first, InitDone(REPORTS)]:
            self.state.apply(change)
        failures = self.state.ledger.failures
        self.comparison = CheckpointComparison(known(checks), failures, redate=redate)

    def count(self) -> int:
        self.state.ledger.settle()
        return self.state.ledger.count()

    def outcome(self) -> tuple[object, ...]:
        failures = self.state.ledger.failures
        self.state.ledger.settle()
        return (
            failures.opened.rows,
            failures.closed.rows,
            failures.oldest.least.rows,
            failures.resources.rows,
            Counter(each for each in self.counted if isinstance(each, FailureCounted)),
        )


CHANGES = st.lists(
    st.one_of(
        st.builds(
            lambda *it: Applied(REPORTS, report(*it)),
            st.sampled_from(NAMES),
            st.lists(st.sampled_from(RULES), unique=True),
            st.sampled_from([100, 900]),
        ),
        st.builds(lambda name: Deleted(REPORTS, report(name, (), 0)), st.sampled_from(NAMES)),
    ),
    max_size=8,
)
CHECKS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(RULES)), unique=True)


@given(CHANGES, CHECKS, CHANGES, st.booleans(), st.data())
def test_changes_between_turns_are_counted_as_those_after_all_turns(
    first: Sequence[Change],
    checks: Sequence[tuple[str, str]],
    later: Sequence[Change],
    redate: bool,
    data: st.DataObject,
) -> None:
    at_once = Compared(first, checks, redate=redate)
    assert not at_once.comparison.take(1_000)
    in_turns = Compared(first, checks, redate=redate)
    for change in later:
        for _ in range(data.draw(st.integers(0, 3))):
            in_turns.comparison.take(1)
        for each in (at_once, in_turns):
            each.state.apply(change)
    while in_turns.comparison.take(1):
        pass
    assert in_turns.outcome() == at_once.outcome()


@pytest.mark.parametrize("began", [True, False], ids=["began", "ended"])
def test_a_turn_counts_a_few_hundred_failures(began: bool) -> None:
    names = [f"pod-{number}" for number in range(5_000)]
    state = ClusterState(Selection(), lambda: NOW)
    restore, failures = state.ledger.restore, state.ledger.failures
    restore.memory = known([] if began else [(name, "r1") for name in names])
    state.ledger.counting.add(REPORTS)
    state.apply(Init(REPORTS))
    for name in names if began else ():
        state.apply(Applied(REPORTS, report(name, ["r1"], 0)))
    state.apply(InitDone(REPORTS))
    counted, more = [0], True
    while more:
        more = restore.finish_some()
        counted.append(sum((failures.opened if began else failures.closed).rows.values()))
    turns = [after - before for before, after in pairwise(counted)]
    assert sum(turns) == len(names)
    assert max(turns) <= COMPARED_AT_ONCE


def test_reports_that_a_list_did_not_bring_are_forgotten_a_few_hundred_at_a_time() -> None:
    first = [Applied(REPORTS, report(f"pod-{number}", ["r1"], 0)) for number in range(2_000)]
    outcomes = []
    for in_turns in (True, False):
        it = Compared(first, (), redate=False)
        while it.comparison.take(1_000):
            pass
        it.state.apply(Init(REPORTS))
        for change in first[:100]:
            it.state.apply(change)
        counts, more = [it.count()], in_turns
        while more:
            more = it.state.forget_some(REPORTS)
            counts.append(it.count())
        it.state.apply(InitDone(REPORTS))
        assert it.count() == 100
        assert max((a - b for a, b in pairwise(counts)), default=0) <= FORGOTTEN_AT_ONCE
        assert counts[-1] == (100 if in_turns else 2_000)
        outcomes.append(it.outcome())
    assert outcomes[0] == outcomes[1]
