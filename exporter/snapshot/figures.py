"""Everything that a snapshot shows, added up from what was read."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from exporter.model.report import RESULTS
from exporter.settings.file import ConfigFile
from exporter.snapshot.document import SnapshotDocument, SnapshotScope, SummaryRow
from exporter.snapshot.options import SnapshotOptions
from exporter.snapshot.reading import Reading
from exporter.state.failures import standing
from exporter.state.sums import SumTable
from exporter.state.tally import FiveFold, Labels
from exporter.view.failing import failing, order
from exporter.view.summary import blocked, left_out, total, worst
from exporter.view.values import COUNT_CHOICES, SEVERITIES, Counts, FailingResult, NamedCounts

_NAMESPACE, _KIND, _POLICY, _SEVERITY = 0, 1, 2, 4
"""Where the ledger's rows of results have these labels."""


class _Figures(NamedTuple):
    results: FiveFold
    resources: FiveFold
    summary: FiveFold
    not_itemised: FiveFold


def document(
    reading: Reading, ask: SnapshotOptions, config: ConfigFile, problems: Sequence[str]
) -> SnapshotDocument:
    """Take everything to show from what was read."""
    whole = config.reports.detail == "full"
    state, chosen = reading.state, _chooser(reading, ask)
    found = _figures(reading, ask, chosen)
    cut = found.not_itemised if whole and not ask.severities else SumTable()
    namespaces = _by(found.results, _NAMESPACE) if whole else _by(found.summary, _NAMESPACE)
    for labels, row in _by(cut, _NAMESPACE).items():
        namespaces.add_all(labels, row)
    counted = total(namespaces)
    blocks = [
        each
        for each in reversed(state.violation_events.recent.blocks)
        if reading.in_team(each.namespace) and each.severity in (ask.severities or (each.severity,))
    ]
    return SnapshotDocument(
        cluster=reading.cluster,
        cluster_uid=reading.cluster_uid,
        time=time.time(),
        scope=_scope(ask, config),
        problems=list(problems),
        count=ask.counting,
        reports=state.ledger.count(),
        compliance=counted.compliance,
        resources=total(found.resources),
        results=counted,
        not_itemised=total(cut),
        left_out=list(left_out(state)),
        skipped=reading.skipped,
        unreadable={name: str(error) for name, error in reading.refused.items()},
        failing_by_severity=_severities(_by(found.results, _SEVERITY)) if whole else None,
        summary=[SummaryRow(n, k, Counts(*row)) for (n, k), row in sorted(found.summary.items())],
        namespaces=_all(namespaces),
        policies=_all(_by(found.results, _POLICY)) if whole else None,
        failing=_failing(reading, ask) if whole else None,
        blocked=[blocked(b) for b in blocks if not b.claimed] if reading.events_read else None,
        claimed=[blocked(b) for b in blocks if b.claimed] if reading.events_read else None,
    )


def excluded_kinds(ask: SnapshotOptions) -> frozenset[str]:
    """Name the kinds that are not counted; a kind that is asked for is."""
    return frozenset() if ask.kinds else COUNT_CHOICES[ask.counting]


def _scope(ask: SnapshotOptions, config: ConfigFile) -> SnapshotScope:
    return SnapshotScope(
        namespaces=tuple(sorted(ask.namespaces)),
        policies=tuple(sorted(ask.policies)),
        kinds=tuple(sorted(ask.kinds)),
        severities=tuple(sorted(ask.severities, key=SEVERITIES.index)),
        results=tuple(word for word in RESULTS if word in config.results),
        team=ask.team,
        count=ask.counting,
        detail=config.reports.detail,
        sources=config.sources,
        filters=ask.filters,
    )


def _chooser(reading: Reading, ask: SnapshotOptions) -> Callable[[Labels], bool]:
    """Decide which rows, labelled with namespace and kind first, are shown."""
    excluded = excluded_kinds(ask)
    return lambda labels: labels[_KIND] not in excluded and reading.in_team(labels[_NAMESPACE])


def _figures(reading: Reading, ask: SnapshotOptions, chosen: Callable[[Labels], bool]) -> _Figures:
    totals, wanted = reading.state.ledger.totals, frozenset(ask.severities)
    results = {
        labels: row
        for labels, row in totals.results.items()
        if chosen(labels) and (not wanted or labels[_SEVERITY] in wanted)
    }
    tallies = (totals.resources, totals.summary, totals.not_itemised)
    others = [{k: v for k, v in tally.items() if chosen(k)} for tally in tallies]
    return _Figures(results, *others)


def _by(results: FiveFold, label: int) -> SumTable:
    """Add up results by one of their labels."""
    found = SumTable()
    for labels, row in results.items():
        found.add_all((labels[label],), row)
    return found


def _severities(rows: FiveFold) -> dict[str, int]:
    """Count the failing results of each severity, the worst first."""
    found = {each: Counts(*rows.get((each,), (0,) * 5)).failing for each in SEVERITIES}
    return {severity: count for severity, count in found.items() if count}


def _all(tally: FiveFold) -> list[NamedCounts]:
    return list(worst(tally, len(tally)))


def _failing(reading: Reading, ask: SnapshotOptions) -> list[FailingResult]:
    excluded, wanted = excluded_kinds(ask), frozenset(ask.severities or SEVERITIES)
    found = [
        failing(one)
        for each in reading.state.ledger.failures.places.values()
        for one in standing(each)
        if one.kind not in excluded
        and one.failure.outcome.severity in wanted
        and reading.in_team(one.namespace)
    ]
    return sorted(found, key=order)
