"""Series within a budget: whatever folds, the sums over them are the sums over the rows."""

from collections import Counter

from hypothesis import given
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
    shown.put(("a", OVERFLOW), 5)
    shown.put(("a", "x"), 3)
    assert values(shown) == {("a", OVERFLOW): 8}
    shown.put(("a", OVERFLOW), 6)
    assert values(shown) == {("a", OVERFLOW): 9}
    shown.put(("a", "x"), None)
    assert values(shown) == {("a", OVERFLOW): 6}
