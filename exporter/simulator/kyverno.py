"""What Kyverno 1.14 and later write about a resource: its report, and Events."""

from typing import Any, NamedTuple

from exporter.model import resource as known
from exporter.simulator.checks import SampleCheck
from exporter.simulator.store import rfc3339, rfc3339_micro

Object = dict[str, Any]

RESULTS = ("pass", "fail", "warn", "error", "skip")
NOTE_BYTES = 1024
_API_VERSIONS = {
    "Pod": "v1",
    "Namespace": "v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
}


class ReportTarget(NamedTuple):
    """A resource that is checked."""

    kind: str
    namespace: str
    name: str
    uid: str

    @property
    def reference(self) -> Object:
        """The ObjectReference that reports and Events hold."""
        api_version = _API_VERSIONS.get(self.kind, "apps/v1")
        found = {"apiVersion": api_version, "kind": self.kind, "name": self.name}
        if self.namespace:
            found["namespace"] = self.namespace
        return found | {"uid": self.uid}

    @property
    def label(self) -> str:
        """``Pod default/nginx``, as notes begin."""
        path = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {path}"


def result(
    check: SampleCheck, verdict: str, target: ReportTarget, at: float, **properties: str
) -> Object:
    """One entry of results; an unscored fail becomes a warn."""
    if verdict == "fail" and not check.scored:
        verdict = "warn"
    found: Object = {"source": check.source, "policy": check.reported_policy}
    rule = check.rule_for(target.kind)
    if rule:
        found["rule"] = rule
    extra = dict(check.properties) if verdict == "fail" else {}
    found["message"] = check.says(verdict, target.kind)
    if "exceptions" in properties:
        name = f"{target.namespace}/{properties['exceptions']}"
        # Kyverno forgets a space here.
        found["message"] = f"rule is skipped due to policy exceptions{name}"
    found |= {"result": verdict, "scored": check.scored}
    found["properties"] = {"process": "background scan", **extra, **properties}
    found["timestamp"] = {"seconds": int(at), "nanos": 0}
    found |= {"category": check.category, "severity": check.severity}
    return {key: value for key, value in found.items() if value not in ("", False)}


def report(target: ReportTarget, results: list[Object], created: float | None = None) -> Object:
    """Write the report on one resource: named by its UID, owned by it, counted."""
    resource = known.POLICY_REPORTS if target.namespace else known.CLUSTER_POLICY_REPORTS
    reference = target.reference
    owner = {key: value for key, value in reference.items() if key != "namespace"}
    metadata: Object = {
        "name": target.uid,
        "labels": {"app.kubernetes.io/managed-by": "kyverno"},
        "ownerReferences": [owner],
    }
    if target.namespace:
        metadata["namespace"] = target.namespace
    if created is not None:
        metadata["creationTimestamp"] = rfc3339(created)
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": metadata,
        "scope": reference,
        "results": sorted(results, key=_order),
        "summary": summary(results),
    }


def summary(results: list[Object]) -> dict[str, int]:
    """Count results by verdict."""
    verdicts = [each["result"] for each in results]
    return {verdict: verdicts.count(verdict) for verdict in RESULTS}


def policy_event(
    check: SampleCheck,
    target: ReportTarget,
    at: float,
    *,
    blocked: bool,
    controller: str = "kyverno-admission",
) -> Object:
    """Write the Event about the policy: one for each violation, blocked or not."""
    rule = check.rule_for(target.kind)
    note = f"{target.label}: {f'[{rule}] ' if rule else ''}fail{' (blocked)' if blocked else ''}"
    version = known.CEL_POLICIES[0]._replace(version="v1beta1") if check.cel else known.POLICIES
    regarding = {
        "apiVersion": version.api_version,
        "kind": check.policy_kind,
        "name": check.policy,
    }
    if check.namespace:
        regarding["namespace"] = check.namespace
    event = _event(regarding, f"{note}; {check.says('fail', target.kind)}", at, controller)
    event["action"] = "Resource Blocked" if blocked else "Resource Passed"
    return event | {"related": target.reference}


def resource_event(
    check: SampleCheck, target: ReportTarget, at: float, controller: str = "kyverno-admission"
) -> Object:
    """Write the second Event, about the resource, of a violation that was let through."""
    said = check.says("fail", target.kind)
    note = f"policy {check.policy}/{check.rule_for(target.kind)} fail: {said}"
    return _event(target.reference, note, at, controller)


def _event(regarding: Object, note: str, at: float, controller: str) -> Object:
    api_version = known.EVENTS.api_version
    instance = f"{controller}-{_PODS[controller]}"
    encoded = note.encode()
    if len(encoded) > NOTE_BYTES:
        note = encoded[: NOTE_BYTES - 3].decode(errors="ignore") + "..."
    return {
        "apiVersion": api_version,
        "kind": "Event",
        "metadata": {
            "name": f"{regarding['name']}.{int(at * 1e9):x}",
            "namespace": regarding.get("namespace", "default"),
            "creationTimestamp": rfc3339(at),
        },
        "eventTime": rfc3339_micro(at),
        "reportingController": controller,
        "reportingInstance": instance,
        "action": "Resource Passed",
        "reason": "PolicyViolation",
        "regarding": regarding,
        "note": note,
        "type": "Warning",
        "deprecatedSource": {},
        "deprecatedFirstTimestamp": None,
        "deprecatedLastTimestamp": None,
    }


_PODS = {
    "kyverno-admission": "kyverno-admission-controller-d7f5d6677-4xntf",
    "kyverno-scan": "kyverno-reports-controller-6c98f4f5d4-m2x8p",
}


def _order(found: Object) -> tuple[str, str, str]:
    return found["source"], found["policy"], found.get("rule", "")
