"""A snapshot as one value: the JSON form, from which every other form is written."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from exporter import __version__
from exporter.state.selection import Filters
from exporter.view.summary import counted, describe, describe_cut, describe_unrenewed
from exporter.view.values import (
    COUNT_CHOICES,
    SEVERITIES,
    BlockedRequest,
    Counts,
    FailingResult,
    LeftOut,
    NamedCounts,
    Unrenewed,
)
from exporter.web.page.html import percent

SCHEMA: Final = 1
"""Grows when a field of the JSON form changes its meaning or goes; more fields may come."""
CLUSTER_SCOPE: Final = "(cluster)"
BLOCKED_TITLE: Final = "Requests blocked in the last hour"
CLAIMED_TITLE: Final = "Claimed as blocked by Events of policies that were not read"


class SnapshotScope(msgspec.Struct, frozen=True):
    """What a snapshot was asked for; only snapshots of one scope can be compared.

    Empty is no restriction. ``filters`` and ``sources`` are those of the configuration file.
    """

    namespaces: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    team: str = ""
    count: str = ""
    detail: str = ""
    sources: tuple[str, ...] = ()
    filters: Filters = Filters()


class SummaryRow(msgspec.Struct, frozen=True):
    """The reports' own summaries, added up as policyreport_summary has them."""

    namespace: str
    kind: str
    counts: Counts


class Comparison(msgspec.Struct, frozen=True):
    """What changed since a baseline: failing results that are new, fixed, and in both.

    ``baseline_problems`` are why the baseline may not show all that failed at its time.
    """

    baseline_time: float
    baseline_compliance: float | None
    baseline_problems: list[str]
    new: list[FailingResult]
    fixed: list[FailingResult]
    still: int


class WorkloadFailure(msgspec.Struct, frozen=True):
    """What a workload fails, itself or in objects that belong to it, and in how many of them.

    ``result`` is that of the workload if it has one, else of an object; it names the workload.
    """

    result: FailingResult
    objects: int


class RefusedWorkload(msgspec.Struct, frozen=True):
    """A workload whose next change an enforced policy would refuse, or cannot evaluate.

    ``labels`` are those of its namespace, empty where namespaces are not read.
    """

    namespace: str
    kind: str
    name: str
    rules: tuple[str, ...]
    results: tuple[str, ...]
    labels: dict[str, str]


Verdict = Literal["ready", "would block", "enforced", "unknown"]


class EnforcedPolicy(msgspec.Struct, frozen=True):
    """What happens if a policy enforces, as the panel Which policies can be enforced? has it.

    ``modes`` is empty where the policy was not read. ``skipped`` counts the checks that an
    exception or a precondition left out. ``workloads`` fail or could not be evaluated.
    ``exceptions`` names the PolicyExceptions, None where they were not read. ``notes`` are
    reasons why more than that may break.
    """

    policy: str
    modes: tuple[str, ...]
    verdict: Verdict
    failing: int
    unevaluated: int
    skipped: int
    namespaces: int
    workloads: list[RefusedWorkload]
    exceptions: list[str] | None
    notes: list[str]


class SnapshotDocument(msgspec.Struct, kw_only=True):
    """The JSON form. Times are Unix seconds; None is what is not known, as of mere summaries.

    ``compliance`` is of checks (results) of the kinds that ``count`` counts; so are the numbers.
    ``problems`` are why it may not show all that fails: while there is one, nothing is fine.
    ``claimed`` are blocks of CEL policies that were not read, so that only the Event claims them.
    ``blocked`` and ``claimed`` are None where no Event was read; if they are ``blocked_capped``,
    the last hour had more. ``by_workload`` is of all objects. ``unrenewed`` are Kyverno's policies
    with results that no scan has renewed for a day; of a file that is not known.
    """

    schema: int = SCHEMA
    version: str = __version__
    cluster: str
    cluster_uid: str
    time: float
    scope: SnapshotScope
    problems: list[str]
    count: str
    reports: int
    compliance: float | None
    resources: Counts
    results: Counts
    not_itemised: Counts
    cut_reports: int = 0
    unrenewed: list[Unrenewed] = []
    left_out: list[LeftOut]
    skipped: list[str]
    unreadable: dict[str, str]
    failing_by_severity: dict[str, int] | None
    summary: list[SummaryRow]
    namespaces: list[NamedCounts]
    policies: list[NamedCounts] | None
    failing: list[FailingResult] | None
    blocked: list[BlockedRequest] | None
    claimed: list[BlockedRequest] | None
    blocked_capped: bool = False
    by_workload: list[WorkloadFailure] | None = None
    comparison: Comparison | None = None
    if_enforced: list[EnforcedPolicy] | None = None

    @property
    def comparable(self) -> list[FailingResult] | None:
        """What is compared with a baseline: by workload, as objects are renamed by roll-outs.

        With ``--count objects`` it is each object.
        """
        if not COUNT_CHOICES.get(self.count) or self.by_workload is None:
            return self.failing
        return [each.result for each in self.by_workload]

    @property
    def is_scored(self) -> bool:
        """Whether there is anything that compliance is a share of."""
        return bool(self.results.scored)


def as_json(made: SnapshotDocument) -> str:
    """Write the snapshot as JSON."""
    return msgspec.json.format(msgspec.json.encode(made)).decode() + "\n"


