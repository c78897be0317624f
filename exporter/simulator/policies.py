"""Policy objects as users write them and Kyverno completes them."""

from typing import Any

from exporter.model import resource as known
from exporter.simulator.checks import SampleCheck

Object = dict[str, Any]


def policy(check: SampleCheck) -> Object:
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


def _rule_policy(check: SampleCheck, metadata: Object) -> Object:
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


def _match(check: SampleCheck) -> Object:
    resources: Object = {"kinds": ["Pod"] if "Pod" in check.kinds else list(check.kinds)}
    if not check.kinds:
        resources["kinds"] = ["Namespace"]
    if check.namespaces:
        resources["namespaces"] = list(check.namespaces)
    return {"any": [{"resources": resources}]}


def _body(check: SampleCheck, body: str) -> Object | list[Object]:
    if body == "generate":
        return {"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "name": check.rule}
    if body == "verifyImages":
        return [{"imageReferences": ["registry.example.com/*"], "failureAction": check.action}]
    message = check.fails.removeprefix("validation error: ").partition(". rule")[0]
    return {"failureAction": check.action, "message": message, "pattern": {"metadata": {}}}


def _ready(check: SampleCheck) -> Object:
    good = {"status": "True", "reason": "Succeeded", "message": "Ready"}
    bad = {
        "status": "False",
        "reason": "Failed",
        "message": "kyverno-background-controller cannot create networkpolicies",
    }
    return {"type": "Ready", **(good if check.ready else bad)}


def _cel_policy(check: SampleCheck, metadata: Object) -> Object:
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
