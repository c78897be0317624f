"""Sums of the state, named for people: totals, the worst rows, blocked requests."""

from collections.abc import Sequence
from heapq import nsmallest

from exporter.state.cluster import ClusterState
from exporter.state.recent import Block
from exporter.state.sums import SumTable
from exporter.state.tally import NOTHING, FiveFold
from exporter.view import values


def total(tally: FiveFold) -> values.Counts:
    """Add up all rows."""
    return counts([sum(column) for column in zip(*tally.values(), strict=True)] or [0] * 5)


def counts(row: Sequence[int]) -> values.Counts:
    """Name five counts."""
    return values.Counts(*row)


def worst(tally: FiveFold, most: int) -> tuple[values.NamedCounts, ...]:
    """Choose the rows with most failing results."""
    rows = nsmallest(most, tally.items(), key=lambda row: (-_failing(row[1]), row[0]))
    return tuple(values.NamedCounts(labels[0], counts(row)) for labels, row in rows)


def by_first(tally: FiveFold) -> SumTable:
    """Add up the rows that agree in their first label."""
    found = SumTable()
    for labels, row in tally.items():
        found.add_all(labels[:1], row)
    return found


def by_severity(state: ClusterState) -> dict[str, int]:
    """Count the failing results of each severity, the worst first."""
    rows = state.ledger.sums.by_severity
    found = {each: _failing(rows.get((each,), NOTHING)) for each in values.SEVERITIES}
    return {severity: count for severity, count in found.items() if count}


def blocked(block: Block) -> values.BlockedRequest:
    """Show a block."""
    return values.BlockedRequest(block.number, *block[:-1])


def _failing(row: Sequence[int]) -> int:
    return counts(row).failing
