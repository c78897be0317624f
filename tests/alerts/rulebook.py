"""The shipped rules and their tests as values, and promtool to judge them."""

import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec
import promql_parser as promql

from alerts.build import HERE

TESTS = HERE / "tests"
RUNBOOKS = HERE.parent / "docs" / "runbooks"
PROMTOOLS = ("promtool", "promtool3")


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule as Prometheus reads it: an alert or a record."""

    expr: str
    alert: str = ""
    record: str = ""
    wait: str = msgspec.field(default="", name="for")
    keep_firing_for: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Group(msgspec.Struct, frozen=True):
    name: str
    rules: list[Rule]
    interval: str = "1m"


class RuleFile(msgspec.Struct, frozen=True):
    groups: list[Group]


class Expected(msgspec.Struct, frozen=True):
    exp_labels: dict[str, str]
    exp_annotations: dict[str, str]


class Moment(msgspec.Struct, frozen=True):
    """What one alert should show at one time."""

    eval_time: str
    alertname: str
    exp_alerts: list[Expected]


class Sample(msgspec.Struct, frozen=True):
    labels: str
    value: float


class Query(msgspec.Struct, frozen=True):
    expr: str
    eval_time: str
    exp_samples: list[Sample]


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    interval: str
    input_series: list[dict[str, str]]
    alert_rule_test: list[Moment] = []
    promql_expr_test: list[Query] = []


class TestFile(msgspec.Struct, frozen=True, omit_defaults=True):
    __test__ = False

    rule_files: list[str]
    evaluation_interval: str
    tests: list[Case]
    group_eval_order: list[str] = []


def write(path: Path, value: RuleFile | TestFile) -> None:
    path.write_bytes(msgspec.json.encode(value))  # JSON is YAML


@cache
def groups() -> tuple[Group, ...]:
    files = sorted(HERE.glob("*.rules.yaml"))
    return tuple(
        group
        for file in files
        for group in msgspec.yaml.decode(file.read_bytes(), type=RuleFile).groups
    )


def rules() -> Iterator[Rule]:
    return (rule for group in groups() for rule in group.rules)


@cache
def alerts() -> dict[str, Rule]:
    return {rule.alert: rule for rule in rules() if rule.alert}


@cache
def records() -> dict[str, Rule]:
    return {rule.record: rule for rule in rules() if rule.record}


def needed_records(expression: str, known: dict[str, Rule]) -> set[str]:
    """Return the records that an expression builds on, itself or through others."""
    needed: set[str] = set()
    waiting = [expression]
    while waiting:
        named = {selector.name or "" for selector in selectors(promql.parse(waiting.pop()))}
        fresh = (named & known.keys()) - needed
        needed |= fresh
        waiting += [known[name].expr for name in fresh]
    return needed


def selectors(node: promql.Expr) -> Iterator[promql.VectorSelector]:
    match node:
        case promql.VectorSelector():
            yield node
        case promql.MatrixSelector():
            yield node.vector_selector
        case promql.BinaryExpr():
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)
        case promql.Call():
            for argument in node.args:
                yield from selectors(argument)
        case (
            promql.AggregateExpr() | promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr()
        ):
            yield from selectors(node.expr)
        case _:
            return


def suites() -> list[Path]:
    return sorted(TESTS.glob("*.yaml"))


@cache
def suite_of(name: str) -> TestFile:
    return msgspec.yaml.decode((TESTS / f"{name}.yaml").read_bytes(), type=TestFile)


def promtool(program: Path, *arguments: str | Path, at: Path = HERE) -> tuple[bool, str]:
    """Run promtool and return whether it is content, and what it says."""
    command: Sequence[str | Path] = [program, *arguments]
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode == 0, done.stdout + done.stderr
