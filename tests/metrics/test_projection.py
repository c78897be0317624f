"""Series follow five-fold counts, however these come and go between two looks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.app.scrape import UNIT
from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.exposition import Exposition, ExposureSettings
from exporter.metrics.projection import Projection
from exporter.model.changes import Applied
from exporter.model.metadata import Metadata
from exporter.model.report import RESULTS, Reference, Report, Result
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from exporter.state.tally import WORDS, Labels, Tally
from tests.metrics.clusters import NOW, REPORTS, report, sample
from tests.metrics.test_exposition import exposed
from tests.metrics.test_series import Compared

RESULT_ROWS: list[Labels] = [
    (namespace, "Pod", "false", "p", "r", "none", "none", "kyverno") for namespace in ("a", "b")
]
adds = st.tuples(st.sampled_from(RESULT_ROWS), st.integers(0, 4), st.integers(-2, 2))
looks = st.integers(1, 3) | st.none()
steps = st.lists(adds | looks, max_size=40)


def shown(projection: Projection) -> dict[Labels, float]:
    series = projection.series
    return {labels: series.value(labels) for labels in series.slots}


def expected(tally: Tally, projection: Projection) -> dict[Labels, float]:
    family, kept = projection.family, projection.labels
    at, found = family.word_at, dict[Labels, float]()
    for labels, row in tally.items():
        for index, word in enumerate(RESULTS):
            if row[index] or word in ("pass", "fail"):
                full = (*labels[:at], word, *labels[at:])
                exposed = tuple(v for n, v in zip(family.labels, full, strict=True) if n in kept)
                found[exposed] = found.get(exposed, 0) + row[index]
    return found


@pytest.mark.parametrize("drop", [frozenset[str](), frozenset({"kind"})])
@given(steps)
def test_series_are_the_counts(
    drop: frozenset[str], steps: list[tuple[Labels, int, int] | int | None]
) -> None:
    state = sample()
    exposition = exposed(state, drop=drop)
    projection, tally = exposition.projections[0], state.ledger.totals.results
    for step in steps:
        if isinstance(step, tuple):
            labels, index, amount = step
            row = tally.get(labels)
            tally.add(labels, index, max(amount, -row[index] if row else 0))
        else:
            projection.settle(step or 1 << 60)
        if step is None:
            projection.snapshot(NOW)
            assert shown(projection) == expected(tally, projection)
    projection.settle(1 << 60)
    assert shown(projection) == expected(tally, projection)


def test_a_word_that_comes_again_is_shown_again_where_it_stands() -> None:
    state = sample()
    projection, tally = exposed(state).projections[0], state.ledger.totals.results
    row = RESULT_ROWS[0]
    tally.add(row, 0, 1)
    for amount in (1, 1, -2, 3, -1, -2, 1):
        tally.add(row, 4, amount)
        projection.settle(1 << 60)
        assert shown(projection) == expected(tally, projection)
        tally.add(RESULT_ROWS[1], 1, 1)  # takes what is free
    labels = (*row[: projection.family.word_at], "skip", *row[projection.family.word_at :])
    assert projection.series.slots[labels] == tally.row(row) + 4
    tally.add(row, 0, -1)
    tally.add(row, 4, -1)
    projection.settle(1 << 60)
    assert shown(projection) == expected(tally, projection)


def test_what_vanished_makes_room() -> None:
    state = sample()
    projection, tally = exposed(state).projections[0], state.ledger.totals.results
    projection.settle(1 << 60)
    before = len(tally.cells)
    for number in range(100):
        row = (f"namespace-{number}", *RESULT_ROWS[0][1:])
        for amount in (1, -1):
            tally.add(row, 0, amount)
            projection.settle(1 << 60)
    assert len(tally.cells) <= before + WORDS
    assert shown(projection) == expected(tally, projection)


def test_another_exposition_of_the_same_state_finds_its_own_series() -> None:
    state = sample()
    tally = state.ledger.totals.results
    for _ in range(2):
        projection = exposed(state).projections[0]
        for _ in range(3):
            tally.add(RESULT_ROWS[0], 0, 1)
            projection.settle(1 << 60)
            assert shown(projection) == expected(tally, projection)


def test_what_changes_of_families_that_are_not_shown_is_not_kept() -> None:
    state = sample()
    names = frozenset(family.name for family in CATALOGUE if family.kinds == "reports")
    exposition = Exposition(state, ExposureSettings(disabled=names))
    for number in range(3):
        state.apply(Applied(REPORTS, report(f"v{number}", ["fail"])))
        while exposition.settle(100):
            pass
    ledger = state.ledger
    sources = (
        ledger.totals.results,
        ledger.totals.summary,
        ledger.reports,
        ledger.failures.resources,
    )
    assert [len(source.changed) for source in sources] == [0] * 4
    assert not exposition.take(NOW, lambda kinds: kinds == "reports")


def test_no_turn_files_all_series_when_the_limit_is_reached() -> None:
    state = ClusterState(Selection(), lambda: NOW)
    exposition = Exposition(
        state, ExposureSettings(limits={"policyreport_resource_results": 2_000})
    )
    for number in range(4_000):
        namespace = "team-b" if number % 8 == 0 else "team-a"
        about = Reference("Pod", Compared(f"pod-{number}"), namespace, f"uid-{number}")
        results = [Result("p", "r", "fail", source="kyverno")]
        found = Report.of(Metadata(f"uid-{number}", namespace), about, None, results)
        state.apply(Applied(REPORTS, found))
    turns, more = list[int](), True
    while more:
        Compared.times = 0
        more = exposition.settle(UNIT)
        turns.append(Compared.times)
    assert max(turns) < 20 * UNIT, "a place among 2,000 is found by 11 comparisons"
    assert sum(turns) > 10_000
