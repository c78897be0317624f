"""A snapshot for programs of CI systems: JUnit, SARIF, GitHub's annotations, CSV."""

import csv
import io
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import msgspec

from exporter.snapshot.diff import identity_of
from exporter.snapshot.document import (
    SnapshotDocument,
    caveats,
    change_line,
    headline,
    one_line,
    printable,
    resource_of,
    rfc3339,
    rule_of,
)
from exporter.view.summary import counted
from exporter.view.values import Counts, FailingResult

PROGRAM: Final = "policy-report-exporter"
XML_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>'
INCOMPLETE: Final = "snapshot-incomplete"
"""The name of the rule or suite that reports why a snapshot may not show all that fails."""
SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
MOST_SARIF_RESULTS: Final = 25_000
"""GitHub code scanning refuses a run with more."""
MOST_ANNOTATIONS: Final = 10
"""GitHub shows ten errors and ten warnings of a step."""
FORMULA_SIGNS: Final = tuple("=+-@＝＋－＠|")  # noqa: RUF001 - spreadsheets take wide ones, too
_LEVELS: Final = {"critical": "error", "high": "error", "medium": "warning"}
"""Of a severity, in SARIF and in annotations; the others are notes."""
_SCORES: Final = {"critical": "9.5", "high": "8.0", "medium": "5.0", "low": "2.0"}
"""GitHub reads critical, high, medium and low back from these."""


class ChangedResult(NamedTuple):
    """A failing result, and how it compares with the baseline: new, known, fixed; "" without."""

    row: FailingResult
    change: str


def changed_results(made: SnapshotDocument) -> Iterator[ChangedResult]:
    """List what fails, and what no longer does, the new ones first."""
    change = made.comparison
    if change is None:
        for row in made.failing or []:
            yield ChangedResult(row, "")
        return
    new = set(map(id, change.new))
    for row in change.new:
        yield ChangedResult(row, "new")
    for row in made.comparable or []:
        if id(row) not in new:
            yield ChangedResult(row, "known")
    for row in change.fixed:
        yield ChangedResult(row, "fixed")


def failure_text(row: FailingResult) -> str:
    """Write the message of a failing result; that of an error is marked as not evaluated."""
    message = row.message or "no message"
    return f"Could not be evaluated: {message}" if row.result == "error" else message


def _not_read(made: SnapshotDocument) -> Iterator[str]:
    """Give why single results are missing."""
    yield from made.problems
    if made.failing is None:
        yield "Only summaries were read (reports.detail: summary): single results are not known"
    if made.not_itemised.failing:
        what = counted(made.not_itemised.failing, "failing result")
        yield f"{what} in summaries, not itemised by the reports"


def as_junit(made: SnapshotDocument) -> str:
    """Write a suite for each policy: a case for each failing result, one for each other word.

    With a baseline, results that failed before are skipped cases: only new ones fail. Reasons why
    the snapshot is incomplete are errors of a suite of their own. The attributes are those of
    Jenkins' junit-10.xsd, which GitLab reads, too.
    """
    at = rfc3339(made.time).removesuffix("Z")
    cases: dict[str, list[str]] = {}
    counts = {each.name: each.results for each in made.policies or []}
    if problems := list(_not_read(made)):
        cases[INCOMPLETE] = [
            _case(INCOMPLETE, one_line(each), _element("error", each, "incomplete"))
            for each in problems
        ]
    for policy in counts:
        cases[policy] = []
    for row, change in changed_results(made):
        if change != "fixed":
            cases.setdefault(row.policy, []).append(_junit_case(row, change))
    for policy, each in counts.items():
        cases[policy] += _other_cases(policy, each)
    suites = [_suite(name, found, at) for name, found in cases.items()]
    name = quoteattr(_xml(f"{PROGRAM} snapshot {made.cluster}".strip()))
    body = "".join(suites)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name={name}>\n{body}</testsuites>\n'
    )


def _xml(text: str) -> str:
    return printable(text)


def _element(name: str, text: str, kind: str) -> str:
    message = quoteattr(one_line(text))
    return f"<{name} type={quoteattr(_xml(kind))} message={message}>{escape(_xml(text))}</{name}>"


