"""Occurrences turned into lines: which are chosen, and what each line holds."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final, NamedTuple, get_args

import msgspec

from exporter.journal.line import EventName, Line, encode_line, occurrence_id, rfc3339
from exporter.journal.outbox import Outbox
from exporter.journal.queue import Entry, FailureKey, Journal
from exporter.journal.writer import Rotation
from exporter.model.report import SEVERITIES
from exporter.state.cluster import ClusterState, Occurrence
from exporter.state.occurrences import FailureCounted, ViolationCounted
from exporter.state.policy_index import PolicyChanged, PolicyInfo
from exporter.state.selection import Globs, remembered

KINDS: Final[tuple[EventName, ...]] = get_args(EventName)
MOST_REPEATS: Final = 100
"""Lines for one change of one Event; it may claim to represent two billion violations."""

STOP_SECONDS: Final = 3.0
"""How long the end of the program waits for a journal that is written slowly."""

_POLL_SECONDS: Final = 0.02
_SEVERITIES: Final = (*SEVERITIES, "none")
_ADMISSION_POLICIES: Final = ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")
_INFORMATIVE: Final = frozenset({"policy_changed", "exporter_started"})
"""Kinds of occurrence without a counter that need no action."""
_MOST_LABELS: Final = 1000
_COMPARED: Final = ("mode", "ready", "background", "severity", "category", "title")


class JournalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``journal:`` of the configuration file.

    *file* is a path or ``-`` for standard output; without it there is no journal. The others
    choose lines: of the kinds ``occurrences``, of these severities, namespaces and sources.
    """

    file: str = ""
    occurrences: Annotated[tuple[EventName, ...], msgspec.Meta(min_length=1)] = KINDS
    severities: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = _SEVERITIES
    namespaces: Globs = Globs()
    sources: Globs = Globs()
    rotate: Rotation = Rotation()

    def __post_init__(self) -> None:
        for severity in self.severities:
            if severity not in _SEVERITIES:
                known = ", ".join(_SEVERITIES)
                raise ValueError(f"severities: {severity!r}: expected some of {known}")


class Place(NamedTuple):
    """What is the same on all lines: the cluster's name, and how namespace labels are spelled."""

    cluster: str
    label_names: tuple[str, ...] = ()


