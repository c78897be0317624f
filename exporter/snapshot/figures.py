"""Everything that a snapshot shows, added up from what was read."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from msgspec.structs import replace

from exporter.model.report import RESULTS
from exporter.settings.file import ConfigFile
from exporter.snapshot.document import (
    EnforcedPolicy,
    RefusedWorkload,
    SnapshotDocument,
    SnapshotScope,
    SummaryRow,
    Verdict,
    WorkloadFailure,
)
from exporter.snapshot.options import SnapshotOptions
from exporter.snapshot.reading import Reading
from exporter.state.failures import standing
from exporter.state.policy_index import PolicyInfo
from exporter.state.selection import Globs
from exporter.state.sums import SumTable
from exporter.state.tally import FiveFold, Labels
from exporter.view.failing import failing, order
from exporter.view.summary import blocked, counted, left_out, total, unrenewed, worst
from exporter.view.values import (
    COUNT_CHOICES,
    MOST_BLOCKED,
    OLD_SECONDS,
    SEVERITIES,
    Counts,
    FailingResult,
    NamedCounts,
)

_NAMESPACE, _KIND, _CONTROLLED, _POLICY, _SEVERITY = 0, 1, 2, 3, 5
"""Where the ledger's rows of results have these labels."""
_REVISIONS: Final = frozenset({"ReplicaSet", "Job"})
"""Kinds of which a workload keeps old ones, which fail what the workload failed before."""


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
    results = total(namespaces)
    blocks = [
        each
        for each in reversed(state.violation_events.recent.blocks)
        if reading.in_team(each.namespace) and each.severity in (ask.severities or (each.severity,))
    ]
    return SnapshotDocument(
        cluster=reading.cluster,
        cluster_uid=reading.cluster_uid,
        time=time.time(),
        scope=scope_of(ask, config),
        problems=list(problems),
        count=ask.counting,
        reports=state.ledger.count(),
        compliance=results.compliance,
        resources=total(found.resources),
        results=results,
        not_itemised=total(cut),
        cut_reports=state.ledger.totals.cut_reports,
        unrenewed=unrenewed(state, time.time() - OLD_SECONDS) or [],
        left_out=list(left_out(state)),
        skipped=reading.skipped,
        unreadable={name: str(error) for name, error in reading.refused.items()},
        failing_by_severity=_severities(_by(found.results, _SEVERITY)) if whole else None,
        summary=_summary(found.summary),
        namespaces=_all(namespaces),
        policies=_all(_by(found.results, _POLICY)) if whole else None,
        failing=_failing(reading, ask, _excluded(ask)) if whole else None,
        by_workload=by_workload(_failing(reading, ask)) if whole else None,
        blocked=[blocked(b) for b in blocks if not b.claimed] if reading.events_read else None,
        claimed=[blocked(b) for b in blocks if b.claimed] if reading.events_read else None,
        blocked_capped=len(state.violation_events.recent.blocks) >= MOST_BLOCKED,
    )


def _excluded(ask: SnapshotOptions) -> frozenset[str]:
    """Give the values of ``controlled`` that are not counted; a kind that is asked for is."""
    return frozenset() if ask.kinds else COUNT_CHOICES[ask.counting]


