"""Report sets like Kyverno's, as the API server encodes them."""

import random
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import Any, NamedTuple, Self

import msgspec

from exporter.model.resource import POLICY_REPORTS

KINDS = ("Deployment", "ReplicaSet", "Pod", "Pod")
"""Of the resources of one workload."""
NOW = 1_795_000_000
PER_NAMESPACE = 500
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Characters of generated names, as in exporter/model/ownership.py."""
_STRIDE = 7_919
_CATEGORIES = (
    "Pod Security Standards (Baseline)",
    "Pod Security Standards (Restricted)",
    "Best Practices",
)
_SEVERITIES = ("medium", "medium", "medium", "high", "low")


class Shape(NamedTuple):
    """What a set is like.

    Workloads of a namespace pass and fail the same rules as others of theirs: ``profiles`` of
    them. Each has between ``rules`` results; ``failing`` is the share of profiles with failures,
    one to three of their results. ``distinct`` is the share of reports with an outcome that no
    other report has, ``messages`` that of reports whose failures have messages of their own.
    """

    reports: int = 100_000
    namespaces: int = 200
    policies: int = 45
    profiles: int = 8
    failing: float = 0.1
    distinct: float = 0.01
    messages: float = 0.1
    rules: tuple[int, int] = (12, 19)
    managed_fields: bool = True
    seed: int = 1

    @classmethod
    def of(cls, reports: int) -> Self:
        """Give a cluster of that size: the larger it is, the more namespaces."""
        return cls(reports, namespaces=max(reports // PER_NAMESPACE, 1))

    def at(self, position: int) -> int:
        """Give the number of the report at a position of a list, which goes by namespaces."""
        least, more = divmod(self.reports, self.namespaces)
        beyond = position - more * (least + 1)
        if beyond < 0:
            namespace, row = divmod(position, least + 1)
        else:
            namespace, row = divmod(beyond, least)
            namespace += more
        return namespace + row * self.namespaces


class Outcome(NamedTuple):
    """What a report says: its text but for what is its own, and how many results it counts."""

    template: bytes
    results: int
    failing: int


class Reports:
    """Encodes the reports of one shape: the same number gives the same report.

    ``turn`` tells apart the outcomes that one report has in its life.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._known = lru_cache(maxsize=6_000)(self._outcome)

    def outcome(self, number: int, turn: int = 0) -> Outcome:
        """Say what a report amounts to."""
        shape = self.shape
        alone = random.Random(shape.seed * 1_000_003 + number).random() < shape.distinct
        _, kind = self._workload(number)
        namespace = number % shape.namespaces
        if alone:
            return self._outcome(namespace, f"{number} {turn}", kind)
        return self._known(
            namespace, str((number // shape.namespaces + turn) % shape.profiles), kind
        )

    def encode(self, number: int, stamp: int = NOW, version: int = 0, turn: int = 0) -> bytes:
        """Encode one report."""
        uid = f"{number:08x}-6b1f-4c1d-9a3e-{number * 7919:012x}"
        self_metrics = number * 2_654_435_761 % 1_000 < self.shape.messages * 1_000
        return self.outcome(number, turn).template % {
            b"uid": uid.encode(),
            b"name": self._name(number).encode(),
            b"version": version or number + 1,
            b"stamp": stamp,
            b"container": number if self_metrics else 0,
        }

    def _workload(self, number: int) -> tuple[int, str]:
        """Give a report's workload in its namespace, and the kind of its resource.

        A list goes by uids: a report of a Pod may come before that of its Deployment.
        """
        namespaces = self.shape.namespaces
        row = number // namespaces * _STRIDE % max(self.shape.reports // namespaces, 1)
        workload, position = divmod(row, len(KINDS))
        return workload, KINDS[position]

    def _name(self, number: int) -> str:
        workload, kind = self._workload(number)
        name = f"workload-{workload}"
        if kind != "Deployment":
            mixed = (number % self.shape.namespaces + workload * 1_000_003) * 2_654_435_761
            name += "-" + "".join(_LETTERS[ord(d) % len(_LETTERS)] for d in str(mixed % 2**32))
        if kind == "Pod":
            name += "-" + "".join(_LETTERS[number // 27**n % 27] for n in range(5))
        return name

    def _outcome(self, namespace: int, profile: str, kind: str) -> Outcome:
        shape = self.shape
        chance = random.Random(f"{shape.seed} {namespace} {profile}")
        most = min(chance.randint(*shape.rules), shape.policies)
        chosen = sorted(chance.sample(range(shape.policies), most))
        bad: set[int] = set()
        if chance.random() < shape.failing:
            bad.update(chance.sample(chosen, min(chance.randint(1, 3), most)))
        results = b",".join(_result(policy, policy in bad, kind) for policy in chosen)
        head, tail = _envelope(kind, shape.managed_fields)
        place = b"namespace-%05d" % namespace
        counts = b'{"error":0,"fail":%d,"pass":%d,"skip":0,"warn":0}' % (len(bad), most - len(bad))
        text = head + results + tail.replace(b'"@counts@"', counts)
        return Outcome(text.replace(b"@namespace@", place), most, len(bad))


@cache
def _result(policy: int, bad: bool, kind: str) -> bytes:  # noqa: FBT001 - a cache's key
    rule = f"check-something-{policy:02d}"
    shown = rule if kind == "Pod" else f"autogen-{rule}"
    message = f"validation rule '{shown}' passed."
    if bad:
        message = (
            "validation error: Privileged mode is disallowed. The fields "
            "spec.containers[*].securityContext.privileged must be unset or set to `false`. "
            f"rule {shown} failed at path /spec/containers/@container@/securityContext/privileged/"
        )
    return _template(
        {
            "category": _CATEGORIES[policy % 3],
            "message": message,
            "policy": f"disallow-something-insecure-{policy:02d}",
            "properties": {"process": "background scan"},
            "result": "fail" if bad else "pass",
            "rule": shown,
            "scored": True,
            "severity": _SEVERITIES[policy % 5],
            "source": "kyverno",
            "timestamp": {"nanos": 0, "seconds": NOW},
        }
    )


@cache
def _envelope(kind: str, managed_fields: bool) -> tuple[bytes, bytes]:  # noqa: FBT001 - a cache's key
    """Give what stands before the results, and after them."""
    raw = _template(
        {
            "apiVersion": POLICY_REPORTS.api_version,
            "kind": POLICY_REPORTS.kind,
            "metadata": _metadata(kind, managed_fields=managed_fields),
            "results": ["@results@"],
            "scope": {
                "apiVersion": "v1" if kind == "Pod" else "apps/v1",
                "kind": kind,
                "name": "@name@",
                "namespace": "@namespace@",
                "uid": "@uid@",
            },
            "summary": "@counts@",
        }
    )
    head, _, tail = raw.partition(b'"@results@"')
    return head, tail


def _template(value: object) -> bytes:
    """Encode what is the same in many reports, open where they differ."""
    raw = msgspec.json.encode(value).replace(b"%", b"%%")
    raw = raw.replace(b'"seconds":%d' % NOW, b'"seconds":%(stamp)d')
    for name, form in ((b"uid", b"b"), (b"name", b"b"), (b"version", b"d"), (b"container", b"d")):
        raw = raw.replace(b"@%b@" % name, b"%%(%b)%b" % (name, form))
    return raw


def _metadata(kind: str, *, managed_fields: bool) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": "@name@", "uid": "@uid@"}
    made: dict[str, Any] = {
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 2,
        "labels": {"app.kubernetes.io/managed-by": "kyverno"},
        "name": "@uid@",
        "namespace": "@namespace@",
        "ownerReferences": [owner],
        "resourceVersion": "@version@",
        "uid": "@uid@-r",
    }
    if managed_fields:
        made["managedFields"] = [_managed_fields()]
    return dict(sorted(made.items()))


def _managed_fields() -> dict[str, Any]:
    counts: dict[str, object] = {
        f"f:{word}": {} for word in ("error", "fail", "pass", "skip", "warn")
    }
    fields = {
        "f:metadata": {
            "f:labels": {".": {}, "f:app.kubernetes.io/managed-by": {}},
            "f:ownerReferences": {".": {}, 'k:{"uid":"@uid@"}': {}},
        },
        "f:results": {},
        "f:scope": {},
        "f:summary": {".": {}, **counts},
    }
    return {
        "apiVersion": POLICY_REPORTS.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        "manager": "reports-controller",
        "operation": "Update",
        "time": "2026-01-01T00:00:00Z",
    }


def report(shape: Shape, number: int, stamp: int = NOW) -> dict[str, Any]:
    """Make one report as a dict."""
    made: dict[str, Any] = msgspec.json.decode(Reports(shape).encode(number, stamp))
    return made


def page(reports: Reports, numbers: Iterable[int], cont: str = "") -> bytes:
    """Encode a list response of these reports, with the continue token of the next."""
    return (
        b'{"apiVersion":"%b","items":[%b],"kind":"PolicyReportList",'
        b'"metadata":{"continue":"%b","resourceVersion":"%d"}}'
    ) % (
        POLICY_REPORTS.api_version.encode(),
        b",".join(map(reports.encode, numbers)),
        cont.encode(),
        reports.shape.reports + 1,
    )


def pages(shape: Shape, size: int = 250) -> Iterator[bytes]:
    """Give the set as list responses of *size* reports."""
    reports = Reports(shape)
    for first in range(0, shape.reports, size):
        last = min(first + size, shape.reports)
        cont = str(last) if last < shape.reports else ""
        yield page(reports, map(shape.at, range(first, last)), cont)


def line(encoded: bytes, kind: str = "MODIFIED") -> bytes:
    """Give the watch line of an encoded object."""
    return b'{"object":%b,"type":"%b"}\n' % (encoded, kind.encode())
