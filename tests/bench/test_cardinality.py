"""The table of docs/cardinality.md is what the benchmark measures."""

import re

import pytest

from bench.cardinality import PAGE, SIZES, scrape, settings

ROW = re.compile(r"^\| (\w[\w ,]*) \| (\d.+?) \|$", re.MULTILINE)
CELLS = {
    name: found
    for name, cells in ROW.findall(PAGE.read_text(encoding="utf-8"))
    if (found := re.findall(r"[\d,]+, [\d.]+ [kM]B", cells))
}


def test_each_of_the_settings_has_a_row_the_smallest_first() -> None:
    assert CELLS.keys() == settings().keys()
    largest = [int(cells[-1].partition(", ")[0].replace(",", "")) for cells in CELLS.values()]
    assert largest == sorted(largest)
    assert all(len(cells) == len(SIZES) for cells in CELLS.values())


@pytest.mark.parametrize("name", CELLS)
def test_a_row_is_true_of_small_clusters(name: str) -> None:
    config = settings()[name]
    assert CELLS[name][:2] == [str(scrape(size, config)) for size in SIZES[:2]]
