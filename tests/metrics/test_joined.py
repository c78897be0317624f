"""Rows that share a series: counts add up, of points in time the first or the last one counts."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.catalogue import CATALOGUE, Family
from exporter.metrics.exposition import Exposition
from exporter.metrics.series import Join, Joined
from exporter.model.changes import Applied, Deleted
from exporter.model.metadata import Metadata
from exporter.model.report import Instant, Reference, Report, Result
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from tests.metrics.clusters import NOW, REPORTS, Clock, listed
from tests.metrics.test_exposition import exposed, text

OLDEST = "policyreport_oldest_failure_timestamp_seconds"
NEWEST = "policyreport_newest_result_timestamp_seconds"
AGES = {"high": 500, "low": 700, "medium": 600}


def failing(severity: str) -> Report:
    at = Instant(int(NOW) - AGES[severity])
    result = Result("p", "r", "fail", severity, source="kyverno", timestamp=at)
    name = f"u-{severity}"
    return Report.of(
        Metadata(name, "team-a"), Reference("Pod", name, "team-a", name), None, [result]
    )


def state() -> ClusterState:
    made = ClusterState(Selection(), Clock())
    listed(made, REPORTS, *map(failing, AGES))
    return made


def value(exposition: Exposition, family: str) -> list[float]:
    lines = text(exposition, family).splitlines()
    return [float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")]


def test_the_oldest_failure_is_the_oldest_of_those_that_a_dropped_label_told_apart() -> None:
    cluster = state()
    shown = exposed(cluster, drop=frozenset({"severity"}))
    assert value(shown, OLDEST) == [NOW - 700]
    cluster.apply(Deleted(REPORTS, failing("low")))
    assert value(shown, OLDEST) == [NOW - 600]


def test_the_newest_result_is_the_newest_of_those_that_a_dropped_label_told_apart() -> None:
    cluster = ClusterState(Selection(sources=("*",)), Clock())
    listed(cluster, REPORTS, failing("low"))
    other = Result("q", result="pass", source="Falco", timestamp=Instant(int(NOW) - 9))
    cluster.apply(
        Applied(REPORTS, Report.of(Metadata("v", "b"), Reference("Pod", "v"), None, [other]))
    )
    assert value(exposed(cluster, drop=frozenset({"source"})), NEWEST) == [NOW - 9]


def test_folded_points_in_time_are_the_oldest_of_them() -> None:
    shown = exposed(state(), max_series=1)
    assert sorted(value(shown, OLDEST)) == [NOW - 700, NOW - 600, NOW - 500], "by severity"


@pytest.mark.parametrize("family", [f for f in CATALOGUE if f.fractional], ids=lambda f: f.name)
def test_no_point_in_time_is_a_sum(family: Family) -> None:
    assert family.join != "sum"


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers(-5, 5))), max_size=20
    ),
    st.sampled_from([("sum", sum), ("least", min), ("greatest", max)]),
)
def test_a_joined_value_is_what_a_recount_says(
    puts: list[tuple[str, int | None]], how: tuple[Join, Callable[[Iterable[int]], int]]
) -> None:
    join, recount = how
    joined, rows = Joined(("x",), join), dict[str, int]()
    for name, number in puts:
        joined.put((name,), number)
        rows.pop(name, None)
        if number is not None:
            rows[name] = number
        assert joined.value == (recount(rows.values()) if rows else None)
