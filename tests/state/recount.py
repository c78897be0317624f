"""What the ledger must say, by counting every report every time."""

from collections import Counter
from typing import NamedTuple

import msgspec

from exporter.model.metadata import Metadata
from exporter.model.ownership import OwnersByName, Workload, member_of, workload_of
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
    """Kyverno and its policies' kinds are one; what names no source is another than what does."""
    engines = [{engine(r.source) for r in each.results} for each in (one, other)]
    return engines[0] == engines[1] or bool(engines[0] & engines[1])


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


class Spoken(NamedTuple):
    """What a report says of one resource."""

    about: Reference
    results: list[Result]


def pieces(report: Told) -> list[Spoken]:
    """Sort results by the resources that they name; of one check's the newest count."""
    if report.scope is not None:
        return [Spoken(report.scope, current(report.results))]
    return [Spoken(about, current(results)) for about, results in named(report)]


def named(report: Told) -> list[Spoken]:
    """Sort results by the resources that they name."""
    found: dict[tuple[str, str], Spoken] = {}
    for result in report.results:
        for about in dict.fromkeys(result.resources or [Reference()]):
            key = (about.kind, about.uid or about.name)
            found.setdefault(key, Spoken(about, [])).results.append(result)
    return list(found.values())


def current(results: list[Result]) -> list[Result]:
    def check(result: Result) -> tuple[str, str, str]:
        return (result.policy, result.rule, result.source)

    def at(result: Result) -> float:
        return result.timestamp.seconds if result.timestamp is not None else 0

    def replaced(result: Result) -> bool:
        others = [at(other) for other in results if check(other) == check(result)]
        return 1_000_000_000 <= at(result) < max(others)

    return [result for result in results if not replaced(result)]


def status_of_report(report: Told) -> str:
    """The worst word, those included that the summary counts beyond what results have."""
    words = {r.result for r in current(report.results) if counted(r)}
    if not report.results or any(r.source in SOURCES for r in report.results):
        written = Counter(r.result for r in report.results)
        said = dict(zip(RESULTS, summary_of(report), strict=True))
        words |= {word for word in RESULTS if said[word] > written[word]}
    return next((word for word in BADNESS if word in words), "")


def not_itemised(reports: dict[Key, Told]) -> Counter[str]:
    """What summaries count beyond the results that reports have, by word."""
    totals: Counter[str] = Counter()
    for report in counting(reports):
        found = report.results
        if found and not any(r.source in SOURCES for r in found):
            continue
        written = Counter(r.result for r in found)
        if report.scope is None:
            written = Counter(r.result for p in named(report) for r in p.results)
        for word, value in zip(RESULTS, summary_of(report), strict=True):
            totals[word] += max(value - written[word], 0)
    return +totals


def summary_of(report: Told) -> tuple[int, ...]:
    s = report.summary
    return (s.pass_, s.fail, s.warn, s.error, s.skip)


class Owners:
    """Who owns whom among everything that reports of a namespace are about."""

    def __init__(self, reports: dict[Key, Told]) -> None:
        self._names: dict[str, dict[str, tuple[str, ...]]] = {}
        for report in reports.values():
            names = self._names.setdefault(report.namespace, {})
            for about, _ in pieces(report):
                names[about.name] = (*names.get(about.name, ()), about.kind)

    def workload(self, report: Told, about: Reference) -> Workload | None:
        member = member_of(about.kind, about.name)
        kinds = {n: tuple(dict.fromkeys(k)) for n, k in self._names[report.namespace].items()}
        return None if member is None else workload_of(member, OwnersByName(kinds))

    def controlled(self, report: Told, about: Reference) -> str:
        return "false" if self.workload(report, about) is None else "true"


def results(reports: dict[Key, Told]) -> Counter[tuple[str, ...]]:
    totals: Counter[tuple[str, ...]] = Counter()
    owners = Owners(reports)
    for report in counting(reports):
        for about, found in pieces(report):
            for result in filter(counted, found):
                totals[
                    report.namespace,
                    about.kind,
                    owners.controlled(report, about),
                    result.policy,
                    fold_rule(result.rule),
                    severity_of(result.severity),
                    result.category or "none",
                    source(result),
                    result.result,
                ] += 1
    return totals


def resources(reports: dict[Key, Told]) -> Counter[tuple[str, ...]]:
    """Each resource once, by its worst status over all reports that speak of it."""
    said: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    owners = Owners(reports)
    for report in counting(reports):
        for about, found in pieces(report):
            status = status_of_report(report) if report.scope else status_of(found)
            if status and about != Reference():
                uid = about.uid or f"{about.kind}/{about.name}"
                told = (status, about.kind, owners.controlled(report, about))
                said.setdefault((report.namespace, uid), []).append(told)
    totals: Counter[tuple[str, ...]] = Counter()
    for (namespace, _), statuses in said.items():
        worst, *kind = min(statuses, key=lambda s: (BADNESS.index(s[0]), *s[1:]))
        totals[namespace, *kind, worst] += 1
    return totals


def summaries(reports: dict[Key, Told]) -> Counter[tuple[str, ...]]:
    totals: Counter[tuple[str, ...]] = Counter()
    owners = Owners(reports)
    for report in counting(reports):
        found = report.results
        if found and not any(r.source in SOURCES for r in found):
            continue
        speaking = (p for p in pieces(report) if any(r.source in SOURCES for r in p.results))
        first = next(speaking, None)
        about = report.scope or (first.about if first else Reference())
        where = (report.namespace, about.kind, owners.controlled(report, about))
        for word, value in zip(RESULTS, summary_of(report), strict=True):
            totals[*where, word] += value
    return +totals


def failing(reports: dict[Key, Told]) -> Counter[tuple[str, ...]]:
    totals: Counter[tuple[str, ...]] = Counter()
    owners = Owners(reports)
    for report in counting(reports):
        for about, found in pieces(report):
            for result in filter(counted, found):
                if result.result in ("fail", "error"):
                    totals[
                        report.namespace,
                        about.kind,
                        about.name,
                        owners.controlled(report, about),
                        *(owners.workload(report, about) or (about.kind, about.name)),
                        result.policy,
                        fold_rule(result.rule),
                        result.result,
                        severity_of(result.severity),
                        source(result),
                    ] += 1
    return totals


def failing_workloads(failing: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """Count the workloads in failing results, by namespace, kind, policy, result and so on."""
    found = {(k[0], k[4], k[6], *k[8:], k[5]) for k in failing}
    return Counter(each[:6] for each in found)