def scope_of(ask: SnapshotOptions, config: ConfigFile) -> SnapshotScope:
    """Give what a snapshot is asked for."""
    return SnapshotScope(
        namespaces=tuple(sorted(ask.namespaces)),
        policies=tuple(sorted(ask.policies or ask.if_enforced)),
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
    """Decide which rows, labelled with namespace, kind and controlled first, are shown."""
    excluded = _excluded(ask)
    return lambda row: row[_CONTROLLED] not in excluded and reading.in_team(row[_NAMESPACE])


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


def _summary(rows: FiveFold) -> list[SummaryRow]:
    """Add up summaries by namespace and kind."""
    found = sorted(_by(rows, _NAMESPACE, _KIND).items())
    return [SummaryRow(n, kind, Counts(*row)) for (n, kind), row in found]


def _by(rows: FiveFold, *at: int) -> SumTable:
    """Add rows up by the labels at these positions."""
    found = SumTable()
    for labels, row in rows.items():
        found.add_all(tuple(labels[each] for each in at), row)
    return found


def _severities(rows: FiveFold) -> dict[str, int]:
    """Count the failing results of each severity, the worst first."""
    found = {each: Counts(*rows.get((each,), (0,) * 5)).failing for each in SEVERITIES}
    return {severity: count for severity, count in found.items() if count}


def _all(tally: FiveFold) -> list[NamedCounts]:
    return list(worst(tally, len(tally)))


def _failing(
    reading: Reading, ask: SnapshotOptions, excluded: AbstractSet[str] = frozenset()
) -> list[FailingResult]:
    wanted = frozenset(ask.severities or SEVERITIES)
    found = [
        failing(one)
        for each in reading.state.ledger.failures.places.values()
        for one in standing(each)
        if one.controlled not in excluded
        and one.failure.outcome.severity in wanted
        and reading.in_team(one.namespace)
    ]
    return sorted(found, key=order)


def by_workload(rows: Iterable[FailingResult]) -> list[WorkloadFailure]:
    """Put the results together that a workload and its objects have of one rule, the worst first.

    Owners are found by the names of objects, or with workloads.watch from their metadata.
    """
    groups: dict[tuple[str, ...], list[FailingResult]] = {}
    for row in rows:
        place = (row.namespace, row.workload_kind, row.workload)
        key = (*place, row.policy, row.rule, row.result, row.severity, row.source)
        groups.setdefault(key, []).append(row)
    found = [WorkloadFailure(_named_by_workload(each), len(each)) for each in groups.values()]
    return sorted(found, key=lambda each: order(each.result))


def _named_by_workload(rows: list[FailingResult]) -> FailingResult:
    own = [row for row in rows if (row.kind, row.name) == (row.workload_kind, row.workload)]
    row = (own or rows)[0]
    since = min(each.since for each in rows)
    return replace(row, kind=row.workload_kind, name=row.workload, since=since)


def if_enforced(
    reading: Reading, ask: SnapshotOptions, config: ConfigFile, made: SnapshotDocument
) -> list[EnforcedPolicy]:
    """Work out what breaks if the policies of ``--if-enforced`` enforce, for each of them."""
    chosen = Globs(ask.if_enforced).matcher()
    infos: dict[str, list[PolicyInfo]] = {}
    for (label, _), info in reading.state.register.policy_infos.items():
        infos.setdefault(label, []).append(info)
    rows: dict[str, list[FailingResult]] = {}
    for row in _failing(reading, ask):
        rows.setdefault(row.policy, []).append(row)
    every = _figures(reading, ask, lambda row: reading.in_team(row[_NAMESPACE])).results
    found = _figures(reading, ask, _chooser(reading, ask)).results
    known, counts = _by(every, _POLICY), _by(found, _POLICY)
    spread = _by(found, _POLICY, _NAMESPACE)
    namespaces = Counter(policy for (policy, _), row in spread.items() if Counts(*row).fail)
    unread = (made.skipped, reading.unreadable_reports, reading.unevaluated)
    unknown = bool(made.not_itemised.failing or any(unread))
    return [
        _if_enforced(
            _Evidence(
                policy=policy,
                infos=infos.get(policy, []),
                counts=Counts(*counts.get((policy,), (0,) * 5)),
                namespaces=namespaces[policy],
                has_results=(policy,) in known,
                rows=rows.get(policy, []),
                unknown=unknown,
            ),
            reading,
            config.labels.namespace_labels,
        )
        for policy in sorted({*infos, *(p for (p,) in known)})
        if chosen(policy)
    ]


class _Evidence(NamedTuple):
    """What is known of a policy.

    *counts* and *namespaces* (that fail) are of what ``--count`` counts, *has_results* and *rows*
    of every object. *unknown*: some of its results are possibly not known.
    """

    policy: str
    infos: list[PolicyInfo]
    counts: Counts
    namespaces: int
    has_results: bool
    rows: list[FailingResult]
    unknown: bool


def _if_enforced(
    evidence: _Evidence, reading: Reading, label_names: tuple[str, ...]
) -> EnforcedPolicy:
    counts, exceptions = evidence.counts, reading.exceptions
    return EnforcedPolicy(
        policy=evidence.policy,
        modes=tuple(sorted({each.mode for each in evidence.infos})),
        verdict=_verdict(evidence),
        failing=counts.fail,
        unevaluated=counts.error,
        skipped=counts.skip,
        namespaces=evidence.namespaces,
        workloads=_refused(evidence.rows, reading, label_names),
        exceptions=None if exceptions is None else sorted(exceptions.get(evidence.policy, ())),
        notes=list(_notes(evidence)),
    )


def _verdict(evidence: _Evidence) -> Verdict:
    """Judge a policy: what is left unevaluated is no reason to enforce."""
    if any(each.mode == "enforce" for each in evidence.infos):
        return "enforced"
    if evidence.rows:
        return "would block"
    if evidence.unknown or not evidence.has_results:
        return "unknown"
    return "ready"


def _notes(evidence: _Evidence) -> Iterator[str]:
    if not evidence.infos:
        yield "the policy was not read, so its mode is not known"
    if not evidence.has_results:
        yield "no report contains a result of this policy"
    if any(not each.background for each in evidence.infos):
        yield "background scans skip this policy: only objects that change are evaluated"
    if evidence.counts.warn:
        yield f"{evidence.counts.warn} checks warn, for example because their rules are not scored"
    owned = len(evidence.rows) - evidence.counts.failing
    if owned > 0:
        yield f"{counted(owned, 'more failing result')} of objects that another object owns"
    if evidence.unknown:
        yield "not all results could be read"


def _refused(
    rows: Sequence[FailingResult], reading: Reading, label_names: tuple[str, ...]
) -> list[RefusedWorkload]:
    """Group what fails by workload, with the labels of its namespace.

    A workload does not fail because an old revision of it does: that is named itself.
    """
    now = {(r.namespace, r.workload_kind, r.workload) for r in rows if r.kind not in _REVISIONS}
    workloads: dict[tuple[str, str, str], list[FailingResult]] = {}
    for row in rows:
        place = (row.namespace, row.workload_kind, row.workload)
        if place not in now:
            place = (row.namespace, row.kind, row.name)
        workloads.setdefault(place, []).append(row)
    known = reading.state.namespaces.labels
    return [
        RefusedWorkload(
            *place,
            rules=tuple(dict.fromkeys(row.rule for row in found)),
            results=tuple(dict.fromkeys(row.result for row in found)),
            labels={n: v for n, v in zip(label_names, known.get(place[0], ()), strict=False) if v},
        )
        for place, found in sorted(workloads.items())
    ]
