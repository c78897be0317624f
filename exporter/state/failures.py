"""Open failures: by resource and workload, their start, and how many were opened and closed."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from exporter.model.ownership import Workload
from exporter.model.report import EARLIEST_SECONDS
from exporter.state.contribution import (
    CONTROLLED,
    Contribution,
    ReportPart,
    group_of,
    has_failures,
    parts,
)
from exporter.state.minbag import Minimum
from exporter.state.occurrences import UNKNOWN, FailureCounted, details_of, why_closed
from exporter.state.profile import Failure
from exporter.state.report_store import ReportKey
from exporter.state.sums import FailureBucket, FailureBuckets
from exporter.state.tally import Counters, Gauge, Labels


class FailingWorkloads(Gauge):
    """Workloads with a failing result, by namespace, their kind, policy, result, severity, source.

    In each row a workload counts once, however many of its objects and of the policy's rules fail.
    """

    def __init__(self) -> None:
        super().__init__()
        self._results: dict[tuple[Workload, Labels], int] = {}

    def add_results(self, workload: Workload, group: Labels, amount: int) -> None:
        """Let a workload have *amount* more failing results of a group, or fewer."""
        key = (workload, group)
        before = self._results.get(key, 0)
        after = before + amount
        if after:
            self._results[key] = after
        else:
            del self._results[key]
        if not before or not after:
            self.add(group, 1 if after else -1)


class Identity(NamedTuple):
    """What stays the same while a resource keeps failing a rule."""

    kind: str
    name: str
    policy: str
    rule: str
    source: str


class OpenFailure(NamedTuple):
    """An open failure: its labels, its start (``since``, Unix seconds), and Kyverno's message."""

    namespace: str
    kind: str
    name: str
    controlled: str
    workload: Workload
    failure: Failure
    since: int
    message: str

    @property
    def identity(self) -> Identity:
        """Name the failure among those of its report."""
        outcome = self.failure.outcome
        return Identity(self.kind, self.name, outcome.policy, outcome.rule, outcome.source)

    @property
    def group(self) -> Labels:
        """Give the labels of the opened and closed counters."""
        outcome = self.failure.outcome
        return (self.namespace, outcome.policy, outcome.severity, outcome.source)


Remembered = dict[Identity, tuple[int, Labels]]
"""The start of each open failure of a report (Unix seconds), and its counter's labels."""


def standing(contribution: Contribution | None) -> Iterator[OpenFailure]:
    """List the failures in a contribution."""
    for part in parts(contribution):
        if isinstance(part, ReportPart):
            facts = zip(part.failures, part.since, part.messages, strict=True)
            for failure, since, message in facts:
                yield OpenFailure(*_where(part), failure, since, message)


def standing_in(
    bucket: FailureBucket, policy: str, contribution: Contribution | None
) -> Iterator[OpenFailure]:
    """List those of one bucket, and of one policy if it is named; the others cost nothing."""
    for part in parts(contribution):
        if not isinstance(part, ReportPart):
            continue
        group = part.group
        if (group.namespace, group.kind, group.controlled) != bucket[1:]:
            continue
        for index, failure in enumerate(part.failures):
            outcome = failure.outcome
            if outcome.severity == bucket.severity and policy in ("", outcome.policy):
                since, message = part.since[index], part.messages[index]
                yield OpenFailure(*_where(part), failure, since, message)


def _where(part: ReportPart) -> tuple[str, str, str, str, Workload]:
    """Give the labels of a resource, and its workload."""
    group = part.group
    return group.namespace, group.kind, part.name, group.controlled, part.top


def remember(contribution: Contribution | None) -> Remembered:
    """Keep of a contribution what a later one is compared with: results that fail."""
    return {
        s.identity: (s.since, s.group) for s in standing(contribution) if s.failure.word == "fail"
    }


def _is_folded(contribution: Contribution) -> bool:
    """Whether failures of a report are merged: if that changes, what they were is not known."""
    return any(group_of(part).profile.key.folded for part in parts(contribution))