def headline(made: SnapshotDocument) -> str:
    """Sum the snapshot up in a sentence, empty if a problem left nothing to sum up."""
    if made.problems and not made.is_scored:
        return ""
    failing_count = made.results.failing
    if made.compliance is None:
        return f"{counted(made.reports, 'report')}, no check passed, failed or ended with an error"
    checks, reports = counted(made.results.scored, "check"), counted(made.reports, "report")
    text = f"{percent(made.compliance)} of {checks} comply; {reports}"
    if not failing_count:
        resources = counted(made.resources.all, "resource")
        known = f"on {resources}" if not made.problems else "among those read"
        return f"{text}, no failing checks {known}"
    named = severities_of((n, s) for s, n in (made.failing_by_severity or {}).items())
    text += f", {counted(failing_count, 'failing result')}"
    text += f" ({named})" if named else ""
    if not made.resources.failing:
        return text
    return f"{text} on {made.resources.failing} of {counted(made.resources.all, 'resource')}"


def change_line(made: SnapshotDocument) -> str:
    """Sum up what changed since the baseline."""
    change = made.comparison
    if change is None:
        return ""
    return (
        f"Since {utc(change.baseline_time)}: {counted(len(change.new), 'new failing result')}, "
        f"{len(change.fixed)} fixed, {change.still} still failing; compliance "
        f"{percent(change.baseline_compliance)} before, {percent(made.compliance)} now"
    )


def blocked_count(found: Iterable[BlockedRequest] | None, made: SnapshotDocument) -> str:
    """Count blocked requests as far as they are listed."""
    return ("at least " if made.blocked_capped else "") + str(len(list(found or ())))


def caveats(made: SnapshotDocument) -> list[str]:
    """Write what the numbers do not hold, a sentence each."""
    lines = []
    if made.not_itemised.failing:
        lines.append(
            f"Not itemised: {counted(made.not_itemised.failing, 'failing result')} in summaries; "
            "the results of their reports were cut or are absent"
        )
    lines += describe_cut(made.cut_reports)
    if old := made.unrenewed:
        lines.append(f"{describe_unrenewed(old, len(old))} (the oldest from {utc(old[0].oldest)})")
    excluded = frozenset() if made.scope.kinds else COUNT_CHOICES[made.count]
    if excluded:
        lines.append(
            "Not counted: objects that another reported object owns, such as the Pods of a "
            "Deployment (--count objects counts them)"
        )
    lines += [f"Not read, permission refused: {name}" for name in made.unreadable]
    described = describe(made.left_out)
    lines += [each for each in described if each not in made.problems]
    if made.comparison:
        lines += [f"The baseline: {each}" for each in made.comparison.baseline_problems]
    return lines


_INVISIBLE: Final = {
    code: f"\\x{code:02x}" for code in (*range(9), *range(11, 13), *range(14, 32), *range(127, 160))
} | {
    code: f"\\u{code:04x}"
    for code in (
        *(0x061C, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        *range(0xD800, 0xE000),
    )
}
"""Control characters, marks that turn the direction of text, and what no XML document may hold."""


def printable(text: str) -> str:
    """Spell characters that a terminal would obey, or a reader would not see."""
    return text.translate(_INVISIBLE)


def one_line(text: str) -> str:
    """Write a text in one line, its control characters spelled."""
    return printable(" ".join(text.split()))


def utc(seconds: float) -> str:
    """Write a time for people."""
    return _written(seconds, "%Y-%m-%d %H:%M:%S UTC")


def rfc3339(seconds: float) -> str:
    """Write a time for programs; empty where it is none."""
    return _written(seconds, "%Y-%m-%dT%H:%M:%SZ")


def _written(seconds: float, form: str) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):  # a file may hold any number
        return ""


def ago(seconds: float) -> str:
    """Give a duration in its largest unit, as kubectl does."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(seconds, 0))}s"


def resource_of(row: FailingResult | BlockedRequest | RefusedWorkload) -> str:
    """Name a resource: namespace/Kind/name."""
    return "/".join(part for part in (row.namespace, row.kind, row.name) if part)


def remarks(each: EnforcedPolicy) -> str:
    """Write what else is known of a policy: notes, and exceptions."""
    exceptions = "not read" if each.exceptions is None else ", ".join(each.exceptions)
    return "; ".join([*each.notes, *([f"exceptions: {exceptions}"] if exceptions else [])])


def worst_workloads(rows: Iterable[FailingResult]) -> list[tuple[str, int, str]]:
    """Count the failing results of each workload, with its worst severity, the worst first."""
    counts: Counter[str] = Counter()
    worst_severity: dict[str, str] = {}
    for row in rows:
        parts = (row.namespace, row.workload_kind, row.workload)
        name = "/".join(part for part in parts if part)
        counts[name] += 1
        former = worst_severity.get(name, row.severity)
        worst_severity[name] = min(former, row.severity, key=_rank)
    found = [(name, count, worst_severity[name]) for name, count in counts.items()]
    return sorted(found, key=lambda each: (_rank(each[2]), -each[1], each[0]))


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def rule_of(row: FailingResult | BlockedRequest) -> str:
    """Name a policy and its rule."""
    return f"{row.policy}: {row.rule}" if row.rule else row.policy


def severities_of(counts: Iterable[tuple[int, str]]) -> str:
    """Write numbers by severity: 3 critical, 12 high."""
    return ", ".join(f"{count} {severity}" for count, severity in counts)