class Recorder:
    """Writes a line for each occurrence of one state that the settings choose."""

    def __init__(
        self,
        settings: JournalSettings,
        state: ClusterState,
        journal: Journal,
        place: Place,
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.outbox = Outbox(journal)
        self._journal = journal
        self._namespaces = state.namespaces.labels
        self._ledger = state.ledger
        self._place = place
        self._clock = clock
        self._kinds = frozenset(settings.occurrences)
        self._severities = frozenset(settings.severities)
        self._namespace = remembered(settings.namespaces.matcher())
        self._source = remembered(settings.sources.matcher())
        self._last_instant = 0
        self._known_labels: dict[tuple[str, ...], dict[str, str]] = {}
        state.report_to(self._take)

    def started(self, version: str, *, continues: bool) -> None:
        """Note that the exporter started, and whether it continues from a checkpoint."""
        reason = "checkpoint" if continues else "no_checkpoint"
        now = self._clock()
        self._add_now("exporter_started", now, (self._instant(),), reason=reason, version=version)

    def gap(self, reason: str, *, seconds: float = 0.0, lines: int = 0) -> None:
        """Note that occurrences may be missing."""
        now = self._clock()
        known = {"seconds": round(seconds)} if seconds else {}
        known |= {"lines": lines} if lines else {}
        self._add_now("gap", now, (reason, self._instant()), reason=reason, **known)

    async def written(self, seconds: float = STOP_SECONDS) -> None:
        """Wait until the lines that no checkpoint is waited for are written, or for *seconds*."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._journal.unwritten() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_POLL_SECONDS)

    def _take(self, occurrence: Occurrence) -> None:
        match occurrence:
            case ViolationCounted():
                self._violation(occurrence)
            case FailureCounted():
                self._failure(occurrence)
            case PolicyChanged():
                self._policy(occurrence)

    def _violation(self, counted: ViolationCounted) -> None:
        namespace, kind, policy, policy_kind, rule, outcome, severity, category, controller = (
            counted.labels
        )
        name: EventName = "request_blocked" if outcome == "blocked" else "violation_allowed"
        source = _source_of(policy_kind)
        if not self._chooses(name, severity, namespace, source):
            return
        skipped = max(len(counted.ordinals) - MOST_REPEATS, 0)
        if skipped:
            self._journal.drop("repeats", skipped)
        now, cluster = rfc3339(self._clock()), self._place.cluster
        workload_kind, workload = self._ledger.workload_of(
            namespace, kind, counted.resource, counted.uid
        )
        for ordinal in counted.ordinals[skipped:]:
            line = Line(
                timestamp=rfc3339(counted.seconds),
                observed_timestamp=now,
                event_name=name,
                id=occurrence_id(cluster, "event", *counted.event, ordinal),
                severity_text="WARN",
                body=counted.message,
                cluster=cluster,
                namespace=namespace,
                namespace_labels=self._labels_of(namespace),
                workload_kind=workload_kind,
                workload=workload,
                resource_kind=kind,
                resource_name=counted.resource,
                resource_uid=counted.uid,
                policy=policy,
                policy_kind=policy_kind,
                rule=rule,
                severity=severity,
                category=category,
                source=source,
                controller=controller,
                ordinal=ordinal,
            )
            key = (counted.event, ordinal)
            row, origin = counted.labels, (counted.scope, counted.version)
            entry = Entry(name, namespace, encode_line(line), key, row, origin)
            self.outbox.add("events", entry)

    def _failure(self, counted: FailureCounted) -> None:
        opened, place, check, group, since, uid, category, body, owner, reason, version = counted
        namespace, policy, severity, source = group
        name: EventName = "failure_opened" if opened else "failure_closed"
        if not self._chooses(name, severity, namespace, source):
            return
        kind, resource, _, rule, _ = check
        now, cluster = self._clock(), self._place.cluster
        observed, began = rfc3339(now), rfc3339(since)
        workload_kind, workload = owner or self._ledger.workload_of(namespace, kind, resource, uid)
        line = Line(
            timestamp=began if opened else observed,
            observed_timestamp=observed,
            event_name=name,
            id=occurrence_id(cluster, name, *place, *check, version or self._instant()),
            severity_text="WARN" if opened else "INFO",
            body=body,
            cluster=cluster,
            namespace=namespace,
            namespace_labels=self._labels_of(namespace),
            workload_kind=workload_kind,
            workload=workload,
            resource_kind=kind,
            resource_name=resource,
            resource_uid=uid,
            policy=policy,
            rule=rule,
            severity=severity,
            category=category,
            source=source,
            since=began,
            duration_seconds=None if opened else max(int(now) - since, 0),
            reason=reason,
        )
        key, row = FailureKey(opened, place, check), (name, *group)
        self.outbox.add("failures", Entry(name, namespace, encode_line(line), key, row))

    def _policy(self, change: PolicyChanged) -> None:
        before, after, version = change
        known, differences = after or before, _differences(before, after)
        if known is None or (before and after and not differences):
            return
        namespace = known.policy.partition("/")[0] if "/" in known.policy else ""
        if not self._chooses("policy_changed", known.severity, namespace, known.source):
            return
        now = self._clock()
        reason = "created" if before is None else "changed" if after else "deleted"
        self._add_now(
            "policy_changed",
            now,
            (known.kind, known.policy, reason, version or self._instant()),
            namespace=namespace,
            namespace_labels=self._labels_of(namespace),
            policy=known.policy,
            policy_kind=known.kind,
            severity=known.severity,
            category=known.category,
            source=known.source,
            reason=reason,
            changed=differences,
            mode=after.mode if after else "",
            former_mode=before.mode if before else "",
            ready=after.ready if after else None,
            former_ready=before.ready if before else None,
        )

    def _add_now(
        self, name: EventName, now: float, identity: tuple[str, ...], **fields: object
    ) -> None:
        """Write a line that no counter covers."""
        if name not in self._kinds:
            return
        cluster, written = self._place.cluster, rfc3339(now)
        line = Line(
            timestamp=written,
            observed_timestamp=written,
            event_name=name,
            id=occurrence_id(cluster, name, *identity),
            severity_text="INFO" if name in _INFORMATIVE else "WARN",
            cluster=cluster,
            **fields,  # type: ignore[arg-type]  # the callers are above
        )
        self.outbox.add_now(Entry(name, str(fields.get("namespace", "")), encode_line(line)))

    def _instant(self) -> str:
        """Give a time in microseconds that no other occurrence has: it identifies this one."""
        self._last_instant = max(self._last_instant + 1, int(self._clock() * 1_000_000))
        return f"@{self._last_instant}"

    def _chooses(self, name: EventName, severity: str, namespace: str, source: str) -> bool:
        return (
            name in self._kinds
            and severity in self._severities
            and self._namespace(namespace)
            and self._source(source)
        )

    def _labels_of(self, namespace: str) -> dict[str, str]:
        """Give the configured labels of a namespace, as far as they are known and not empty."""
        values = self._namespaces.get(namespace)
        return self._labels(values) if values else {}

    def _labels(self, values: tuple[str, ...]) -> dict[str, str]:
        """Pair the label names with the values that are not empty."""
        known = self._known_labels.get(values)
        if known is None:
            if len(self._known_labels) >= _MOST_LABELS:
                self._known_labels.clear()
            pairs = zip(self._place.label_names, values, strict=True)
            known = self._known_labels[values] = {name: value for name, value in pairs if value}
        return known


def _source_of(policy_kind: str) -> str:
    """Give the source that results of a policy's kind have in reports."""
    if policy_kind in _ADMISSION_POLICIES:
        return policy_kind
    if policy_kind in ("ClusterPolicy", "Policy"):
        return "kyverno"
    return f"Kyverno{policy_kind.removeprefix('Namespaced')}"


def _differences(before: PolicyInfo | None, after: PolicyInfo | None) -> tuple[str, ...]:
    if before is None or after is None:
        return ()
    fields = [name for name in _COMPARED if getattr(before, name) != getattr(after, name)]
    return (*fields, *(["spec"] if before.generation != after.generation else ()))
