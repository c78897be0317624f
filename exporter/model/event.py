"""Events, in the shape of events.k8s.io/v1 and of core/v1, and the violation in one."""

import re
from typing import Final, NamedTuple

import msgspec

from exporter.model.metadata import CreatedMetadata, KubeObject, unix_seconds
from exporter.model.report import Reference

_COMBINED: Final = r"^(?:\(combined from similar events\): )?"
_STATUS: Final = r"pass|fail|warning|error|skip"
_POLICY_NOTE: Final = re.compile(
    _COMBINED + r"(?P<kind>[A-Za-z][A-Za-z0-9-]*) (?:(?P<namespace>[^/\s]+)/)?(?P<name>[^/\s]*): "
    rf"(?:\[(?P<rule>.*?)\] (?=(?:{_STATUS})\b|\(|;|$))?"
    rf"(?P<status>{_STATUS}|)(?P<blocked> \(blocked\))?(?:; (?P<message>.*))?$",
    re.DOTALL,
)
_MOST: Final = 4096


class Note(NamedTuple):
    """The note of a policy's Event, parsed; ``status`` is Kyverno's engine word.

    ``name`` is empty in notes of Kyverno 1.9 to 1.10.1, which left it out.
    """

    kind: str
    namespace: str
    name: str
    rule: str
    status: str
    blocked: bool
    message: str


def parse_note(text: str) -> Note | None:
    """Read the note of an Event that regards a policy; None when it is not of the grammar.

    Only the first 4096 characters are read: the API server allows 1024 bytes.
    """
    match = _POLICY_NOTE.match(text[:_MOST])
    if match is None:
        return None
    kind, namespace, name, rule, status, blocked, message = match.groups(default="")
    return Note(kind, namespace, name, rule, status, bool(blocked), message)


REASON: Final = "PolicyViolation"
POLICY_KINDS: Final = frozenset(
    {
        "ClusterPolicy",
        "Policy",
        "ValidatingAdmissionPolicy",
        "MutatingAdmissionPolicy",
        *(
            f"{scope}{verb}Policy"
            for scope in ("", "Namespaced")
            for verb in ("Validating", "ImageValidating", "Mutating", "Generating", "Deleting")
        ),
    }
)
_COUNTED: Final = frozenset({"fail", "error"})
_BLOCKED: Final = "Resource Blocked"


class EventSeries(msgspec.Struct, frozen=True, gc=False):
    """How often an Event recurred, in the newer API."""

    count: int = 0


class Component(msgspec.Struct, frozen=True, gc=False):
    """The emitter, in the older API."""

    component: str = ""


class Event(KubeObject, gc=False, rename="camel"):
    """One Event object. Fields of core/v1 and of events.k8s.io/v1 are side by side."""

    metadata: CreatedMetadata
    reason: str = ""
    action: str = ""
    event_time: str | None = None
    series: EventSeries | None = None
    reporting_controller: str = ""
    reporting_component: str = ""
    regarding: Reference | None = None
    involved_object: Reference | None = None
    related: Reference | None = None
    note: str = ""
    message: str = ""
    count: int | None = None
    deprecated_count: int | None = None
    first_timestamp: str | None = None
    deprecated_first_timestamp: str | None = None
    last_timestamp: str | None = None
    deprecated_last_timestamp: str | None = None
    source: Component | None = None
    deprecated_source: Component | None = None

    @property
    def first(self) -> str:
        """When it first happened, RFC 3339; part of the Event's identity."""
        return self.event_time or self.deprecated_first_timestamp or self.first_timestamp or ""

    @property
    def seconds(self) -> float:
        """When it last happened, Unix seconds by the server's clock."""
        last = self.deprecated_last_timestamp or self.last_timestamp or self.first
        return unix_seconds(last or self.metadata.creation_timestamp)

    @property
    def violations(self) -> int:
        """How many violations this object represents: more than one before Kyverno 1.12."""
        series = self.series.count if self.series else 0
        return min(max(self.deprecated_count or 0, self.count or 0, series, 1), 2**31)

    @property
    def controller(self) -> str:
        """``kyverno-admission``, ``kyverno-scan``, ..."""
        source = self.deprecated_source or self.source
        return (
            self.reporting_controller
            or self.reporting_component
            or (source.component if source else "")
        )


class Violation(NamedTuple):
    """One violation of an Event; its severity, category and mode are those of the policy.

    ``policy`` is "namespace/name" for a namespaced policy, as in reports; ``claims_blocked`` is
    what the Event claims, which for CEL policies may be true of another policy in the same call.
    """

    namespace: str
    kind: str
    name: str
    policy: str
    policy_kind: str
    rule: str
    claims_blocked: bool
    controller: str
    message: str
    uid: str = ""


def violation(event: Event) -> Violation | None:
    """Read the violation that an Event represents; None when it does not count as one.

    It counts when it regards a policy (for a request that was let through Kyverno writes a second
    Event, regarding the resource), its status is fail or error, and it lies in the namespace that
    Kyverno writes it to: that of the policy, else ``default``. Users who can create Events in
    another namespace can therefore not speak for policies that are not theirs.
    """
    about = event.regarding or event.involved_object
    if event.reason != REASON or about is None or about.kind not in POLICY_KINDS or not about.name:
        return None
    note = parse_note(event.note or event.message)
    if note is None or note.status not in _COUNTED:
        return None
    if event.namespace != (about.namespace or "default"):
        return None
    who = event.related or Reference(note.kind, note.name, note.namespace)
    if about.namespace and who.namespace != about.namespace:
        return None
    return _violation(event, about, who, note)


def unread(event: Event) -> str:
    """Return why a violation's Event is not counted; empty if Kyverno does not mean it to be.

    "grammar": its note cannot be parsed. "namespace": it is in a namespace where Kyverno does not
    create it. Kyverno's second Event of an allowed request regards the resource: empty.
    """
    about = event.regarding or event.involved_object
    if event.reason != REASON or about is None or about.kind not in POLICY_KINDS:
        return ""
    note = parse_note(event.note or event.message)
    if note is None:
        return "grammar"
    return "namespace" if note.status in _COUNTED else ""


def _violation(event: Event, about: Reference, who: Reference, note: Note) -> Violation:
    return Violation(
        namespace=who.namespace,
        kind=who.kind,
        name=who.name,
        policy=f"{about.namespace}/{about.name}" if about.namespace else about.name,
        policy_kind=about.kind,
        rule=note.rule,
        claims_blocked=event.action == _BLOCKED or note.blocked,
        controller=event.controller,
        message=note.message,
        uid=who.uid,
    )
