"""Reports that amount to the same share a profile, and none that do not."""

import pytest

from exporter.model.report import Result, ResultSet, Summary
from exporter.state.profile import Profiles
from exporter.state.selection import Filters, Globs, Selection
from exporter.state.tally import OVERFLOW

SUMMARY = Summary(fail=1)


def result_set(policy: str, rule: str, source: str) -> ResultSet:
    return ResultSet.of([Result(policy, rule, "fail", "high", OVERFLOW, source)])


def test_a_rule_and_the_one_made_of_it_for_controllers_amount_to_the_same() -> None:
    profiles = Profiles(Selection())
    rules = ("check", "autogen-check", "autogen-cronjob-check")
    made = [profiles.of(result_set("p", rule, "kyverno"), SUMMARY) for rule in rules]
    assert made[0] is made[1] is made[2]


def test_a_source_that_is_left_out_is_not_let_in_by_what_was_folded() -> None:
    profiles = Profiles(Selection(results=("pass",)))
    kyverno = profiles.of(result_set("p", "r", "kyverno"), SUMMARY)
    assert profiles.folded(kyverno).allowed
    other = profiles.of(result_set(OVERFLOW, OVERFLOW, OVERFLOW), SUMMARY)
    assert not other.allowed
    assert other.summary == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("globs", "counted"),
    [
        (Globs(), ["a", "b", "c"]),
        (Globs(include=("high", "critical")), ["a"]),
        (Globs(exclude=("low",)), ["a", "c"]),
        (Globs(include=("none",)), ["c"]),
    ],
)
def test_results_of_other_severities_do_not_count(globs: Globs, counted: list[str]) -> None:
    profiles = Profiles(Selection(Filters(severities=globs)))
    severities = {"a": "high", "b": "low", "c": "urgent"}
    results = [Result(p, "r", "fail", severity) for p, severity in severities.items()]
    profile = profiles.of(ResultSet.of(results), Summary(fail=3), "kyverno")
    assert [failure.outcome.policy for failure in profile.failures] == counted
    assert [row.outcome.policy for row in profile.rows] == counted
    assert profile.summary is not None
    assert profile.summary[1] == 3
