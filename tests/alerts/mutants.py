"""Expressions that lack one guard of the original: a side, a comparison, a matcher, a threshold."""

import json
import re
from collections.abc import Iterator

import promql_parser as promql

SETS = ("and", "or", "unless")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
RANGE = re.compile(r"\[(\d+)[smhdw]")
OPERATORS = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}


def mutants(expression: str) -> Iterator[str]:
    """Yield each expression that differs from this one in one guard."""
    yield from _mutants(promql.parse(expression))


def ranges(expression: str) -> Iterator[str]:
    """Yield each expression in which one range is half or twice as long."""
    for found in RANGE.finditer(expression):
        for length in (int(found[1]) // 2, int(found[1]) * 2):
            yield f"{expression[: found.start(1)]}{length}{expression[found.end(1) :]}"


def _mutants(node: promql.Expr) -> Iterator[str]:
    match node:
        case promql.BinaryExpr():
            yield from _binary(node)
        case promql.NumberLiteral():
            yield from _numbers(node.val)
        case promql.VectorSelector():
            yield from _selector(str(node), node.matchers.matchers)
        case promql.MatrixSelector():
            yield from _selector(str(node), node.vector_selector.matchers.matchers)
        case promql.Call():
            for argument in node.args:
                yield from _inside(str(node), argument)
        case (
            promql.AggregateExpr() | promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr()
        ):
            yield from _inside(str(node), node.expr)
        case _:
            return


def _inside(whole: str, part: promql.Expr) -> Iterator[str]:
    before, found, after = whole.partition(str(part))
    assert found, f"{part} is not in {whole}"
    for mutant in _mutants(part):
        yield before + mutant + after


def _binary(node: promql.BinaryExpr) -> Iterator[str]:
    operator = str(node.op)
    if operator in SETS:
        yield str(node.lhs)
        yield str(node.rhs)
    elif operator in COMPARISONS:
        yield str(node.lhs)
    modifier = "" if node.modifier is None else str(node.modifier)
    for left in _mutants(node.lhs):
        yield f"({left}) {operator} {modifier} ({node.rhs})"
    for right in _mutants(node.rhs):
        yield f"({node.lhs}) {operator} {modifier} ({right})"


def _numbers(number: float) -> Iterator[str]:
    if number:
        yield f"{number * 2:.12g}"
        yield f"{number / 2:.12g}"
    else:
        yield "2"


def _selector(text: str, matchers: list[promql.Matcher]) -> Iterator[str]:
    written = [f"{m.name}{OPERATORS[str(m.op)]}{json.dumps(m.value)}" for m in matchers]
    for dropped in range(len(written)):
        kept = ",".join(written[:dropped] + written[dropped + 1 :])
        yield text[: text.index("{") + 1] + kept + text[text.rindex("}") :]
