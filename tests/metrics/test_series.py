"""Series within a budget: whatever folds, the sums over them are the sums over the rows."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics.segments import Segments
from exporter.metrics.series import Series
from exporter.state.tally import NOTHING, OVERFLOW, WORDS, Labels, Tally

# A state with a budget of its own has rows of just the labels into which series fold.
ROWS: list[Labels] = [(n, name) for n in ("a", "b") for name in ("x", "y", "z", OVERFLOW)]
puts = st.lists(st.tuples(st.sampled_from(ROWS), st.none() | st.integers(0, 9)), max_size=30)


def series(limit: int) -> Series:
    return Series(Segments(lambda labels: f"{labels} "), limit)


def values(shown: Series) -> dict[Labels, float]:
    return {labels: shown.value(labels) for labels in shown.slots}


def assert_sums_are(shown: Series, rows: dict[Labels, int]) -> None:
    sums, truth = Counter[str](), Counter[str]()
    for labels, number in values(shown).items():
        sums[labels[0]] += int(number)
    for labels, number in rows.items():
        truth[labels[0]] += number
    assert +sums == +truth


@given(puts, st.integers(1, 6))
def test_sums_of_namespaces_are_exact(puts: list[tuple[Labels, int | None]], limit: int) -> None:
    shown, rows = series(limit), dict[Labels, int]()
    for row, value in puts:
        shown.put(row, value)
        if value is None:
            rows.pop(row, None)
        else:
            rows[row] = value
        for freed in shown.unfold():
            shown.put(freed, rows[freed])
    assert_sums_are(shown, rows)


@given(puts, st.integers(1, 6))
def test_sums_of_what_is_shown_where_it_stands_are_exact(
    puts: list[tuple[Labels, int | None]], limit: int
) -> None:
    tally, rows = Tally(), dict[Labels, int]()
    shown = Series(Segments(lambda labels: f"{labels} ", tally=tally), limit)
    for row, value in puts:
        rows[row] = value or 0
        tally.add(row, 0, rows[row] - tally.get(row, NOTHING)[0])
        put(shown, tally)
        tally.touch(shown.unfold())
        put(shown, tally)
        assert_sums_are(shown, rows)
    alone = [row for row in tally if shown.slots.get(row, -1) >= 0]
    assert all(shown.slots[row] == tally.row(row) for row in alone)


def put(shown: Series, tally: Tally) -> None:
    """Do as a projection does that shows the first word only."""
    for cell in tally.take(1_000):
        if not cell % WORDS:
            shown.put(tally.about(cell)[0], tally.cells[cell] or None, cell)
    tally.forget()


def test_a_row_of_the_labels_that_others_fold_into_counts_with_them() -> None:
    shown = series(1)
    shown.put(("a", "w"), 1)
    shown.put(("a", OVERFLOW), 5)
    shown.put(("a", "x"), 3)
    assert values(shown) == {("a", "w"): 1, ("a", OVERFLOW): 8}
    shown.put(("a", OVERFLOW), 6)
    assert values(shown) == {("a", "w"): 1, ("a", OVERFLOW): 9}
    shown.put(("a", "x"), None)
    assert values(shown) == {("a", "w"): 1, ("a", OVERFLOW): 6}


NAMESPACES = [*"abcdef"]
shares = st.lists(
    st.tuples(
        st.sampled_from(NAMESPACES),
        st.integers(0, 30),
        st.sampled_from(["high", "low"]),
        st.none() | st.integers(1, 9),
    ),
    max_size=120,
)
LIMIT = 24


@settings(max_examples=200)
@given(shares, st.sets(st.sampled_from(NAMESPACES), min_size=1, max_size=3))
def test_whatever_some_namespaces_write_the_others_show_what_they_would_without_them(
    puts: list[tuple[str, int, str, int | None]], evil: set[str]
) -> None:
    within = LIMIT // len(NAMESPACES)
    shown, alone = fair(), fair()
    truth: dict[Labels, int] = {}
    for namespace, number, severity, value in puts:
        row = (namespace, f"p{number if namespace in evil else number % within}", severity)
        if namespace not in evil:
            row = (*row[:2], "high")  # within its share: so many rows at most
            put_and_settle(alone, row, value, truth)
        put_and_settle(shown, row, value, truth)
    others = {row: value for row, value in values(shown).items() if row[0] not in evil}
    assert others == values(alone)
    assert {row for row in others if OVERFLOW in row} == set()
    assert len(shown) - len(shown._rest) <= LIMIT
    assert {row[2] for row in shown.slots} <= {"high", "low"}, "no severity is lost"
    assert_sums_are(shown, truth)


def fair() -> Series:
    return Series(Segments(lambda labels: f"{labels} "), LIMIT, kept=frozenset({2}))


def put_and_settle(shown: Series, row: Labels, value: int | None, truth: dict[Labels, int]) -> None:
    if value is None:
        truth.pop(row, None)
    else:
        truth[row] = value
    shown.put(row, value)
    for freed in shown.unfold():
        shown.put(freed, truth[freed])


class Compared(str):
    """Text that counts how often it is compared in order."""

    __slots__ = ()
    times = 0

    def __lt__(self, other: str) -> bool:
        Compared.times += 1
        return str.__lt__(self, other)

    __hash__ = str.__hash__


def test_for_room_in_one_namespace_no_folded_row_of_another_is_looked_at() -> None:
    shown = Series(Segments(lambda labels: f"{labels} "), 1_000)
    for number in range(5_000):
        shown.put(("team-z", Compared(f"r{number:04}")), 1)
    for number in range(600):
        shown.put(("team-a", f"r{number:03}"), 1)
    for number in range(10):
        shown.put(("team-a", f"r{number:03}"), None)
        shown.put(("team-z", Compared(f"new-{number}")), 1)
    while shown.behind:
        shown.settle(1_000)
    Compared.times = 0
    assert len(shown.unfold()) == 10
    assert Compared.times == 0


@pytest.mark.parametrize("first", ["flood", "team"])
def test_20_000_named_resources_of_one_namespace_fold_no_row_of_another(first: str) -> None:
    shown = Series(Segments(lambda labels: f"{labels} "), 20_000, kept=frozenset({2}))
    flood = [("evil", f"r{n}", "low") for n in range(20_000)]
    team = [("team-a", f"r{n}", "critical") for n in range(1_000)]
    for row in (*flood, *team) if first == "flood" else (*team, *flood):
        shown.put(row, 1)
    assert all(row in shown.slots for row in team)
    assert values(shown)["evil", OVERFLOW, "low"] == 1_000
    for row in team:
        shown.put(row, None)
    for freed in shown.unfold():
        shown.put(freed, 1)
    assert values(shown) == dict.fromkeys(flood, 1)


def test_11_namespaces_leave_the_next_its_severity() -> None:
    shown = Series(Segments(lambda labels: f"{labels} "), 2_000, kept=frozenset({2}))
    for number in range(11):
        for policy in range(400):
            shown.put((f"evil-{number}", f"p{policy}", "low"), 1)
    for policy in range(300):
        shown.put(("team-a", f"p{policy}", "critical"), 1)
    mine = [row for row in shown.slots if row[0] == "team-a"]
    assert {row[2] for row in mine} == {"critical"}
    assert len(mine) == 2_000 // 12 + 1, "its share, and one for the rest"
    assert sum(shown.value(row) for row in mine) == 300
