"""The second opinion itself: it sees what is wrong."""

from typing import Any

import pytest

from tests.kyverno import compare, recount
from tests.kyverno.recount import Objects
from tests.kyverno.series import CLOSED, EVENTS, FAILING, OPENED, RESULTS, Family, labels
from tests.kyverno.violations import Known


def report(group: str, seconds: int, word: str) -> dict[str, Any]:
    """Write a report of one result about a Pod."""
    found = {
        "policy": "labels",
        "rule": "autogen-team",
        "result": word,
        "source": "kyverno",
        "timestamp": {"seconds": seconds, "nanos": 0},
    }
    return {
        "group": group,
        "metadata": {"name": "uid", "namespace": "shop"},
        "scope": {"kind": "Pod", "namespace": "shop", "name": "web"},
        "summary": {"pass": 0, "fail": 0, "warn": 0, "error": 0, "skip": 0, word: 1},
        "results": [found],
    }


def expected(*reports: dict[str, Any]) -> dict[str, Family]:
    wanted = recount.expected(Objects(list(reports), [], [], []), Known(frozenset(), {}))
    return dict(wanted)


CHECK = {"policy": "labels", "severity": "none", "source": "kyverno", "namespace": "shop"}
SERIES = {**CHECK, "kind": "Pod", "rule": "team"}


def shown(word: str) -> dict[str, Family]:
    """Return what an exporter that is right shows of one report."""
    both = {
        labels(**SERIES, category="none", result=each): float(each == word)
        for each in ("pass", "fail")
    }
    right = {**expected(report("wgpolicyk8s.io", 7, word)), RESULTS: both}
    if word == "fail":
        right[OPENED] = {labels(**CHECK): 1.0}
    return right


def wrong(seen: dict[str, Family], word: str = "fail") -> dict[str, list[str]]:
    """Return what the recount objects to."""
    found = compare.differences(seen, expected(report("wgpolicyk8s.io", 7, word)))
    return {family: lines for family, lines in found.items() if lines}


@pytest.mark.parametrize("word", ["pass", "fail"])
def test_what_is_right_differs_in_nothing(word: str) -> None:
    assert wrong(shown(word), word) == {}


@pytest.mark.parametrize("family", [*expected(report("wgpolicyk8s.io", 7, "fail"))])
def test_a_series_that_nothing_accounts_for_is_named(family: str) -> None:
    seen = {**shown("fail"), family: {labels(namespace="nowhere", result="pass"): 3.0}}
    assert "{namespace=nowhere, result=pass} shows 3, right is 0" in wrong(seen)[family]


def test_pass_without_fail_is_named() -> None:
    seen = {**shown("pass"), RESULTS: {labels(**SERIES, category="none", result="pass"): 1.0}}
    [line] = wrong(seen, "pass")[RESULTS]
    assert line.startswith("no fail of")


def test_failures_that_opened_and_are_neither_closed_nor_failing_are_named() -> None:
    seen = {**shown("fail"), OPENED: {labels(**CHECK): 3.0}, CLOSED: {labels(**CHECK): 1.0}}
    [line] = wrong(seen)[OPENED]
    assert line.startswith("opened - closed - failing is 1")


def test_every_family_is_compared_once_its_objects_rest() -> None:
    nothing = Objects([], [], [], [])
    assert compare.at_rest(nothing, nothing) == {*expected(), OPENED}
    moved = Objects([{"metadata": {"uid": "a", "resourceVersion": "1"}}], [], [], [])
    assert RESULTS not in compare.at_rest(nothing, moved)
    assert EVENTS in compare.at_rest(nothing, moved)


@pytest.mark.parametrize(("old", "new"), [(7, 8), (8, 7), (7, 7)])
def test_of_twins_in_both_groups_the_newer_counts_and_openreports_in_a_tie(
    old: int, new: int
) -> None:
    twins = [report("wgpolicyk8s.io", old, "fail"), report("openreports.io", new, "pass")]
    assert bool(expected(*twins)[FAILING]) is (old > new)
