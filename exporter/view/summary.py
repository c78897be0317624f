"""Sums of the state, named for people: totals, the worst rows, blocked requests."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from heapq import nsmallest
from typing import Final, NamedTuple

from exporter.model.report import engine_of
from exporter.state.cluster import ClusterState
from exporter.state.recent import Block
from exporter.state.sums import SumTable
from exporter.state.tally import FiveFold
from exporter.view import values

KYVERNO: Final = "kyverno"
SHOWN_OLD: Final = 3
"""Policies with old results that are named."""


def scope_sentence(namespaces: Sequence[str], shard: tuple[int, int]) -> str:
    """Describe the part of the cluster that is read; "" for the whole."""
    if namespaces:
        names = ", ".join(namespaces)
        plural, verb = ("s", "are") if len(namespaces) > 1 else ("", "is")
        return (
            f"Only the namespace{plural} {names} {verb} read. Other namespaces and cluster-scoped "
            "resources are not included."
        )
    index, shards = shard
    if shards > 1:
        return f"Only shard {index} of {shards}. The other shards' pages show the other namespaces."
    return ""


class Figures(NamedTuple):
    """Counts of the kinds that count; None where only summaries are read.

    ``results`` and ``namespaces`` include what is not itemised: of a summary and the results that
    it is of, the worse counts.
    """

    resources: values.Counts
    results: values.Counts
    not_itemised: values.Counts
    failing_by_severity: dict[str, int] | None
    namespaces: FiveFold
    policies: FiveFold | None


def figures(state: ClusterState, count: str, *, whole: bool) -> Figures:
    """Add up what *count*, one of COUNT_CHOICES, counts; *whole*: not only summaries are read."""
    ledger, excluded = state.ledger, values.COUNT_CHOICES[count]
    summary = by_first(ledger.totals.summary, excluded)
    cut = by_first(ledger.totals.not_itemised, excluded) if whole else SumTable()
    namespaces = by_first(ledger.sums.by_namespace, excluded) if whole else summary
    for labels, row in cut.items():
        namespaces.add_all(labels, row)
    return Figures(
        resources=total(by_first(ledger.totals.resources, excluded)),
        results=total(namespaces),
        not_itemised=total(cut),
        failing_by_severity=by_severity(state, excluded) if whole else None,
        namespaces=namespaces,
        policies=by_first(ledger.sums.by_policy, excluded) if whole else None,
    )


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


def by_first(tally: FiveFold, excluded: AbstractSet[str] = frozenset()) -> SumTable:
    """Add up the rows that agree in their first label, but those whose last is *excluded*."""
    found = SumTable()
    for labels, row in tally.items():
        if labels[-1] not in excluded:
            found.add_all(labels[:1], row)
    return found


def by_severity(state: ClusterState, excluded: AbstractSet[str] = frozenset()) -> dict[str, int]:
    """Count the failing results of each severity, the worst first."""
    rows = by_first(state.ledger.sums.by_severity, excluded)
    found = {each: _failing(rows.get((each,), (0,) * 5)) for each in values.SEVERITIES}
    return {severity: count for severity, count in found.items() if count}


def left_out(state: ClusterState) -> tuple[values.LeftOut, ...]:
    """List what current reports hold that does not count, most first."""
    rows = state.ledger.left_out.by_source.items()
    found = [values.LeftOut(_reason(reason), source, n) for (reason, source), n in rows if n]
    return tuple(sorted(found, key=lambda each: (-each.results, each.reason, each.source)))


def describe_cut(reports: int) -> list[str]:
    """Write how many reports were cut, and what to do about it; nothing where none was."""
    if not reports:
        return []
    verb, their = ("exceeds", "Its") if reports == 1 else ("exceed", "Their")
    what = f"{counted(reports, 'report')} {verb} limits.report_results or limits.report_bytes"
    return [f"{what}. {their} other results are only counted; raise the limits to list them"]


def unrenewed(state: ClusterState, before: float) -> list[values.Unrenewed] | None:
    """List Kyverno's policies with results older than a moment, the oldest first.

    None where that is not known yet. Policies without a background scan are left out: their results
    are as old as the last change of their resources. How often other engines scan is not known.
    """
    if not state.ledger.oldest.is_known:
        return None
    unscanned = {(row[0], row[2]) for row in state.register.info.rows if row[4] == "false"}
    found = [
        values.Unrenewed(policy, source, oldest)
        for (policy, source), oldest in state.ledger.oldest.rows.items()
        if oldest < before and engine_of(source) == KYVERNO and (policy, source) not in unscanned
    ]
    return sorted(found, key=lambda each: (each.oldest, each.policy, each.source))


def describe_unrenewed(rows: Sequence[values.Unrenewed], total: int) -> str:
    """Name the policies whose results are old, at most SHOWN_OLD of them."""
    shown = [each.policy for each in rows[:SHOWN_OLD]]
    more = f" and {total - len(shown):,} more" if total > len(shown) else ""
    of = "1 policy" if total == 1 else f"{total:,} policies"
    return f"No scan has renewed some results of {of} for a day: {', '.join(shown)}{more}"


def _reason(reason: str) -> values.LeftOutReason:
    return "word" if reason == "word" else "source"


def describe(rows: Iterable[values.LeftOut]) -> list[str]:
    """Write what is left out, and what to do about it, a sentence each."""
    return [_described(each) for each in rows]


def counted(number: int, noun: str) -> str:
    """1, "check" -> 1 check; 12345, "check" -> 12,345 checks."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _described(row: values.LeftOut) -> str:
    of = f"of source {row.source}" if row.source else "without a source"
    results, are = counted(row.results, "result"), "is" if row.results == 1 else "are"
    if row.reason == "word":
        return f"{results} {of} {are} skipped: not pass, fail, warn, error or skip"
    them = "it" if row.results == 1 else "them"
    return f'{results} {of} {are} left out; to count {them}, add "{row.source}" to sources:'


def blocked(block: Block) -> values.BlockedRequest:
    """Show a block."""
    return values.BlockedRequest(block.number, *block[:-2])


def _failing(row: Sequence[int]) -> int:
    return counts(row).failing
