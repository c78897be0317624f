"""Report sets like Kyverno's, as the API server encodes them."""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from exporter.model.resource import POLICY_REPORTS

KINDS = ("Deployment", "ReplicaSet", "Pod")
NOW = 1_795_000_000
_CATEGORIES = (
    "Pod Security Standards (Baseline)",
    "Pod Security Standards (Restricted)",
    "Best Practices",
)
_SEVERITIES = ("medium", "medium", "medium", "high", "low")


class Shape(NamedTuple):
    """What a set is like.

    Workloads of a namespace pass and fail the same rules as others of theirs: ``profiles`` of
    them. ``failing`` is the share of profiles with failures, one to three of their results.
    ``distinct`` is the share of reports with an outcome that no other report has.
    """

    reports: int = 100_000
    namespaces: int = 200
    policies: int = 45
    profiles: int = 8
    failing: float = 0.1
    distinct: float = 0.01
    seed: int = 1


def report(shape: Shape, number: int, stamp: int = NOW) -> dict[str, Any]:
    """Make one report; the same number gives the same report but for its timestamps."""
    own = random.Random(shape.seed * 1_000_003 + number)
    namespace = number % shape.namespaces
    alone = own.random() < shape.distinct
    profile = number if alone else number // shape.namespaces % shape.profiles
    chance = random.Random(f"{shape.seed} {namespace} {profile}")
    kind = KINDS[number // 7 % 3]
    uid = f"{number:08x}-6b1f-4c1d-9a3e-{number * 7919:012x}"
    results = list(_results(shape, chance, kind, stamp))
    failing = sum(result["result"] == "fail" for result in results)
    summary = {"error": 0, "fail": failing, "pass": len(results) - failing, "skip": 0, "warn": 0}
    name = f"workload-{number}-{uid[:5]}"
    return {
        "apiVersion": POLICY_REPORTS.api_version,
        "kind": POLICY_REPORTS.kind,
        "metadata": _metadata(f"namespace-{namespace:04d}", uid, kind, name, number),
        "results": results,
        "scope": {
            "apiVersion": "v1",
            "kind": kind,
            "name": name,
            "namespace": f"namespace-{namespace:04d}",
            "uid": uid,
        },
        "summary": summary,
    }


def _results(
    shape: Shape, chance: random.Random, kind: str, stamp: int
) -> Iterator[dict[str, Any]]:
    chosen = sorted(
        chance.sample(range(shape.policies), min(chance.randint(12, 19), shape.policies))
    )
    bad = (
        set(chance.sample(chosen, chance.randint(1, 3)))
        if chance.random() < shape.failing
        else set()
    )
    for policy in chosen:
        rule = f"check-something-{policy:02d}"
        shown = rule if kind == "Pod" else f"autogen-{rule}"
        message = f"validation rule '{shown}' passed."
        if policy in bad:
            message = (
                "validation error: Privileged mode is disallowed. The fields "
                "spec.containers[*].securityContext.privileged must be unset or set to `false`. "
                f"rule {shown} failed at path /spec/containers/0/securityContext/privileged/"
            )
        yield {
            "category": _CATEGORIES[policy % 3],
            "message": message,
            "policy": f"disallow-something-insecure-{policy:02d}",
            "properties": {"process": "background scan"},
            "result": "fail" if policy in bad else "pass",
            "rule": shown,
            "scored": True,
            "severity": _SEVERITIES[policy % 5],
            "source": "kyverno",
            "timestamp": {"nanos": 0, "seconds": stamp},
        }


def _metadata(namespace: str, uid: str, kind: str, name: str, number: int) -> dict[str, Any]:
    fields = {
        "f:metadata": {
            "f:labels": {".": {}, "f:app.kubernetes.io/managed-by": {}},
            "f:ownerReferences": {".": {}, f'k:{{"uid":"{uid}"}}': {}},
        },
        "f:results": {},
        "f:scope": {},
        "f:summary": {
            ".": {},
            "f:error": {},
            "f:fail": {},
            "f:pass": {},
            "f:skip": {},
            "f:warn": {},
        },
    }
    return {
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 2,
        "labels": {"app.kubernetes.io/managed-by": "kyverno"},
        "managedFields": [
            {
                "apiVersion": POLICY_REPORTS.api_version,
                "fieldsType": "FieldsV1",
                "fieldsV1": fields,
                "manager": "reports-controller",
                "operation": "Update",
                "time": "2026-01-01T00:00:00Z",
            }
        ],
        "name": uid,
        "namespace": namespace,
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid}],
        "resourceVersion": str(number + 1),
        "uid": f"{uid[:-1]}f",
    }


def pages(shape: Shape, size: int = 250) -> Iterator[bytes]:
    """Give the set as list responses of *size* reports."""
    for first in range(0, shape.reports, size):
        last = min(first + size, shape.reports)
        metadata = {
            "continue": str(last) if last < shape.reports else "",
            "resourceVersion": str(shape.reports + 1),
        }
        items = [report(shape, number) for number in range(first, last)]
        yield msgspec.json.encode(
            {
                "apiVersion": POLICY_REPORTS.api_version,
                "items": items,
                "kind": "PolicyReportList",
                "metadata": metadata,
            }
        )


def line(shape: Shape, number: int, stamp: int, version: int, kind: str = "MODIFIED") -> bytes:
    """Give a watch line about one report."""
    item = report(shape, number, stamp)
    item["metadata"]["resourceVersion"] = str(version)
    return msgspec.json.encode({"object": item, "type": kind}) + b"\n"
