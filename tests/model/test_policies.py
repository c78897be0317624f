"""Policy mode from every place where Kyverno keeps it, readiness, and the rest of the card."""

from typing import Any

import msgspec
import pytest

from exporter.model.policy import Policy

Object = dict[str, Any]


def policy(kind: str, spec: Object | None, **more: Any) -> Policy:
    wire = {"metadata": {"name": "p"}, "kind": kind, "spec": spec} | more
    return msgspec.convert(wire, Policy)


def validate(action: str = "", *overrides: str) -> Object:
    rule: Object = {"failureAction": action} if action else {}
    if overrides:
        rule["failureActionOverrides"] = [
            {"action": each, "namespaces": ["x"]} for each in overrides
        ]
    return {"name": "r", "validate": rule}


MODES: list[Any] = [
    ("ClusterPolicy", {"rules": [validate()]}, "audit", "the default"),
    (
        "ClusterPolicy",
        {"validationFailureAction": "enforce", "rules": [validate()]},
        "enforce",
        "old spelling",
    ),
    (
        "ClusterPolicy",
        {"validationFailureAction": "Enforce", "rules": [validate()]},
        "enforce",
        "spec",
    ),
    ("ClusterPolicy", {"rules": [validate("Enforce")]}, "enforce", "rule"),
    (
        "ClusterPolicy",
        {"validationFailureAction": "Enforce", "rules": [validate("Audit")]},
        "audit",
        "the rule beats the spec",
    ),
    ("ClusterPolicy", {"rules": [validate("Enforce"), validate("Audit")]}, "mixed", "two rules"),
    ("ClusterPolicy", {"rules": [validate("Audit", "Enforce")]}, "mixed", "a rule's override"),
    (
        "ClusterPolicy",
        {
            "validationFailureAction": "Audit",
            "validationFailureActionOverrides": [{"action": "Enforce"}],
            "rules": [validate()],
        },
        "mixed",
        "the spec's override",
    ),
    (
        "Policy",
        {"rules": [{"name": "v", "verifyImages": [{"failureAction": "Enforce"}]}]},
        "enforce",
        "verifyImages",
    ),
    ("ClusterPolicy", {"rules": [{"name": "m", "mutate": {}}]}, "none", "mutate only"),
    (
        "ClusterPolicy",
        {"validationFailureAction": "Enforce", "admission": False, "rules": [validate()]},
        "audit",
        "not at admission",
    ),
    ("ClusterPolicy", None, "none", "no spec"),
    ("ValidatingPolicy", {}, "enforce", "empty means Deny"),
    ("ValidatingPolicy", {"validationActions": ["Deny"]}, "enforce", "Deny"),
    ("ValidatingPolicy", {"validationActions": ["Audit"]}, "audit", "Audit"),
    ("NamespacedValidatingPolicy", {"validationActions": ["Warn"]}, "warn", "Warn"),
    ("ImageValidatingPolicy", {"validationActions": ["Audit", "Warn"]}, "audit", "Audit and Warn"),
    (
        "ValidatingPolicy",
        {"validationActions": ["Deny"], "evaluation": {"admission": {"enabled": False}}},
        "audit",
        "CEL, not at admission",
    ),
    ("MutatingPolicy", {}, "none", "mutating"),
    ("GeneratingPolicy", {}, "none", "generating"),
    ("NamespacedDeletingPolicy", {}, "none", "deleting"),
]


@pytest.mark.parametrize(("kind", "spec", "mode", "why"), MODES, ids=[m[3] for m in MODES])
def test_mode(kind: str, spec: Object | None, mode: str, why: str) -> None:
    assert policy(kind, spec).mode == mode


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("ClusterPolicy", "kyverno"),
        ("Policy", "kyverno"),
        ("ValidatingPolicy", "KyvernoValidatingPolicy"),
        ("NamespacedValidatingPolicy", "KyvernoValidatingPolicy"),
        ("NamespacedImageValidatingPolicy", "KyvernoImageValidatingPolicy"),
    ],
)
def test_source_is_what_its_results_carry(kind: str, source: str) -> None:
    assert policy(kind, {}).source == source


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        (None, None),
        ({"conditions": [{"type": "Ready", "status": "True"}]}, True),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, False),
        ({"conditionStatus": {"ready": False, "message": "x"}}, False),
        ({"conditionStatus": {"ready": True}}, True),
        ({"ready": True}, True),
    ],
)
def test_ready(status: Object | None, ready: bool | None) -> None:
    assert policy("ClusterPolicy", {}, status=status).ready is ready


@pytest.mark.parametrize(
    ("spec", "background"),
    [
        ({}, True),
        ({"background": False}, False),
        ({"evaluation": {"background": {"enabled": False}}}, False),
    ],
)
def test_background(spec: Object, background: bool) -> None:
    assert policy("ClusterPolicy", spec).background is background


def test_a_write_to_the_status_is_no_change_of_the_spec() -> None:
    metadata = {
        "name": "p",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [
            {"manager": "kubectl", "time": "2026-02-01T00:00:00Z"},
            {"manager": "kyverno", "time": "2026-03-01T00:00:00Z", "subresource": "status"},
        ],
    }
    assert policy("Policy", {}, metadata=metadata).changed == 1769904000.0


def test_a_namespaced_policy_is_called_by_its_namespace() -> None:
    assert policy("Policy", {}, metadata={"name": "p", "namespace": "a"}).label == "a/p"
