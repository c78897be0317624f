"""Series within a budget: whatever folds, the sums over them are the sums over the rows."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.segments import Segments
from exporter.metrics.series import Series
from exporter.state.tally import OVERFLOW, Labels

# A state with a budget of its own has rows of just the labels into which series fold.
ROWS: list[Labels] = [(n, name) for n in ("a", "b") for name in ("x", "y", "z", OVERFLOW)]
puts = st.lists(st.tuples(st.sampled_from(ROWS), st.none() | st.integers(0, 9)), max_size=30)


def series(limit: int) -> Series:
    return Series(Segments(lambda labels: f"{labels} "), limit)


def values(shown: Series) -> dict[Labels, float]:
    return {labels: shown.value(slot) for labels, slot in shown.slots.items()}


@given(puts, st.integers(1, 6))
def test_sums_of_namespaces_are_exact(puts: list[tuple[Labels, int | None]], limit: int) -> None:
    shown, rows = series(limit), dict[Labels, int]()
    for row, value in puts:
        shown.put(row, value)
        if value is None:
            rows.pop(row, None)
        else:
            rows[row] = value
        slot = shown.slot(row)
        assert slot < 0 or shown.value(slot) == rows[row]
        for freed in shown.unfold():
            shown.put(freed, rows[freed])
    sums, truth = Counter[str](), Counter[str]()
    for labels, number in values(shown).items():
        sums[labels[0]] += int(number)
    for labels, number in rows.items():
        truth[labels[0]] += number
    assert sums == truth


def test_a_row_of_the_labels_that_others_fold_into_counts_with_them() -> None:
    shown = series(1)
    shown.put(("a", OVERFLOW), 5)
    shown.put(("a", "x"), 3)
    assert values(shown) == {("a", OVERFLOW): 8}
    shown.put(("a", OVERFLOW), 6)
    assert values(shown) == {("a", OVERFLOW): 9}
    shown.put(("a", "x"), None)
    assert values(shown) == {("a", OVERFLOW): 6}


def test_a_slot_is_told_of_a_row_that_has_it_for_itself() -> None:
    shown = series(2)
    shown.put(("a", "x"), 1)
    shown.put(("a", "y"), 2)
    shown.put(("a", "z"), 3)
    assert shown.value(shown.slot(("a", "x"))) == 1
    assert [shown.slot(row) for row in [("a", "z"), ("a", OVERFLOW), ("b", "x")]] == [-1] * 3
