"""What the ledger must say, by counting every report every time."""

from collections import Counter
from typing import NamedTuple

import msgspec

from exporter.model.metadata import Metadata
from exporter.model.report import BADNESS, RESULTS, Reference, Report, Result, Summary, fold_rule
from exporter.model.resource import POLICY_REPORTS
from exporter.state.profile import severity_of
from exporter.wire.codec import codec_for

NOW = 1_800_000_000
LATEST = NOW + 86_400
"""From here on a timestamp is a mistake."""

SOURCES = frozenset({"kyverno", "KyvernoValidatingPolicy", "kubewarden"})

Key = tuple[str, str, str]
"""API group, namespace, name."""


_CODEC = codec_for(POLICY_REPORTS)


class Told(NamedTuple):
    """A report as it was written."""

    metadata: Metadata
    scope: Reference | None
    summary: Summary
    results: list[Result]

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    def report(self) -> Report:
        """Read it as the API server sends it."""
        found = _CODEC.one(msgspec.json.encode(self._asdict()))
        assert isinstance(found, Report)
        return found


def counting(reports: dict[Key, Told]) -> list[Told]:
    """Choose what counts: of one report in two groups the newer, all of different engines."""
    places: dict[tuple[str, str], list[Told]] = {}
    for (_, namespace, name), report in sorted(reports.items()):
        places.setdefault((namespace, name), []).append(report)
    chosen: list[Told] = []
    for found in places.values():
        if len(found) == 2 and same_engine(*found):
            chosen.append(max(found, key=newest))  # of equals the first, openreports.io's
        else:
            chosen += found
    return chosen


def newest(report: Told) -> float:
    stamps = [r.timestamp.seconds for r in report.results if r.timestamp is not None]
    latest = max(stamps, default=0)
    return 0 if latest >= LATEST else latest


def same_engine(one: Told, other: Told) -> bool:
    """Kyverno and its policies' kinds are one; what tells nothing may be the same."""
    engines = [{engine(r.source) for r in each.results} for each in (one, other)]
    return not all(engines) or bool(engines[0] & engines[1])


def engine(source: str) -> str:
    return "kyverno" if source == "KyvernoValidatingPolicy" else source


def source(result: Result) -> str:
    """Kyverno 1.16.0 to 1.17.1 wrote another source for namespaced ValidatingPolicies."""
    old = result.source == "kyverno" and "/" in result.policy and not result.rule
    return "KyvernoValidatingPolicy" if old else result.source


def counted(result: Result) -> bool:
    return result.source in SOURCES and result.result in RESULTS


def status_of(results: list[Result]) -> str:
    words = {r.result for r in results if counted(r)}
    return next((word for word in BADNESS if word in words), "")


def about_of(report: Told, result: Result) -> Reference | None:
    """The resource that a result is about."""
    return report.scope or (result.resources[0] if result.resources else None)


def status_of_report(report: Told) -> str:
    """Where there are no results the summary is all that is known."""
    if report.results:
        return status_of(report.results)
    said = dict(zip(RESULTS, summary_of(report), strict=True))
    return next((word for word in BADNESS if said[word]), "")


def summary_of(report: Told) -> tuple[int, ...]:
    s = report.summary
    return (s.pass_, s.fail, s.warn, s.error, s.skip)


def results(reports: dict[Key, Told]) -> Counter[tuple[str, ...]]:
    totals: Counter[tuple[str, ...]] = Counter()
    for report in counting(reports):
        for result in filter(counted, report.results):
            scope = about_of(report, result)
            kind = scope.kind if scope is not None else ""
            totals[
                report.namespace,
                kind,
                result.policy,
                fold_rule(result.rule),
                severity_of(result.severity),
                result.category or "none",
                source(result),
                result.result,
            ] += 1
    return totals


def resources(reports: dict[Key, Told]) -> Counter[tuple[str, str, str]]:
    """Each resource once, by its worst status over all reports that speak of it."""
    said: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for report in counting(reports):
        pieces: dict[tuple[str, str], list[Result]] = {}
        for result in report.results:
            about = about_of(report, result)
            if about is not None:
                pieces.setdefault(
                    (about.kind, about.uid or f"{about.kind}/{about.name}"), []
                ).append(result)
        if not report.results and report.scope is not None and status_of_report(report):
            uid = report.scope.uid or f"{report.scope.kind}/{report.scope.name}"
            said.setdefault((report.namespace, uid), []).append(
                (status_of_report(report), report.scope.kind)
            )
        for (kind, uid), found in pieces.items():
            if status_of(found):
                said.setdefault((report.namespace, uid), []).append((status_of(found), kind))
    totals: Counter[tuple[str, str, str]] = Counter()
    for (namespace, _), statuses in said.items():
        worst, kind = min(statuses, key=lambda s: (BADNESS.index(s[0]), s[1]))
        totals[namespace, kind, worst] += 1
    return totals


def summaries(reports: dict[Key, Told]) -> Counter[tuple[str, str, str]]:
    totals: Counter[tuple[str, str, str]] = Counter()
    for report in counting(reports):
        found = report.results
        if found and not any(r.source in SOURCES for r in found):
            continue
        about = report.scope or speaker(found)
        kind = about.kind if about is not None else ""
        for word, value in zip(RESULTS, summary_of(report), strict=True):
            totals[report.namespace, kind, word] += value
    return +totals


def speaker(found: list[Result]) -> Reference | None:
    """The first resource that a result which counts is about; its summary goes there."""
    order: dict[Reference | None, bool] = {}
    for result in found:
        about = result.resources[0] if result.resources else None
        order[about] = order.get(about, False) or result.source in SOURCES
    return next((about for about, counts in order.items() if counts), None)


def failing(reports: dict[Key, Told]) -> Counter[tuple[str, ...]]:
    totals: Counter[tuple[str, ...]] = Counter()
    for report in counting(reports):
        for result in filter(counted, report.results):
            about = about_of(report, result)
            if result.result in ("fail", "error"):
                totals[
                    report.namespace,
                    about.kind if about is not None else "",
                    about.name if about is not None else "",
                    result.policy,
                    fold_rule(result.rule),
                    result.result,
                    severity_of(result.severity),
                    source(result),
                ] += 1
    return totals
