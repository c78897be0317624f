"""What the benchmark of the rules shows is what the rules select."""

import re

import promql_parser as promql
import pytest

from alerts.build import HERE
from bench.rules import NAMES, exposition, history, hurried
from tests.alerts.rulebook import Rule, rules, selectors

SERIES = 2_500
LINE = re.compile(r"^(\w+)(?:{(.*)})? \S+$")
PAIR = re.compile(r'(\w+)="([^"]*)"')
SHOWN = [
    (found[1], dict(PAIR.findall(found[2] or "")))
    for found in map(LINE.match, exposition(SERIES))
    if found
]
FAMILIES = {name for name, _ in SHOWN}
EXCEPTIONS = {"__overflow__"}
"""What a cluster within its limits does not show."""


def fits(matcher: promql.Matcher, labels: dict[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    match str(matcher.op):
        case "MatchOp.Equal":
            return value == matcher.value
        case "MatchOp.NotEqual":
            return value != matcher.value
        case "MatchOp.Re":
            return re.fullmatch(matcher.value, value) is not None
        case _:
            return re.fullmatch(matcher.value, value) is None


@pytest.mark.parametrize("rule", [rule for rule in rules() if rule.record], ids=lambda r: r.record)
def test_a_rule_finds_series_of_each_family_that_it_selects(rule: Rule) -> None:
    for selector in selectors(promql.parse(rule.expr)):
        matchers = selector.matchers.matchers
        if selector.name in FAMILIES and not EXCEPTIONS & {each.value for each in matchers}:
            assert any(
                name == selector.name and all(fits(each, labels) for each in matchers)
                for name, labels in SHOWN
            ), str(selector)


def test_what_the_rules_read_most_is_shown() -> None:
    assert {
        "policyreport_results",
        "policyreport_failing_workloads",
        "policyreport_resource_results",
        "policyreport_failures_opened_total",
        "policyviolation_events_total",
    } <= FAMILIES


def test_the_history_is_that_of_the_series_that_are_shown() -> None:
    level = "cluster_namespace_policy_severity:policyreport_failing_workloads:sum"
    lines = [line for line in history(SERIES, 10**9) if line.startswith(f"{level}{{")]
    past = {tuple(sorted(PAIR.findall(line))) for line in lines}
    judged = {
        tuple(sorted((k, v) for k, v in labels.items() if k in {"namespace", "policy", "severity"}))
        for name, labels in SHOWN
        if name == "policyreport_results"
    }
    assert past == judged


def test_every_interval_of_the_rules_is_shortened() -> None:
    for name in NAMES:
        text = (HERE / name).read_text()
        assert len(re.findall(r"interval: \d+s", hurried(text))) == text.count("  interval: ")
