"""Five-fold counts: rows that come and go, and what is told of them."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from exporter.state.tally import NOTHING, WORDS, Labels, Tally

ROWS: list[Labels] = [("a",), ("b",), ("c",)]

adds = st.tuples(st.sampled_from(ROWS), st.integers(0, WORDS - 1), st.integers(-2, 3))
takes = st.integers(0, 4)
steps = st.lists(adds | takes | st.just("touch"), max_size=60)


def counted(tally: Tally) -> Counter[tuple[Labels, int]]:
    return +Counter({(k, i): n for k, row in tally.items() for i, n in enumerate(row)})


def take(tally: Tally, most: int, shown: dict[tuple[Labels, int], int]) -> None:
    """Do as a projection does: show what a cell says under the labels that it has."""
    taken = tally.take(most)
    assert len(taken) <= most
    for cell in taken:
        labels, exists = tally.about(cell)
        assert exists == (labels in tally)
        assert exists or not tally.cells[cell]
        shown[labels, cell % WORDS] = tally.cells[cell]


@given(st.sampled_from([(), (0, 1), range(WORDS)]), steps)
def test_who_takes_what_changed_is_told_of_everything(
    always: Sequence[int],
    steps: list[tuple[Labels, int, int] | int | str],
) -> None:
    tally = Tally(always)
    truth, shown = Counter[tuple[Labels, int]](), dict[tuple[Labels, int], int]()
    for step in steps:
        if step == "touch":
            tally.touch([*ROWS, ("nobody",)])
            assert {tally.row(k) + i for k in tally for i in range(WORDS)} <= set(tally.changed)
        elif isinstance(step, tuple):
            labels, index, wanted = step
            amount = max(wanted, -truth[labels, index])
            if not amount:
                continue
            truth[labels, index] += amount
            tally.add(labels, index, amount)
        elif isinstance(step, int):
            take(tally, step, shown)
            if not tally.changed:
                tally.forget()
        assert counted(tally) == +truth
        assert all(row != NOTHING for row in tally.values())
        assert len(set(tally.changed)) == len(tally.changed)
    take(tally, 1_000, shown)
    assert not tally.changed
    assert +Counter(shown) == +truth
    assert all((labels, index) in shown for labels in tally for index in always)
    assert len(tally.cells) <= len(ROWS) * WORDS


def test_counts_of_a_row_are_neighbours_for_as_long_as_it_exists() -> None:
    tally = Tally()
    tally.add(("a",), 0, 1)
    row = tally.row(("a",))
    tally.count((row + 1, row + 1, row + 4), 2)
    assert tally[("a",)] == (1, 4, 0, 0, 2)
    tally.count((row,), -1)
    assert tally.row(("a",)) == row
    tally.add_all(("a",), (0, 2, 0, 0, 1), -2)
    assert dict(tally) == {}


def test_a_row_that_comes_back_before_anybody_looked_is_the_one_that_went() -> None:
    tally = Tally()
    tally.add(("a",), 0, 1)
    row = tally.row(("a",))
    tally.add(("a",), 0, -1)
    tally.add(("b",), 0, 1)
    tally.add(("a",), 3, 1)
    assert tally.row(("a",)) == row != tally.row(("b",))


def test_what_is_forgotten_makes_room() -> None:
    tally = Tally()
    for number in range(100):
        tally.add((str(number),), 2, 1)
        tally.add((str(number),), 2, -1)
        tally.forget()
    assert len(tally.cells) == WORDS
    assert not tally.changed


def test_nothing_added_makes_no_row() -> None:
    tally = Tally()
    tally.add_all(("a",), NOTHING)
    tally.add(("a",), 1, 0)
    assert not tally
