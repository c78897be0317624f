"""Rules that remember themselves, each alone: what it reads is given, not recorded."""

import json
from pathlib import Path

import msgspec
import pytest

from tests.alerts.mutants import mutants
from tests.alerts.rulebook import PROMTOOLS, Group, Rule, RuleFile, promtool, records, write
from tests.tools import tool

pytestmark = pytest.mark.tier("monitoring")


class Expected(msgspec.Struct, frozen=True):
    """The samples at one time, by their labels."""

    eval_time: str
    samples: dict[str, float]


class Case(msgspec.Struct, frozen=True):
    record: str
    name: str
    input_series: list[dict[str, str]]
    expected: list[Expected]


CASES = msgspec.yaml.decode(Path(__file__).with_name("news.yaml").read_bytes(), type=list[Case])
NAMES = [*dict.fromkeys(case.record for case in CASES)]


def judged(record: str, expr: str, program: str, at: Path) -> tuple[bool, str]:
    """Return whether every case of a record is met by an expression."""
    write(at / "rules.yaml", RuleFile([Group("alone", [Rule(expr, record=record)])]))
    tests = [
        {
            "name": case.name,
            "interval": "1m",
            "input_series": case.input_series,
            "promql_expr_test": [
                {
                    "expr": record,
                    "eval_time": expected.eval_time,
                    "exp_samples": [
                        {"labels": record + labels, "value": value}
                        for labels, value in expected.samples.items()
                    ],
                }
                for expected in case.expected
            ],
        }
        for case in CASES
        if case.record == record
    ]
    suite = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (at / "tests.yaml").write_text(json.dumps(suite))
    return promtool(tool(program), "test", "rules", "tests.yaml", at=at)


@pytest.mark.parametrize("program", PROMTOOLS)
@pytest.mark.parametrize("record", NAMES)
def test_a_record_remembers_as_written(record: str, program: str, tmp_path: Path) -> None:
    content, output = judged(record, records()[record].expr, program, tmp_path)
    assert content, output


@pytest.mark.slow
@pytest.mark.parametrize("record", NAMES)
def test_most_guards_of_a_record_are_needed(record: str, tmp_path: Path) -> None:
    """Of expressions this long some guards only save work: the scenarios hold the whole."""
    changed = [*mutants(records()[record].expr)]
    alive = [expr for expr in changed if judged(record, expr, "promtool", tmp_path)[0]]
    assert len(alive) <= len(changed) / 5, "\n".join(alive)
