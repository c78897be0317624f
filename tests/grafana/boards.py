"""The six dashboards as tests read them, and PromQL as a tree."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import promql_parser

from grafana import classic
from grafana.build import HERE, files, releases
from grafana.dashboards.variables import COUNTS

ROOT = HERE.parent
FILES = files()
RELEASES = releases()
BOARDS = {name: classic.read(json.loads(text)) for name, text in FILES.items()}
PANELS = [(board, panel) for board in BOARDS.values() for panel in board.all_panels()]
IDS = [f"{board.uid}-{panel.id}" for board, panel in PANELS]
SUBSTITUTES = {
    "__range": "1h",
    "__rate_interval": "5m",
    "__interval": "1m",
    "owner": "team",
    "target": "0.95",
    "count": "|".join(COUNTS.values()),
}


class Selector(NamedTuple):
    """One series selector: its metric, (label, value) matched, and the function around it."""

    metric: str
    matchers: tuple[tuple[str, str], ...]
    function: str
    window: str


def runnable(expr: str, **chosen: str) -> str:
    """Fill the variables with what is chosen, or with something that parses."""
    values = SUBSTITUTES | chosen
    return re.sub(
        r"\$\{?([A-Za-z_]\w*)(?::\w+)?\}?", lambda match: values.get(match[1], "some"), expr
    )


def targets(board: classic.Dashboard) -> Iterator[tuple[classic.Panel, classic.Target]]:
    for panel in board.all_panels():
        for target in panel.targets:
            yield panel, target


def expressions(board: classic.Dashboard) -> Iterator[str]:
    """Every PromQL expression of a dashboard: panels, annotations, variables' selectors."""
    yield from (target.expr for _, target in targets(board))
    yield from (note.expr for note in board.annotations.list)
    for variable in board.templating.list:
        if variable.type == "query":
            yield label_values(variable)[0]


def label_values(variable: classic.Variable) -> tuple[str, str]:
    """Return the selector and the label of ``label_values(selector, label)``."""
    found = re.fullmatch(r"label_values\((.+), ([$\w]+)\)", variable.query)
    assert found, variable.query
    return found[1], runnable(found[2])


@cache
def selectors(expr: str) -> list[Selector]:
    """Return every selector of an expression."""
    return list(_walk(promql_parser.parse(runnable(expr)), "", ""))


def _walk(node: object, function: str, window: str) -> Iterator[Selector]:
    match node:
        case promql_parser.VectorSelector():
            pairs = {m.name: m.value for m in node.matchers.matchers}
            # A variable may take a label from several families: {__name__=~"one|other"}.
            for name in str(node.name or pairs.pop("__name__")).split("|"):
                yield Selector(name, tuple(pairs.items()), function, window)
        case promql_parser.MatrixSelector():
            yield from _walk(node.vector_selector, function, str(node.range))
        case promql_parser.Call():
            for argument in node.args:
                yield from _walk(argument, node.func.name, window)
        case promql_parser.AggregateExpr():
            yield from _walk(node.expr, "", window)
        case promql_parser.BinaryExpr():
            yield from _walk(node.lhs, "", window)
            yield from _walk(node.rhs, "", window)
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            yield from _walk(node.expr, function, window)


def grouped(expr: str) -> set[str]:
    """Return the labels that an expression names outside its selectors."""
    clauses = re.findall(r"\b(?:by|on|group_left|without|ignoring) ?\(([\w, ]*)\)", expr)
    return {label for clause in clauses for label in re.findall(r"\w+", clause)}
