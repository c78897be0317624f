"""Reports that amount to the same share a profile, and none that do not."""

from exporter.model.report import Result, ResultSet, Summary
from exporter.state.profile import Profiles
from exporter.state.selection import Selection
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
