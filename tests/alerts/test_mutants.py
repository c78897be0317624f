"""Each guard of a rule is needed: without it, a test of the rule fails."""

import re
from pathlib import Path

import msgspec
import pytest

from tests.alerts.mutants import mutants, ranges
from tests.alerts.rulebook import (
    Case,
    Group,
    Moment,
    Query,
    Rule,
    RuleFile,
    alerts,
    groups,
    needed_records,
    promtool,
    records,
    suite_of,
    write,
)
from tests.alerts.test_news import NAMES as NEWS
from tests.tools import tool


def alert_mutants(rule: Rule) -> list[Rule]:
    """Return the mutants of an alert; of one without guards, those of its ranges."""
    written = [*mutants(rule.expr)] or [*ranges(rule.expr)]
    changed = [msgspec.structs.replace(rule, expr=expr) for expr in written]
    if rule.wait != "0m":
        changed.append(msgspec.structs.replace(rule, wait="0m"))
    if rule.keep_firing_for != "0m":
        changed.append(msgspec.structs.replace(rule, keep_firing_for="0m"))
    return changed


def renamed(checkpointer: list[Moment], names: list[str]) -> list[Moment]:
    return [
        msgspec.structs.replace(moment, alertname=name) for moment in checkpointer for name in names
    ]


def survivors(output: str, numbered: dict[str, Rule]) -> list[str]:
    """Return the mutants of which promtool had nothing to say."""
    dead = set(re.findall(r"alertname: (\w+), time", output))
    return [
        f"{' '.join(mutant.expr.split())} for {mutant.wait} keep {mutant.keep_firing_for}"
        for name, mutant in numbered.items()
        if name not in dead
    ]


@pytest.mark.parametrize("rule", [*alerts().values()], ids=[*alerts()])
def test_each_alert_has_a_mutant(rule: Rule) -> None:
    assert alert_mutants(rule)


@pytest.mark.tier("monitoring")
@pytest.mark.slow
@pytest.mark.parametrize("name", [*alerts()])
def test_no_guard_of_an_alert_can_go(name: str, tmp_path: Path) -> None:
    """All mutants of an alert run at once, each under a name of its own."""
    rule = alerts()[name]
    original = f"{name}__original"
    numbered = {f"{name}__{i}": mutant for i, mutant in enumerate(alert_mutants(rule))}
    copies = numbered | {original: rule}
    tests = suite_of(name)
    known = records()
    # A suite without the recording rules feeds what they would have recorded.
    recorded = needed_records(rule.expr, known) if len(tests.rule_files) > 1 else set()
    groups = [
        Group("recording", [known[record] for record in known if record in recorded]),
        Group("mutants", [msgspec.structs.replace(m, alert=n) for n, m in copies.items()]),
    ]
    cases = [
        msgspec.structs.replace(test, alert_rule_test=renamed(test.alert_rule_test, [*copies]))
        for test in tests.tests
    ]
    write(tmp_path / "rules.yaml", RuleFile(groups))
    suite = msgspec.structs.replace(
        tests, rule_files=["rules.yaml"], group_eval_order=["recording", "mutants"], tests=cases
    )
    write(tmp_path / "tests.yaml", suite)
    _, output = promtool(tool("promtool"), "test", "rules", "tests.yaml", at=tmp_path)
    assert survivors(output, {original: rule}), output
    alive = survivors(output, numbered)
    assert not alive, "\n".join(alive)


# Those that remember themselves are asked alone, in test_news.py.
ASKED = [
    name
    for name in records()
    if any(
        name in query.expr
        for case in suite_of("recording").tests
        for query in case.promql_expr_test
    )
]


def questions(case: Case, record: str) -> Case:
    """Keep the questions that name this record."""
    kept: list[Query] = [query for query in case.promql_expr_test if record in query.expr]
    return msgspec.structs.replace(case, promql_expr_test=kept)


@pytest.mark.tier("monitoring")
@pytest.mark.slow
@pytest.mark.parametrize("record", ASKED)
def test_no_guard_of_a_record_can_go(record: str, tmp_path: Path) -> None:
    known = records()
    tests = suite_of("recording")
    suite = msgspec.structs.replace(
        tests,
        rule_files=["rules.yaml"],
        group_eval_order=[],
        tests=[questions(case, record) for case in tests.tests],
    )
    wanted = needed_records(known[record].expr, known)
    before = [known[name] for name in known if name in wanted]
    write(tmp_path / "tests.yaml", suite)
    alive = []
    for expr in mutants(known[record].expr):
        mutant = msgspec.structs.replace(known[record], expr=expr)
        write(tmp_path / "rules.yaml", RuleFile([Group("recording", [*before, mutant])]))
        content, output = promtool(tool("promtool"), "test", "rules", "tests.yaml", at=tmp_path)
        if content:
            alive.append(expr)
        else:
            assert "expr: " in output, f"the mutant is not even a rule: {expr}"
    assert not alive, "\n".join(alive)


def test_each_record_is_asked_somewhere() -> None:
    dashboards = {
        rule.record for group in groups() if "dashboards" in group.name for rule in group.rules
    }
    assert {*records()} == {*ASKED, *NEWS} | (dashboards - {*ASKED})
