"""Objects as Kyverno 1.14 and later write them: reports, Events, policies."""

from typing import Any, NamedTuple

from exporter.model import resource as known
from exporter.simulator.checks import Check
from exporter.simulator.times import rfc3339, rfc3339_micro

Object = dict[str, Any]

RESULTS = ("pass", "fail", "warn", "error", "skip")
NOTE_BYTES = 1024
_API_VERSIONS = {
    "Pod": "v1",
    "Namespace": "v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
}


class Target(NamedTuple):
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


def result(check: Check, verdict: str, target: Target, at: float, **properties: str) -> Object:
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


def report(target: Target, results: list[Object], created: float | None = None) -> Object:
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
    check: Check, target: Target, at: float, *, blocked: bool, controller: str = "kyverno-admission"
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
    check: Check, target: Target, at: float, controller: str = "kyverno-admission"
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


def policy(check: Check) -> Object:
    """Write the policy object behind a check."""
    annotations = {
        "policies.kyverno.io/title": check.title,
        "policies.kyverno.io/category": check.category,
        "policies.kyverno.io/severity": check.severity,
        "policies.kyverno.io/subject": ", ".join(check.kinds),
        "policies.kyverno.io/scored": "" if check.scored else "false",
    }
    metadata: Object = {
        "name": check.policy,
        "annotations": {key: value for key, value in annotations.items() if value},
    }
    if check.namespace:
        metadata["namespace"] = check.namespace
    if check.cel:
        return _cel_policy(check, metadata)
    return _rule_policy(check, metadata)


def _rule_policy(check: Check, metadata: Object) -> Object:
    body: str = "validate"
    if check.verifies_images:
        body = "verifyImages"
    elif not check.kinds:
        body = "generate"
    counts = {name: int(name == body.lower()) for name in _RULE_TYPES}
    return {
        "apiVersion": known.CLUSTER_POLICIES.api_version,
        "kind": check.policy_kind,
        "metadata": metadata,
        "spec": {
            "admission": True,
            "background": True,
            "emitWarning": False,
            "rules": [{"name": check.rule, "match": _match(check), body: _body(check, body)}],
        },
        "status": {
            "conditions": [_ready(check)],
            "rulecount": counts,
            "validatingadmissionpolicy": {"generated": False, "message": ""},
        },
    }


_RULE_TYPES = ("validate", "mutate", "generate", "verifyimages")


def _match(check: Check) -> Object:
    resources: Object = {"kinds": ["Pod"] if "Pod" in check.kinds else list(check.kinds)}
    if not check.kinds:
        resources["kinds"] = ["Namespace"]
    if check.namespaces:
        resources["namespaces"] = list(check.namespaces)
    return {"any": [{"resources": resources}]}


def _body(check: Check, body: str) -> Object | list[Object]:
    if body == "generate":
        return {"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "name": check.rule}
    if body == "verifyImages":
        return [{"imageReferences": ["registry.example.com/*"], "failureAction": check.action}]
    message = check.fails.removeprefix("validation error: ").partition(". rule")[0]
    return {"failureAction": check.action, "message": message, "pattern": {"metadata": {}}}


def _ready(check: Check) -> Object:
    good = {"status": "True", "reason": "Succeeded", "message": "Ready"}
    bad = {
        "status": "False",
        "reason": "Failed",
        "message": "kyverno-background-controller cannot create networkpolicies",
    }
    return {"type": "Ready", **(good if check.ready else bad)}


def _cel_policy(check: Check, metadata: Object) -> Object:
    resource = next(each for each in known.CEL_POLICIES if each.kind == check.policy_kind)
    rules = {
        "apiGroups": ["", "apps"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": [kind.lower() + "s" for kind in check.kinds],
    }
    return {
        "apiVersion": resource.api_version,
        "kind": check.policy_kind,
        "metadata": metadata,
        "spec": {
            "validationActions": ["Deny" if check.action == "Enforce" else "Audit"],
            "matchConstraints": {"resourceRules": [rules]},
            "validations": [{"expression": "has(object.spec)", "message": check.fails}],
        },
        "status": {
            "autogen": {},
            "conditionStatus": {
                "ready": check.ready,
                "conditions": [
                    {"type": kind, "status": "True", "reason": "Succeeded", "message": ""}
                    for kind in ("WebhookConfigured", "PolicyCached")
                ],
                "message": "",
            },
            "generated": False,
        },
    }