def _case(suite: str, name: str, *content: str) -> str:
    attributes = f"classname={quoteattr(_xml(suite))} name={quoteattr(_xml(name))}"
    return f"    <testcase {attributes}>{''.join(content)}</testcase>\n"


def _junit_case(row: FailingResult, change: str) -> str:
    name = f"{resource_of(row)} {row.rule}".strip()
    if change == "known":
        text = f"failed before: {failure_text(row)}"
        return _case(row.policy, name, _element("skipped", text, f"{row.severity} {row.result}"))
    element = "error" if row.result == "error" else "failure"
    return _case(row.policy, name, _element(element, failure_text(row), row.severity))


def _other_cases(policy: str, counts: Counts) -> Iterator[str]:
    """Write a case for all checks that pass, and so on: reports do not name those one by one."""
    if counts.passed:
        yield _case(policy, "checks that pass", _output(f"checks that pass: {counts.passed}"))
    if counts.warn:
        yield _case(policy, "checks that warn", _output(f"checks that warn: {counts.warn}"))
    if counts.skip:
        text = f"checks that are skipped: {counts.skip}"
        yield _case(policy, "checks that are skipped", _element("skipped", text, "skip"))


def _output(text: str) -> str:
    return f"<system-out>{escape(text)}</system-out>"


def _suite(name: str, cases: list[str], at: str) -> str:
    words = {
        "tests": len(cases),
        "failures": sum("<failure " in each for each in cases),
        "errors": sum("<error " in each for each in cases),
        "skipped": sum("<skipped " in each for each in cases),
    }
    attributes = " ".join(f'{word}="{count}"' for word, count in words.items())
    head = f"  <testsuite name={quoteattr(_xml(name))} {attributes} timestamp={quoteattr(at)}>\n"
    return f"{head}{''.join(cases)}  </testsuite>\n"


class _SarifRules:
    """The rules that results refer to, by identifier and by position."""

    def __init__(self) -> None:
        self.descriptors: list[dict[str, object]] = []
        self._positions: dict[str, int] = {}

    def refer(self, identifier: str, severity: str, text: str) -> dict[str, object]:
        """Give the fields of a result that name its rule."""
        if identifier not in self._positions:
            self._positions[identifier] = len(self.descriptors)
            score = {"security-severity": _SCORES[severity]} if severity in _SCORES else {}
            self.descriptors.append(
                {
                    "id": identifier,
                    "shortDescription": {"text": text},
                    "defaultConfiguration": {"level": _LEVELS.get(severity, "note")},
                    "properties": {"tags": ["security", "policy"], **score},
                }
            )
        return {"ruleId": identifier, "ruleIndex": self._positions[identifier]}


def as_sarif(made: SnapshotDocument) -> str:
    """Write SARIF 2.1.0: a rule for each policy and rule, a result for each that fails.

    Objects of a cluster are no files: the place of a result is NAMESPACE/KIND/NAME, line 1, as
    GitHub shows no result without one.
    """
    rules, problems, found = _SarifRules(), list(_not_read(made)), list(changed_results(made))
    if len(found) > MOST_SARIF_RESULTS:
        problems.append(
            f"{len(found) - MOST_SARIF_RESULTS} of {len(found)} results are left out, the least "
            f"severe ones: GitHub accepts at most {MOST_SARIF_RESULTS}"
        )
    results = [_incomplete_result(each, rules) for each in problems]
    room = MOST_SARIF_RESULTS - len(results)
    results += [_sarif_result(row, change, rules) for row, change in found[:room]]
    at = rfc3339(made.time)
    notes = [{"level": "error", "message": {"text": printable(each)}} for each in problems]
    invocation = {
        "executionSuccessful": not problems,
        "endTimeUtc": at,
        "toolExecutionNotifications": notes,
    }
    summary = headline(made)
    driver = {"name": PROGRAM, "semanticVersion": made.version, "rules": rules.descriptors}
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"{PROGRAM}/{one_line(made.cluster) or 'snapshot'}/"},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "properties": {"summary": summary, "caveats": caveats(made)} if summary else {},
        "results": results,
    }
    document = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"


