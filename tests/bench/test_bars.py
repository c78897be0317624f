"""The verdicts follow the figures, and each bar is about something that is measured."""

from pathlib import Path

import pytest

from bench.bars import BARS, Bar, Verdict, judged
from bench.runs import full, small
from bench.tables import BEGIN, END, markdown, replace

DECODE = BARS[0]
DICTS = next(bar for bar in BARS if bar.at_least)
VISIBLE = next(bar for bar in BARS if bar.slack)


def verdict(bar: Bar, **figures: float) -> Verdict:
    """Judge one bar by its figure, its CPU time and its slack."""
    names = {"value": bar.figure, "cpu": f"{bar.figure}, cpu", "slack": bar.slack}
    row = {names[name]: value for name, value in figures.items()}
    found = {bar.benchmark: {bar.row: row}}
    return next(each for each in judged(found) if each.bar == bar)


@pytest.mark.parametrize(
    ("bar", "figures", "expected"),
    [
        (DECODE, {"value": DECODE.limit}, "met"),
        (DECODE, {"value": DECODE.limit + 0.1}, "not met"),
        (DECODE, {"value": DECODE.limit + 0.1, "cpu": DECODE.limit}, "met with a core to itself"),
        (DICTS, {"value": DICTS.limit}, "met"),
        (DICTS, {"value": DICTS.limit - 0.1}, "not met"),
        (VISIBLE, {"value": VISIBLE.limit + 1, "slack": 2}, "met"),
        (VISIBLE, {"value": VISIBLE.limit + 3, "slack": 2}, "not met"),
        (DECODE, {}, "not run"),
    ],
    ids=lambda value: "",
)
def test_a_bar_is_met_up_to_its_limit(bar: Bar, figures: dict[str, float], expected: str) -> None:
    assert verdict(bar, **figures).met == expected


def test_each_bar_is_about_a_benchmark_that_there_is() -> None:
    assert {bar.benchmark for bar in BARS} <= set(small()) == set(full())


@pytest.mark.parametrize("name", full())
def test_each_benchmark_is_explained(name: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "performance.md"
    assert f"\n| {name} | " in page.read_text(encoding="utf-8")


def test_figures_are_written_where_the_last_ones_stand(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n", encoding="utf-8")
    replace(page, markdown({"scrape": {"scrape": {"render_ms": 12.5}}}, "a machine"))
    text = page.read_text(encoding="utf-8")
    assert "| render_ms | 12.5 |" in text
    assert "stale" not in text
    assert text.startswith(f"before\n{BEGIN}\n\na machine\n")
    assert text.endswith(f"\n\n{END}\nafter\n")
