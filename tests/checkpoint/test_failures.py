"""Open failures in 16 bytes each: packed as they change, in columns, and cut to a size."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.checkpoint.failures import (
    FailureColumns,
    FailureGroup,
    KnownFailure,
    PackedFailures,
    columns_of,
    cut_to,
)
from exporter.model.changes import Applied, Init, InitDone
from exporter.state.cluster import ClusterState
from exporter.state.contribution import Contribution
from exporter.state.report_store import ReportKey
from exporter.state.selection import Selection
from tests.checkpoint.test_capture import failing
from tests.metrics.clusters import NOW, REPORTS


def contributions() -> list[tuple[ReportKey, Contribution | None]]:
    """What reports of two namespaces and two severities amount to, and nothing."""
    state = ClusterState(Selection(), lambda: NOW)
    state.apply(Init(REPORTS))
    for number in range(6):
        severity = ("high", "low", "medium")[number % 3]
        state.apply(Applied(REPORTS, failing(f"r{number}", f"team-{number % 2}", severity)))
    state.apply(InitDone(REPORTS))
    return list(state.ledger.failures.places.items())


FOUND = contributions()
changes = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40)


def as_set(columns: FailureColumns) -> set[KnownFailure]:
    return set(columns.rows())


@given(changes)
def test_packed_failures_are_those_of_the_last_changes(made: list[tuple[int, bool]]) -> None:
    packed, last = PackedFailures(), dict[ReportKey, Contribution]()
    for number, fails in made:
        place, contribution = FOUND[number]
        packed.put(place, contribution if fails else None)
        last.pop(place, None)
        if fails and contribution is not None:
            last[place] = contribution
    fresh = PackedFailures()
    for place, contribution in last.items():
        fresh.put(place, contribution)
    assert as_set(packed.columns()) == as_set(fresh.columns())
    assert len(packed.columns()) == len(last)


def test_groups_that_come_and_go_take_no_more_room() -> None:
    packed = PackedFailures()
    for _ in range(50):
        for place, contribution in FOUND:
            packed.put(place, contribution)
            packed.put(place, None)
    assert len(packed.columns().groups) == 1


def rows(sizes: dict[str, int]) -> list[KnownFailure]:
    """Failures of namespaces, the higher their number the younger."""
    return [
        KnownFailure(
            hash((namespace, n)) % 2**64, n, FailureGroup("Pod", namespace, "p", "high", "k")
        )
        for namespace, size in sizes.items()
        for n in range(size)
    ]


def sizes_of(columns: FailureColumns) -> Counter[str]:
    return Counter(row.group.namespace for row in columns.rows())


def test_columns_hold_what_they_are_made_of() -> None:
    made = rows({"a": 3, "b": 2})
    assert list(columns_of(made).rows()) == made


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (100, {"small": 2, "medium": 10, "large": 88}),
        (30, {"small": 2, "medium": 10, "large": 18}),
        (12, {"small": 2, "medium": 5, "large": 5}),
        (0, {}),
    ],
)
def test_what_does_not_fit_is_cut_from_the_largest_namespaces(
    most: int, kept: dict[str, int]
) -> None:
    sizes = {"small": 2, "medium": 10, "large": 12_000}
    columns = cut_to(columns_of(rows(sizes)), most)
    assert sizes_of(columns) == kept
    lost = {name: size - kept.get(name, 0) for name, size in sizes.items()}
    assert columns.cut == {name: number for name, number in lost.items() if number}


def test_the_oldest_failures_of_a_namespace_are_kept() -> None:
    columns = cut_to(columns_of(reversed(rows({"a": 12_000}))), 3)
    assert sorted(row.since for row in columns.rows()) == [0, 1, 2]