class Failures:
    """Gauges and counters over failing results.

    Its methods write what others read: ``resources``, ``workloads``, ``oldest``, ``opened`` and
    ``closed`` (failures in a first list do not count), ``places`` (the reports with open failures),
    ``buckets`` (how many, and where). Others write:

    - ``touched``: by namespace, reports whose open failures changed. Methods add to it;
      checkpoint.capture removes what it has encoded.
    - ``listeners``: called with the contribution before and after; alerting.violations adds one.
    - ``before_change``: called with a report whose failures are about to change. Only
      ``CheckpointComparison`` sets it, and None at its end.
    - ``on_counted``: called with each failure counted as opened or closed; ClusterState sets it.
    - ``version``: the resourceVersion of the change under way, empty in a list; ClusterState sets
      it, and ``CheckpointComparison`` while it compares.
    """

    def __init__(self, clock: Callable[[], float], limit: int) -> None:
        self.resources = Gauge()
        self.workloads = FailingWorkloads()
        self.oldest = Minimum()
        self.opened = Counters(limit, kept={2})  # the severity
        self.closed = Counters(limit, kept={2})
        self.listeners: list[Callable[[Contribution | None, Contribution | None], None]] = []
        self.touched: dict[str, set[str]] = {}
        self.on_counted: Callable[[FailureCounted], None] | None = None
        self.version = ""
        self.before_change: Callable[[ReportKey], object] | None = None
        self.places: dict[ReportKey, Contribution] = {}
        self.buckets = FailureBuckets()
        self._clock = clock

    def replace(
        self,
        place: ReportKey,
        before: Contribution | None,
        after: Contribution | None,
        former: Remembered | None,
        *,
        count: bool,
    ) -> None:
        """Replace the open failures of *before* by those of *after*.

        *former* is what is known of the report from before a restart.
        """
        if self.before_change is not None:
            self.before_change(place)
        if former:
            self.touch(place)
        known = remember(before)
        if before is not None:
            self._stand(place, before, -1)
        self._date(after, {**former, **known} if former else known)
        if after is not None and self._stand(place, after, +1):
            self.places[place] = after
        else:
            self.places.pop(place, None)
        if count and not (before and after and _is_folded(before) != _is_folded(after)):
            self.count(place, (known, remember(after)), (before, after))
        for listen in self.listeners:
            listen(before, after)

    def regroup(self, place: ReportKey, before: Contribution, after: Contribution) -> None:
        """Move the failures of a report to another workload."""
        for contribution, amount in ((before, -1), (after, +1)):
            for part in parts(contribution):
                if isinstance(part, ReportPart):
                    self._name(place, part, amount)
        if has_failures(after):
            self.places[place] = after
            self.touch(place)
        for listen in self.listeners:
            listen(before, after)

    def count(
        self,
        place: ReportKey,
        known: tuple[Remembered, Remembered],
        contributions: tuple[Contribution | None, Contribution | None],
        watched: Callable[[Identity, Labels], bool] | None = None,
    ) -> None:
        """Count what began to fail, and what no longer does, of what is *known* before and after.

        *contributions* are the report's before and after, None where there was none. *watched*
        returns whether a failure would have been seen before: others can have started at any time,
        so they are not counted as opened.
        """
        before, after = known
        if before.keys() == after.keys():
            return
        opened = after.keys() - before.keys()
        if watched is not None:
            opened = {i for i in opened if watched(i, after[i][1])}
        closed = before.keys() - after.keys()
        for identity in opened:
            self.opened.add(after[identity][1])
        for identity in closed:
            self.closed.add(before[identity][1])
        if self.on_counted is None:
            return
        for is_open, identities, one in ((True, opened, 1), (False, closed, 0)):
            if not identities:
                continue
            details = details_of(place, contributions[one], identities)
            reasons = {} if is_open else why_closed(identities, contributions[1])
            for identity in identities:
                since, group = known[one][identity]
                reason = reasons.get(identity, "")
                facts = (*details.get(identity, UNKNOWN), reason, self.version)
                self.on_counted(FailureCounted(is_open, place, identity, group, since, *facts))

    def close_unknown(self, mark: int, since: int, group: Labels) -> None:
        """Count a failure as closed that ended while the exporter was down; *mark* is its hash."""
        self.closed.add(group)
        if self.on_counted is not None:
            namespace, policy, _, source = group
            place, check = ReportKey(namespace, f"#{mark:x}"), ("", "", policy, "", source)
            self.on_counted(FailureCounted(False, place, check, group, since))

    def redate(self, place: ReportKey, known: Remembered) -> None:
        """Let failures of a report begin as early as a checkpoint of another process knows."""
        contribution = self.places[place]
        now = remember(contribution)
        earlier = {i: k for i, k in known.items() if i in now and k[0] < now[i][0]}
        if earlier:
            self._stand(place, contribution, -1)
            self._date(contribution, earlier)
            self._stand(place, contribution, +1)

    def touch(self, place: ReportKey) -> None:
        """Note that the open failures of a report changed."""
        self.touched.setdefault(place.namespace, set()).add(place.name)

    def _stand(self, place: ReportKey, contribution: Contribution | None, amount: int) -> bool:
        """Add (+1) or remove (-1) the failures of a contribution; return whether it has any."""
        any_stands = False
        for part in parts(contribution):
            if not isinstance(part, ReportPart) or not part.failures:
                continue
            any_stands = True
            self._name(place, part, amount)
            for failure, since in zip(part.failures, part.since, strict=True):
                if failure.word == "fail":
                    policy, _, severity, _, source = failure.outcome
                    group = (part.group.namespace, policy, severity, source)
                    self._fail(group, since, amount)
        if any_stands:
            self.touch(place)
        return any_stands

    def _name(self, place: ReportKey, part: ReportPart, amount: int) -> None:
        """Count the failures of a part under its resource and workload, once that is known."""
        if part.workload is None and part.group.controlled == CONTROLLED:
            return  # until the index has settled: ``regroup`` follows
        namespace, kind, name, controlled, top = _where(part)
        # As policyreport_resource_results has them.
        resource = (namespace, kind, name, controlled, *top)
        counts: dict[str, int] = {}
        for failure in part.failures:
            (policy, rule, severity, _, source), word = failure.outcome, failure.word
            labels = (*resource, policy, rule, word, severity, source)
            self.resources.add(labels, amount * failure.times)
            counts[severity] = counts.get(severity, 0) + amount
            group = (namespace, top[0], policy, word, severity, source)
            self.workloads.add_results(top, group, amount * failure.times)
        for severity, count in counts.items():
            self.buckets.add(FailureBucket(severity, namespace, kind, controlled), place, count)

    def _fail(self, group: Labels, since: int, amount: int) -> None:
        if amount < 0:
            self.oldest.remove(group, since)
            return
        self.oldest.add(group, since)
        if group not in self.opened.rows or group not in self.closed.rows:
            # At 0, so that increase() sees the first failure that is opened or closed here.
            self.opened.add(group, 0)
            self.closed.add(group, 0)

    def _date(self, contribution: Contribution | None, known: Remembered) -> None:
        """Set the start of each failure: as known, else its result's timestamp, at most now."""
        now = int(self._clock())
        for part in parts(contribution):
            if not isinstance(part, ReportPart) or not part.failures:
                continue
            first = part.since
            if known:
                first = tuple(_known_since(part, known))
            part.since = tuple([s if EARLIEST_SECONDS <= s <= now else now for s in first])


def _known_since(part: ReportPart, known: Remembered) -> Iterator[int]:
    """Return the start of each failure: as known, else the timestamp of its result."""
    for failure, proof in zip(part.failures, part.since, strict=True):
        identity = Identity(part.group.kind, part.name, *failure.identity)
        yield known[identity][0] if identity in known else proof
