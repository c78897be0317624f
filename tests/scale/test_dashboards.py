"""Dashboards add shards up and count replicas once, whatever family a panel shows."""

from collections.abc import Iterator
from typing import NamedTuple

import promql_parser
import pytest

from exporter.metrics.catalogue import CATALOGUE
from grafana.classic import Dashboard, Panel
from tests.grafana.boards import IDS, PANELS, runnable

FAMILIES = {family.name for family in CATALOGUE}
ADDING = {"sum", "count", "avg", "stddev", "stdvar"}


class Use(NamedTuple):
    """A family in an expression, and the aggregations around it, the innermost first."""

    family: str
    within: tuple[str, ...]


def uses(node: object, within: tuple[str, ...] = ()) -> Iterator[Use]:
    match node:
        case promql_parser.VectorSelector():
            if node.name in FAMILIES:
                yield Use(str(node.name), within)
        case promql_parser.MatrixSelector():
            yield from uses(node.vector_selector, within)
        case promql_parser.Call():
            for argument in node.args:
                yield from uses(argument, within)
        case promql_parser.AggregateExpr():
            yield from uses(node.expr, (str(node.op), *within))
        case promql_parser.BinaryExpr():
            yield from uses(node.lhs, within)
            yield from uses(node.rhs, within)
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            yield from uses(node.expr, within)


def doubled(expr: str) -> list[str]:
    """Name the families whose replicas an expression would add up."""
    found = uses(promql_parser.parse(runnable(expr)))
    return [use.family for use in found if use.within and use.within[0] in ADDING]


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=IDS)
def test_replicas_are_made_one_before_shards_are_added_up(board: Dashboard, panel: Panel) -> None:
    assert [name for target in panel.targets for name in doubled(target.expr)] == []


def test_a_plain_sum_would_be_seen() -> None:
    assert doubled("sum(policyreport_summary)") == ["policyreport_summary"]
    assert doubled("sum(max without (pod) (policyreport_summary))") == []
