"""The benchmarks' sets are what they claim to be."""

from collections import Counter
from itertools import islice

import msgspec
import pytest

from bench.baseline import TypedReport, decode_page
from bench.changes import Change, Changes, Mix
from bench.reports import Reports, Shape, pages

SHAPES = [
    Shape(1_000, namespaces=7),
    Shape(100, namespaces=100, managed_fields=False),
    Shape(500, namespaces=10, distinct=1, failing=0.5, messages=1, rules=(1, 3)),
]


def listed(shape: Shape) -> list[TypedReport]:
    return [each for body in pages(shape, 64) for each in decode_page(body).items]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_list_has_each_report_once_by_namespaces(shape: Shape) -> None:
    found = listed(shape)
    assert len({each.metadata.name for each in found}) == len(found) == shape.reports
    namespaces = [each.metadata.namespace for each in found]
    assert namespaces == sorted(namespaces)
    assert len(set(namespaces)) == shape.namespaces


@pytest.mark.parametrize("shape", SHAPES)
def test_a_summary_counts_the_results(shape: Shape) -> None:
    for each in listed(shape):
        words = Counter(result.result for result in each.results or ())
        assert each.summary is not None
        assert words == Counter({"pass": each.summary.pass_, "fail": each.summary.fail})
        assert shape.rules[0] <= words.total() <= shape.rules[1]


def test_the_share_of_reports_that_are_alone_is_as_asked_for() -> None:
    shape = Shape(2_000, namespaces=4, distinct=0.5)
    outcomes = Counter(str([r.rule for r in each.results or ()]) for each in listed(shape))
    alone = sum(1 for count in outcomes.values() if count == 1)
    assert 0.45 < alone / shape.reports < 0.55


def test_failures_have_messages_of_their_own_in_the_share_asked_for() -> None:
    found = listed(Shape(2_000, namespaces=4, failing=1, messages=0.3))
    self_metrics = sum(
        any(r.result == "fail" and "containers/0/" not in r.message for r in each.results or ())
        for each in found
    )
    assert 0.25 < self_metrics / len(found) < 0.35


def test_changes_amount_to_what_they_say() -> None:
    shape = Shape(300, namespaces=3, failing=0.5)
    changes = Changes(shape, Mix())
    reports, present = Reports(shape), dict.fromkeys(range(shape.reports), 0)
    for change in islice(changes, 2_000):
        apply(change, present)
    assert sorted(present) == sorted(changes.live)
    found = Counter[str]()
    for number, turn in present.items():
        made = msgspec.json.decode(reports.encode(number, turn=turn), type=TypedReport)
        found.update(result.result for result in made.results or ())
    assert found == changes.results()


def apply(change: Change, present: dict[int, int]) -> None:
    """Do as a watcher does; what is created was not there, and nothing else is told of."""
    assert (change.type == "ADDED") == (change.number not in present)
    if change.type == "DELETED":
        del present[change.number]
    else:
        present[change.number] = change.turn
