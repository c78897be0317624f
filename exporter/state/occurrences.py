"""What the state reports of each thing that it counts: facts for a journal, no counters."""

from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from exporter.model.changes import Scope
from exporter.model.ownership import Workload
from exporter.model.report import RESULTS
from exporter.state.contribution import Contribution, ReportPart, group_of, parts
from exporter.state.report_store import ReportKey
from exporter.state.tally import Labels

Check = tuple[str, str, str, str, str]
"""Kind and name of a resource, policy, rule and source: what identifies a failure of a report."""


class FailureCounted(NamedTuple):
    """A failure that was counted as opened or closed.

    *check* is empty but for policy and source where a failure closed while the exporter was down:
    a checkpoint knows its hash only, which is the name in *place* then. *group* is the row of its
    counter, *since* in Unix seconds. *uid*, *category* and *message* are empty where they are not
    known. *workload* is the one that owns the resource, None where it is its own or not known.
    *reason* is why it closed: the resource's result now, ``report_deleted``,
    ``not_reported``, or empty where it is not known. *version* is the resourceVersion of the
    report in a watch, empty where a list or a restart showed the difference.
    """

    opened: bool
    place: ReportKey
    check: Check
    group: Labels
    since: int
    uid: str = ""
    category: str = ""
    message: str = ""
    workload: Workload | None = None
    reason: str = ""
    version: str = ""


class ViolationCounted(NamedTuple):
    """Violations that an Event newly represents, as they were counted.

    *event* is its namespace, name and first time, *version* its resourceVersion as a number.
    *ordinals* are the numbers of the violations among all that the Event represents, from 1.
    *labels* are those of policyviolation_events_total, *resource* and *uid* name the resource,
    *seconds* is Unix time.
    """

    scope: Scope
    version: int
    event: tuple[str, str, str]
    ordinals: range
    labels: Labels
    resource: str
    uid: str
    seconds: float
    message: str


class Details(NamedTuple):
    """What a report knows of a failure beyond its identity."""

    uid: str = ""
    category: str = ""
    message: str = ""
    workload: Workload | None = None


UNKNOWN: Final = Details()


def details_of(
    place: ReportKey, contribution: Contribution | None, wanted: AbstractSet[Check]
) -> dict[Check, Details]:
    """Give the details of the *wanted* failing results of a report."""
    found: dict[Check, Details] = {}
    for part in parts(contribution):
        if isinstance(part, ReportPart):
            uid, kind, name = _uid(place, part), part.group.kind, part.name
            for failure, message in zip(part.failures, part.messages, strict=True):
                policy, rule, _, category, source = failure.outcome
                check = (kind, name, policy, rule, source)
                if check in wanted:
                    found[check] = Details(uid, category, message, part.workload)
    return found


def why_closed(checks: AbstractSet[Check], now: Contribution | None) -> dict[Check, str]:
    """Name what the report has instead of each of these failures, in one pass over its results."""
    if now is None:
        return dict.fromkeys(checks, "report_deleted")
    reasons = dict.fromkeys(checks, "not_reported")
    rules = {rule for _, _, _, rule, _ in checks}
    for part in parts(now):
        kind, rows = group_of(part).kind, group_of(part).profile.rows
        # A group alone is all of a report that is named after its resource: any name is its.
        names = {part.name} if isinstance(part, ReportPart) else {name for _, name, *_ in checks}
        for verdict in rows:
            policy, rule, _, _, source = verdict.outcome
            if rule not in rules:
                continue
            for name in names:
                check = (kind, name, policy, rule, source)
                if reasons.get(check) == "not_reported":
                    reasons[check] = RESULTS[verdict.word_index]
    return reasons


def _uid(place: ReportKey, part: ReportPart) -> str:
    """Give the uid of the resource that a part is about, as far as it is known."""
    if part.group.direct:
        return place.name
    uid = part.subject[1] if part.subject else ""
    return "" if "/" in uid else uid
