"""The verdict of ``--fail-on`` and ``--if-enforced``: fails closed where something is not known."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from exporter.model.report import BADNESS, RESULTS
from exporter.model.resource import NAMESPACES
from exporter.settings.file import ConfigFile
from exporter.snapshot.document import (
    EnforcedPolicy,
    SnapshotDocument,
    printable,
    resource_of,
    rule_of,
    severities_of,
)
from exporter.snapshot.options import NEW, SnapshotOptions
from exporter.snapshot.reading import Reading
from exporter.state.contribution import CONTROLLED
from exporter.state.failures import standing
from exporter.state.selection import Globs
from exporter.view.connection import NO_REPORT_API
from exporter.view.failing import failing, order
from exporter.view.summary import counted, describe, left_out, total
from exporter.view.values import SEVERITIES, FailingResult

FAILING_STATUS: Final = 1
EMPTY_STATUS: Final = 2
UNKNOWN_STATUS: Final = 3
SHOWN: Final = 10
_NAMESPACE, _CONTROLLED, _SEVERITY = 0, 2, 5  # places in the ledger's rows of results
SCAN_HINT: Final = (
    "are the background scan and admission reports on, and do sources or filters exclude them?"
)


class Finding(NamedTuple):
    """Something to report, and the exit status that it asks the gate for, 0 for none.

    ``is_empty``: there is nothing to evaluate, which ``--allow-empty`` permits;
    ``is_logged`` that standard error has a line about it already.
    """

    text: str
    status: int
    is_empty: bool = False
    is_logged: bool = False


def findings(reading: Reading, ask: SnapshotOptions, config: ConfigFile) -> list[Finding]:
    """List why a snapshot may not show all that fails, the gravest first."""
    found = [
        *_unread(reading),
        *_unmatched(reading, ask, config),
        *_unmatched_team(reading, ask),
        *_nothing(reading),
    ]
    return sorted(found, key=lambda each: -each.status)


def _unread(reading: Reading) -> Iterator[Finding]:
    for name in reading.unreadable_reports:
        text = f"{name} cannot be read: {reading.refused[name]}"
        yield Finding(text, UNKNOWN_STATUS, is_logged=True)
    if reading.skipped:
        count = len(reading.skipped)
        plural = "report was" if count == 1 else "reports were"
        text = f"{count} {plural} skipped, first: {reading.skipped[0]}"
        yield Finding(text, UNKNOWN_STATUS, is_logged=True)
    for text in reading.unevaluated:
        yield Finding(f"Not everything was evaluated: {text}", UNKNOWN_STATUS, is_logged=True)
    words = [each for each in left_out(reading.state) if each.reason == "word"]
    for text in describe(words):
        yield Finding(text, UNKNOWN_STATUS)


def _unmatched(reading: Reading, ask: SnapshotOptions, config: ConfigFile) -> Iterator[Finding]:
    """Name what is asked for and occurs nowhere: a typing error must never pass."""
    for name in reading.missing:
        yield Finding(f"--namespace {name}: there is no such namespace", EMPTY_STATUS)
    known = reading.names
    if ask.files:
        for name in ask.namespaces:
            if name not in known["namespace"]:
                text = f"--namespace {name}: the input contains no report of this namespace"
                yield Finding(text, EMPTY_STATUS)
    for name, patterns, text in (
        ("if-enforced", ask.if_enforced, "no report and no policy matches"),
        ("policy", ask.policies, "no report and no policy matches"),
        ("kind", ask.kinds, "no report is about an object of this kind"),
    ):
        for pattern in patterns:
            if not _matches(Globs((pattern,)), known["kind" if name == "kind" else "policy"]):
                yield Finding(f"--{name} {pattern}: {text}", EMPTY_STATUS)
    filters = config.filters
    globs = {"namespace": filters.namespaces, "policy": filters.policies, "kind": filters.kinds}
    asked = {"namespace": ask.namespaces, "policy": ask.policies, "kind": ask.kinds}
    for name, chosen in globs.items():
        if not asked[name] and known[name] and not _matches(chosen, known[name]):
            key = {"namespace": "namespaces", "policy": "policies", "kind": "kinds"}[name]
            yield Finding(f"filters.{key}: matches no {name} of any report", EMPTY_STATUS)


def _unmatched_team(reading: Reading, ask: SnapshotOptions) -> Iterator[Finding]:
    if not ask.team:
        return
    if NAMESPACES.name in reading.refused:
        text = f"--team {ask.team}: the labels of namespaces cannot be read"
        yield Finding(f"{text}: {reading.refused[NAMESPACES.name]}", UNKNOWN_STATUS)
    elif not reading.team:
        known = "no namespace has this label and value"
        if ask.files and not reading.state.namespaces.labels:
            known = "the input contains no namespaces; add namespaces to the kubectl command"
        yield Finding(f"--team {ask.team}: {known}", EMPTY_STATUS)


def _matches(globs: Globs, names: set[str]) -> bool:
    return any(map(globs.matcher(), names))


def _nothing(reading: Reading) -> Iterator[Finding]:
    state = reading.state
    sources = [each for each in left_out(state) if each.reason == "source"]
    totals = state.ledger.totals
    is_counted = any(
        reading.in_team(each[_NAMESPACE]) for each in (*totals.results, *totals.summary)
    )
    status = 0 if is_counted else EMPTY_STATUS
    for text in describe(sources):
        yield Finding(text, status, is_empty=True)
    if not reading.served:
        yield Finding(NO_REPORT_API, UNKNOWN_STATUS, is_empty=True)
    elif reading.skipped and not state.ledger.reports.rows:
        yield Finding("No policy report could be read", UNKNOWN_STATUS)
    elif not state.ledger.reports.rows:
        yield Finding(f"No policy reports found: {SCAN_HINT}", EMPTY_STATUS, is_empty=True)
    elif not is_counted and not sources:
        yield Finding("No result counts: nothing to evaluate", EMPTY_STATUS, is_empty=True)


class GateVerdict(NamedTuple):
    """The exit status of the gate, and what it prints."""

    status: int
    lines: list[str]


def judge(
    reading: Reading,
    found: list[Finding],
    made: SnapshotDocument,
    ask: SnapshotOptions,
    config: ConfigFile,
) -> GateVerdict:
    """Judge what was read: failing results first, then whether all was read and anything was."""
    if ask.fail_on is None:
        return GateVerdict(0, [])
    if ask.fail_on[0] == NEW:
        lines = _new_lines(made, ask.fail_on)
    elif config.reports.detail == "full":
        lines = _failing_lines(reading, ask.fail_on)
    else:
        lines = _summary_lines(reading, ask.fail_on)
    if lines:
        return GateVerdict(FAILING_STATUS, lines)
    left = [each for each in found if each.status and not (each.is_empty and ask.allow_empty)]
    left += _uncompared(made, ask.fail_on)
    if not left:
        return GateVerdict(0, _unjudged(reading, ask.fail_on[0]))
    text = f"--fail-on {_spelled(ask.fail_on)}: not passed: {left[0].text}"
    hint = "; --allow-empty accepts this" if left[0].is_empty else ""
    return GateVerdict(left[0].status, [text + hint])


def judge_enforced(found: list[Finding], made: SnapshotDocument) -> GateVerdict:
    """Judge the policies of ``--if-enforced``: 1 where one would block, else 3 or 2 if unknown."""
    if made.if_enforced is None:
        return GateVerdict(0, [])
    lines = [_enforced_line(each) for each in made.if_enforced if each.verdict != "enforced"]
    verdicts = {each.verdict for each in made.if_enforced}
    if "would block" in verdicts:
        return GateVerdict(FAILING_STATUS, lines)
    left = [each.status for each in found if each.status]
    if made.not_itemised.failing:
        left.append(UNKNOWN_STATUS)
    if left or "unknown" in verdicts:
        return GateVerdict(max(left, default=EMPTY_STATUS), lines)
    return GateVerdict(0, lines)


def _enforced_line(each: EnforcedPolicy) -> str:
    counts = f"{each.failing} failing, {each.unevaluated} not evaluated"
    notes = "".join(f"; {note}" for note in each.notes)
    return printable(f"--if-enforced {each.policy}: {each.verdict}: {counts}{notes}")


def judge_difference(made: SnapshotDocument, ask: SnapshotOptions) -> GateVerdict:
    """Judge two snapshots that were taken before."""
    if ask.fail_on is None:
        return GateVerdict(0, [])
    lines = _new_lines(made, ask.fail_on)
    if lines:
        return GateVerdict(FAILING_STATUS, lines)
    left = [*made.problems, *(each.text for each in _uncompared(made, ask.fail_on))]
    if not left:
        return GateVerdict(0, [])
    text = f"--fail-on {_spelled(ask.fail_on)}: not passed: {left[0]}"
    return GateVerdict(UNKNOWN_STATUS, [text])


def _new_lines(made: SnapshotDocument, fail_on: tuple[str, str]) -> list[str]:
    """Count what fails and did not in the baseline, and name the first resources."""
    severities = _severities(fail_on)
    rows = made.comparison.new if made.comparison else []
    rows = [each for each in rows if each.severity in severities]
    if not rows:
        return []
    counts = Counter(each.severity for each in rows)
    named = severities_of((counts[each], each) for each in SEVERITIES if counts[each])
    found = counted(len(rows), "new failing result")
    return [f"--fail-on {_spelled(fail_on)}: failed: {found} ({named})", *_first(rows)]


def _uncompared(made: SnapshotDocument, fail_on: tuple[str, str]) -> Iterator[Finding]:
    """Report failures that no result names, so that they may be new."""
    count = made.not_itemised.failing
    if fail_on[0] == NEW and count:
        what = counted(count, "failing result")
        text = f"not itemised, so it is not known whether they are new: {what}"
        yield Finding(text, UNKNOWN_STATUS)


def _severities(fail_on: tuple[str, str]) -> tuple[str, ...]:
    return SEVERITIES[: SEVERITIES.index(fail_on[1]) + 1]


def _first(rows: list[FailingResult]) -> list[str]:
    more = [f"  and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return [*(f"  {_row(each)}" for each in rows[:SHOWN]), *more]


def judged_words(word: str) -> tuple[str, ...]:
    """List the results that ``--fail-on`` *word* fails on: that one and worse ones."""
    return BADNESS[: BADNESS.index(word) + 1]


def _spelled(fail_on: tuple[str, str]) -> str:
    word, severity = fail_on
    return word if severity == SEVERITIES[-1] else f"{word}:{severity}"


def _failing_lines(reading: Reading, fail_on: tuple[str, str]) -> list[str]:
    """Count what fails by severity, and name the first resources; nothing where none does."""
    words, severities = judged_words(fail_on[0]), _severities(fail_on)
    counts: Counter[str] = Counter()
    owned = 0
    for labels, row in reading.state.ledger.totals.results.items():
        if labels[_SEVERITY] in severities and reading.in_team(labels[_NAMESPACE]):
            count = sum(row[RESULTS.index(each)] for each in words)
            counts[labels[_SEVERITY]] += count
            owned += count if labels[_CONTROLLED] == CONTROLLED else 0
    counts = +counts
    beyond = reading.state.ledger.totals.not_itemised.items()
    cut = total({labels: row for labels, row in beyond if reading.in_team(labels[_NAMESPACE])})
    values = dict(zip(RESULTS, (cut.passed, cut.fail, cut.warn, cut.error, cut.skip), strict=True))
    missing = sum(values[each] for each in words)
    if not counts and not missing:
        return []
    named = severities_of((counts[each], each) for each in SEVERITIES if counts[each])
    found = counted(counts.total() + missing, "failing result")
    head = f"--fail-on {_spelled(fail_on)}: failed: {found}"
    copies = f", {owned} of them on objects that another reported object owns" if owned else ""
    lines = [head + (f" ({named})" if named else "") + copies]
    if missing:
        lines.append(
            f"  {missing} of them not itemised: only the summaries of their reports count them, so "
            "their severity is unknown"
        )
    return lines + _first(_rows(reading, words, severities))


def _rows(
    reading: Reading, words: tuple[str, ...], severities: tuple[str, ...]
) -> list[FailingResult]:
    places = reading.state.ledger.failures.places.values()
    rows = (failing(one) for each in places for one in standing(each))
    chosen = (r for r in rows if r.severity in severities and r.result in words)
    return sorted((row for row in chosen if reading.in_team(row.namespace)), key=order)


def _row(row: FailingResult) -> str:
    return printable(f"{row.severity} {row.result} {resource_of(row)} {rule_of(row)}")


def _summary_lines(reading: Reading, fail_on: tuple[str, str]) -> list[str]:
    words = judged_words(fail_on[0])
    rows = reading.state.ledger.totals.summary.items()
    count = sum(
        row[RESULTS.index(each)]
        for labels, row in rows
        if reading.in_team(labels[_NAMESPACE])
        for each in words
    )
    if not count:
        return []
    return [
        f"--fail-on {_spelled(fail_on)}: failed: {counted(count, 'failing result')} in summaries"
    ]


def _unjudged(reading: Reading, word: str) -> list[str]:
    """Mention what could not be evaluated where only what fails is judged."""
    rows = reading.state.ledger.totals.results.items()
    errors = sum(
        row[RESULTS.index("error")] for labels, row in rows if reading.in_team(labels[_NAMESPACE])
    )
    if word != "fail" or not errors:
        return []
    return [f"{errors} checks could not be evaluated (error); --fail-on error fails on them, too"]
