"""What the state reports of each thing that it counts: facts for a journal, no counters."""

from typing import Final, NamedTuple

from exporter.model.changes import Scope
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
    known. *reason* is why it closed: the resource's result now, ``report_deleted``,
    ``not_reported``, or empty where it is not known. *version* is the resourceVersion of the
    report as a watch brought it, empty where a list or a restart showed the difference.
    """

    opened: bool
    place: ReportKey
    check: Check
    group: Labels
    since: int
    uid: str = ""
    category: str = ""
    message: str = ""
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


UNKNOWN: Final = Details()


def details_of(place: ReportKey, contribution: Contribution | None) -> dict[Check, Details]:
    """Give the details of each failing result of a report."""
    found: dict[Check, Details] = {}
    for part in parts(contribution):
        if isinstance(part, ReportPart):
            uid = _uid(place, part)
            for failure, message in zip(part.failures, part.messages, strict=True):
                check = (part.group.kind, part.name, *failure.identity)
                found[check] = Details(uid, failure.outcome.category, message)
    return found


def why_closed(check: Check, now: Contribution | None) -> str:
    """Name what the report has instead of a failure."""
    if now is None:
        return "report_deleted"
    kind, name, *rest = check
    for part in parts(now):
        group = group_of(part)
        if group.kind == kind and getattr(part, "name", name) == name:
            for verdict in group.profile.rows:
                policy, rule, _, _, source = verdict.outcome
                if [policy, rule, source] == rest:
                    return RESULTS[verdict.word_index]
    return "not_reported"


def _uid(place: ReportKey, part: ReportPart) -> str:
    """Give the uid of the resource that a part is about, as far as it is known."""
    if part.group.direct:
        return place.name
    uid = part.subject[1] if part.subject else ""
    return "" if "/" in uid else uid
