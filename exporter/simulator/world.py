"""The simulated cluster as Kyverno sees it: who violates what, written into the store."""

from collections import Counter, deque
from typing import Any, NamedTuple

from exporter.model import resource as known
from exporter.simulator import kyverno
from exporter.simulator.checks import SampleCheck
from exporter.simulator.kyverno import ReportTarget
from exporter.simulator.policies import policy
from exporter.simulator.store import Store, StoredObject, rfc3339

Object = dict[str, Any]


class SampleViolation(NamedTuple):
    """What the truth counts occurrences by; ``rule`` is the policy's own, not the derived one."""

    namespace: str
    kind: str
    policy: str
    rule: str


class Subject(NamedTuple):
    """A resource with a report. ``verdicts`` has what is not a pass, by policy name."""

    target: ReportTarget
    verdicts: dict[str, str]
    exceptions: dict[str, str]


_CONTROLLERS = {
    "Pod": ("ReplicaSet", "StatefulSet", "DaemonSet", "Job"),
    "ReplicaSet": ("Deployment",),
    "Job": ("CronJob",),
}
"""Kinds of which the API server has objects, and the kinds of their controllers."""

_OBJECTS = {resource.kind: resource for resource in known.OWNED_RESOURCES}


class World:
    """Resources, their reports and the Events about them.

    Invariant: the report of a subject in the store has its verdicts, and ``blocked`` and
    ``allowed`` count every admission violation whose Event was ever written, expired ones included.
    """

    def __init__(self, store: Store, checks: tuple[SampleCheck, ...]) -> None:
        self.store = store
        self.checks = {check.policy: check for check in checks}
        self.subjects: dict[str, Subject] = {}
        self.blocked: Counter[SampleViolation] = Counter()
        self.allowed: Counter[SampleViolation] = Counter()
        self.scanned: Counter[SampleViolation] = Counter()
        self._events: deque[tuple[float, str, str]] = deque()
        self._stamp = 0.0

    def add_policy(self, check: SampleCheck, created: float | None = None) -> None:
        """Create the policy, or change it."""
        self.checks[check.policy] = check
        self._write(policy(check), created)

    def add_namespace(self, name: str, labels: dict[str, str], created: float | None = None) -> str:
        """Create the namespace, or change its labels; return its UID."""
        names = {"kubernetes.io/metadata.name": name}
        metadata: Object = {"name": name, "labels": names | labels}
        head = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        body = {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
        uid: str = self._write(head | body, created).data["metadata"]["uid"]
        return uid

    def put(self, subject: Subject, created: float | None = None) -> None:
        """Write the subject's report, and the object itself where it is of a kind with owners."""
        new = subject.target.uid not in self.subjects
        self.subjects[subject.target.uid] = subject
        results = self.results(subject)
        if results:
            self._write(kyverno.report(subject.target, results), created)
        if new and subject.target.kind in _CONTROLLERS:
            self._write(_object(subject.target, self._controller(subject.target)), created)

    def remove(self, uid: str) -> None:
        """Delete the subject; its report goes with it."""
        target = self.subjects.pop(uid).target
        for resource in (known.POLICY_REPORTS, known.CLUSTER_POLICY_REPORTS):
            if self.store.get(resource.name, target.namespace, uid):
                self.store.delete(resource.name, target.namespace, uid)
        if target.kind in _CONTROLLERS:
            self.store.delete(_OBJECTS[target.kind].name, target.namespace, target.name)

    def failing(self) -> list[tuple[Subject, SampleCheck]]:
        """Every current violation."""
        return [
            (subject, self.checks[policy])
            for subject in self.subjects.values()
            for policy, verdict in subject.verdicts.items()
            if verdict == "fail"
        ]

    def results(self, subject: Subject) -> list[Object]:
        """Return Kyverno's verdicts about the subject now."""
        kind, namespace, name, _ = subject.target
        found = []
        for check in self.checks.values():
            if check.applies_to(kind, namespace, name):
                verdict = subject.verdicts.get(check.policy, "pass")
                exception = subject.exceptions.get(check.policy)
                extra = {"exceptions": exception} if exception else {}
                now = self.store.clock()
                found.append(kyverno.result(check, verdict, subject.target, now, **extra))
        return found

    def block(self, check: SampleCheck, target: ReportTarget, at: float | None = None) -> None:
        """Refuse a request; all that remains is one Event."""
        self.blocked[_violation(check, target)] += 1
        self._emit(kyverno.policy_event(check, target, self._at(at), blocked=True))

    def audit(self, check: SampleCheck, target: ReportTarget) -> None:
        """Let a violation through: one Event about the policy, one about the resource."""
        self.allowed[_violation(check, target)] += 1
        self._pair(check, target, "kyverno-admission")

    def rescan(self) -> None:
        """Evaluate everything again: new timestamps, and two Events for each current violation."""
        for subject in list(self.subjects.values()):
            self.put(subject)
        for subject, check in self.failing():
            self.scanned[_violation(check, subject.target)] += 1
            self._pair(check, subject.target, "kyverno-scan")

    def expire(self, before: float) -> None:
        """Delete Events from before a time, as the API server does after an hour."""
        while self._events and self._events[0][0] < before:
            _, namespace, name = self._events.popleft()
            if self.store.get(known.EVENTS.name, namespace, name):
                self.store.delete(known.EVENTS.name, namespace, name)

    def _controller(self, target: ReportTarget) -> ReportTarget | None:
        """Find the subject that created another one: its name goes on where its owner's ends."""
        kinds = _CONTROLLERS[target.kind]
        owners = [
            each.target
            for each in self.subjects.values()
            if each.target.kind in kinds
            and each.target.namespace == target.namespace
            and target.name.startswith(f"{each.target.name}-")
            and (each.target.kind != "StatefulSet" or target.name.rpartition("-")[2].isdigit())
        ]
        return max(owners, key=lambda owner: len(owner.name), default=None)

    def _pair(self, check: SampleCheck, target: ReportTarget, controller: str) -> None:
        about_policy = kyverno.policy_event(
            check, target, self._at(None), blocked=False, controller=controller
        )
        self._emit(about_policy)
        self._emit(kyverno.resource_event(check, target, self._at(None), controller))

    def _at(self, at: float | None) -> float:
        # Names of Events hold their time, so that no two may share one.
        if at is None:
            at = self._stamp = max(self.store.clock(), self._stamp + 1e-6)
        return at

    def _emit(self, event: Object) -> None:
        stored = self.store.create(known.EVENTS.name, event)
        seconds = int(stored.data["metadata"]["name"].rpartition(".")[2], 16) / 1e9
        self._events.append((seconds, stored.namespace, stored.data["metadata"]["name"]))

    def _write(self, data: Object, created: float | None = None) -> StoredObject:
        group = data["apiVersion"].rpartition("/")[0]
        plural = f"{data['kind'].lower()}s".replace("policys", "policies")
        storage = f"{plural}.{group}" if group else plural
        metadata = data["metadata"]
        if self.store.get(storage, metadata.get("namespace", ""), metadata["name"]):
            return self.store.replace(storage, data, _manager(data))
        if created is not None:
            metadata["creationTimestamp"] = rfc3339(created)
        return self.store.create(storage, data, _manager(data))


def _violation(check: SampleCheck, target: ReportTarget) -> SampleViolation:
    return SampleViolation(target.namespace, target.kind, check.reported_policy, check.rule)


def _manager(data: Object) -> str:
    return "reports-controller" if "results" in data else "kubectl-client-side-apply"


def _object(target: ReportTarget, controller: ReportTarget | None) -> Object:
    container = {"name": "app", "image": "public.ecr.aws/docker/library/app:1.0"}
    metadata: Object = {"name": target.name, "namespace": target.namespace, "uid": target.uid}
    if controller is not None:
        reference = controller.reference
        reference.pop("namespace", None)
        metadata["ownerReferences"] = [
            reference | {"controller": True, "blockOwnerDeletion": True},
        ]
    head = {"apiVersion": _OBJECTS[target.kind].api_version, "kind": target.kind}
    template = {"spec": {"containers": [container]}}
    if target.kind == "Pod":
        return {**head, "metadata": metadata, **template, "status": {"phase": "Running"}}
    return {**head, "metadata": metadata, "spec": {"template": template}, "status": {}}