def _sarif_result(row: FailingResult, change: str, rules: _SarifRules) -> dict[str, object]:
    identifier = "/".join(printable(part) for part in (row.policy, row.rule) if part)
    rule = rules.refer(identifier, row.severity, f"Policy {printable(rule_of(row))}")
    states = {"new": "new", "known": "unchanged", "fixed": "absent"}
    state = {"baselineState": states[change]} if change else {}
    # The same object, policy and rule are the same alert, whatever the message is today.
    identity = "\0".join(identity_of(row)).encode("utf-8", "surrogatepass")
    return {
        **rule,
        **state,
        "level": _LEVELS.get(row.severity, "note"),
        "message": {"text": f"{printable(resource_of(row))}: {printable(failure_text(row))}"},
        "locations": [_location(row.namespace or "cluster", row.kind, row.name)],
        "partialFingerprints": {"failingResult/v1": sha256(identity).hexdigest()},
        "properties": {"result": row.result, "severity": row.severity, "source": row.source},
    }


def _incomplete_result(text: str, rules: _SarifRules) -> dict[str, object]:
    rule = rules.refer(
        INCOMPLETE, "high", "The snapshot is incomplete: failing results can be missing"
    )
    message = {"text": printable(text)}
    return {**rule, "level": "error", "message": message, "locations": [_location("cluster")]}


def _location(*parts: str) -> dict[str, object]:
    parts = tuple(printable(part) for part in parts if part)
    uri = quote("/".join(parts), safe="/", errors="replace")
    return {
        "physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}},
        "logicalLocations": [{"fullyQualifiedName": "/".join(parts), "kind": "resource"}],
    }


def as_github(made: SnapshotDocument, limit: int | None) -> str:
    """Write workflow commands that GitHub Actions shows as annotations.

    With a baseline only what is new is annotated. GitHub drops what is beyond ten of a kind, so
    at most so many are written, the worst first; the notice has the totals.
    """
    most = min(MOST_ANNOTATIONS, limit or MOST_ANNOTATIONS)
    lines = [_command("error", "Incomplete snapshot", each) for each in _not_read(made)]
    rows = [row for row, change in changed_results(made) if change in ("", "new")]
    for row in rows[:most]:
        level = {"note": "notice"}.get(each := _LEVELS.get(row.severity, "note"), each)
        title = f"{row.severity} {row.result}: {rule_of(row)}"
        lines.append(_command(level, title, f"{resource_of(row)}: {failure_text(row)}"))
    shown = f"; {len(rows) - most} more are not annotated" if len(rows) > most else ""
    text = ". ".join(filter(None, (change_line(made), headline(made))))
    lines.append(_command("notice", "Policy reports", f"{text}{shown}" or "no numbers"))
    return "\n".join(lines) + "\n"


def _command(level: str, title: str, text: str) -> str:
    title = _percent_encoded(one_line(title)).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={title}::{_percent_encoded(printable(text))}"


def _percent_encoded(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


CSV_COLUMNS: Final = (
    *("change", "severity", "result", "namespace", "kind", "name", "policy", "rule"),
    *("source", "since", "message", "cluster"),
)


def as_csv(made: SnapshotDocument) -> str:
    """Write a row for each failing result, and one with result ``incomplete`` for each problem.

    A spreadsheet takes a cell that begins with one of ``= + - @`` for a formula; such cells begin
    with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    blanks = ("",) * 7
    for each in _not_read(made):
        writer.writerow(_cells(("", "", "incomplete", *blanks, each, made.cluster)))
    for row, change in changed_results(made):
        since = rfc3339(row.since)
        place = (row.namespace, row.kind, row.name, row.policy, row.rule, row.source)
        cells = (change, row.severity, row.result, *place, since, row.message, made.cluster)
        writer.writerow(_cells(cells))
    return text.getvalue()


def _cells(values: Iterable[str]) -> list[str]:
    return [f"'{v}" if v.lstrip()[:1] in FORMULA_SIGNS else v for v in map(_cell, values)]


def _cell(value: str) -> str:
    return printable(value.replace("\r\n", "\n").replace("\r", "\n"))
