"""The verdict of ``--fail-on``: fails closed wherever it is not known that nothing fails."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from exporter.model.report import BADNESS, RESULTS
from exporter.settings.file import ConfigFile
from exporter.snapshot.options import SnapshotOptions
from exporter.snapshot.reading import Reading
from exporter.state.failures import standing
from exporter.state.selection import Globs
from exporter.view.connection import NO_REPORT_API
from exporter.view.failing import failing, order
from exporter.view.summary import by_first, describe, left_out, total
from exporter.view.values import SEVERITIES, FailingResult

FAILING_STATUS: Final = 1
EMPTY_STATUS: Final = 2
UNKNOWN_STATUS: Final = 3
SHOWN: Final = 10
SCAN_HINT: Final = (
    "are the background scan and admission reports on, and do sources or filters exclude them?"
)


class Finding(NamedTuple):
    """Something to report, and the exit status that it asks the gate for, 0 for none.

    ``is_empty`` says that there is nothing to evaluate, which ``--allow-empty`` permits;
    ``is_logged`` that standard error has a line about it already.
    """

    text: str
    status: int
    is_empty: bool = False
    is_logged: bool = False


def findings(reading: Reading, ask: SnapshotOptions, config: ConfigFile) -> list[Finding]:
    """List why a snapshot may not show all that fails, the gravest first."""
    found = [*_unread(reading), *_unmatched(reading, ask, config), *_nothing(reading)]
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
                text = f"--namespace {name}: no report in the input is of this namespace"
                yield Finding(text, EMPTY_STATUS)
    for pattern in ask.policies:
        if not _matches(Globs((pattern,)), known["policy"]):
            yield Finding(f"--policy {pattern}: no report and no policy matches", EMPTY_STATUS)
    filters = config.filters
    globs = {"namespace": filters.namespaces, "policy": filters.policies, "kind": filters.kinds}
    asked = {"namespace": ask.namespaces, "policy": ask.policies, "kind": ()}
    for name, chosen in globs.items():
        if not asked[name] and known[name] and not _matches(chosen, known[name]):
            key = {"namespace": "namespaces", "policy": "policies", "kind": "kinds"}[name]
            yield Finding(f"filters.{key}: matches no {name} of any report", EMPTY_STATUS)


def _matches(globs: Globs, names: set[str]) -> bool:
    return any(map(globs.matcher(), names))


def _nothing(reading: Reading) -> Iterator[Finding]:
    state = reading.state
    sources = [each for each in left_out(state) if each.reason == "source"]
    counted = bool(state.ledger.totals.results or state.ledger.totals.summary)
    status = 0 if counted else EMPTY_STATUS
    for text in describe(sources):
        yield Finding(text, status, is_empty=True)
    if not reading.served:
        yield Finding(NO_REPORT_API, UNKNOWN_STATUS, is_empty=True)
    elif reading.skipped and not state.ledger.reports.rows:
        yield Finding("No policy report could be read", UNKNOWN_STATUS)
    elif not state.ledger.reports.rows:
        yield Finding(f"No policy reports found: {SCAN_HINT}", EMPTY_STATUS, is_empty=True)
    elif not counted and not sources:
        yield Finding("No result counts: nothing to evaluate", EMPTY_STATUS, is_empty=True)


class GateVerdict(NamedTuple):
    """The exit status of the gate, and what it prints."""

    status: int
    lines: list[str]


def judge(
    reading: Reading, found: list[Finding], ask: SnapshotOptions, config: ConfigFile
) -> GateVerdict:
    """Judge what was read: failing results first, then whether all was read and anything was."""
    if ask.fail_on is None:
        return GateVerdict(0, [])
    whole = config.reports.detail == "full"
    lines = _failing_lines(reading, ask.fail_on) if whole else _summary_lines(reading, ask.fail_on)
    if lines:
        return GateVerdict(FAILING_STATUS, lines)
    left = [each for each in found if each.status and not (each.is_empty and ask.allow_empty)]
    if not left:
        return GateVerdict(0, _unjudged(reading, ask.fail_on[0]))
    text = f"--fail-on {_spelled(ask.fail_on)}: not passed: {left[0].text}"
    hint = "; --allow-empty accepts this" if left[0].is_empty else ""
    return GateVerdict(left[0].status, [text + hint])


def judged_words(word: str) -> tuple[str, ...]:
    """List the results that ``--fail-on`` *word* fails on: that one and worse ones."""
    return BADNESS[: BADNESS.index(word) + 1]


def _spelled(fail_on: tuple[str, str]) -> str:
    word, severity = fail_on
    return word if severity == SEVERITIES[-1] else f"{word}:{severity}"


def _failing_lines(reading: Reading, fail_on: tuple[str, str]) -> list[str]:
    """Count what fails by severity, and name the first resources; nothing where none does."""
    word, least = fail_on
    words = judged_words(word)
    severities = SEVERITIES[: SEVERITIES.index(least) + 1]
    counts: Counter[str] = Counter()
    for labels, row in reading.state.ledger.totals.results.items():
        if labels[4] in severities:
            counts[labels[4]] += sum(row[RESULTS.index(each)] for each in words)
    counts = +counts
    cut = total(by_first(reading.state.ledger.totals.not_itemised))
    values = dict(zip(RESULTS, (cut.passed, cut.fail, cut.warn, cut.error, cut.skip), strict=True))
    missing = sum(values[each] for each in words)
    if not counts and not missing:
        return []
    named = ", ".join(f"{counts[each]} {each}" for each in SEVERITIES if counts[each])
    head = f"--fail-on {_spelled(fail_on)}: failed: {counts.total() + missing} failing results"
    lines = [head + (f" ({named})" if named else "")]
    if missing:
        lines.append(
            f"  {missing} of them not itemised: counted by summaries of reports whose results were "
            "cut or are absent, severity unknown"
        )
    rows = _rows(reading, words, severities)
    lines += [f"  {_row(each)}" for each in rows[:SHOWN]]
    if len(rows) > SHOWN:
        lines.append(f"  and {len(rows) - SHOWN} more")
    return lines


def _rows(
    reading: Reading, words: tuple[str, ...], severities: tuple[str, ...]
) -> list[FailingResult]:
    places = reading.state.ledger.failures.places.values()
    rows = (failing(one) for each in places for one in standing(each))
    return sorted((r for r in rows if r.severity in severities and r.result in words), key=order)


def _row(row: FailingResult) -> str:
    where = "/".join(part for part in (row.namespace, row.kind, row.name) if part)
    rule = f"{row.policy}: {row.rule}" if row.rule else row.policy
    return f"{row.severity} {row.result} {where} {rule}"


def _summary_lines(reading: Reading, fail_on: tuple[str, str]) -> list[str]:
    words = judged_words(fail_on[0])
    rows = reading.state.ledger.totals.summary.values()
    count = sum(row[RESULTS.index(each)] for row in rows for each in words)
    if not count:
        return []
    return [f"--fail-on {_spelled(fail_on)}: failed: {count} failing results in summaries"]


def _unjudged(reading: Reading, word: str) -> list[str]:
    """Mention what could not be evaluated where only what fails is judged."""
    errors = sum(
        row[RESULTS.index("error")] for row in reading.state.ledger.totals.results.values()
    )
    if word != "fail" or not errors:
        return []
    return [f"{errors} checks could not be evaluated (error); --fail-on error fails on them, too"]
