"""Events of blocked requests, as Kyverno writes them."""

from functools import cache

import msgspec

from bench.reports import NOW
from exporter.simulator.store import rfc3339, rfc3339_micro

NAMESPACES = 50
POLICIES = 20


@cache
def _template() -> bytes:
    policy, rule = "disallow-something-insecure-@policy@", "check-something-@policy@"
    name, namespace = "workload-@number@", "namespace-@namespace@"
    note = f"Pod {namespace}/{name}: [{rule}] fail (blocked); validation error: not allowed here."
    encoded = msgspec.json.encode(
        {
            "action": "Resource Blocked",
            "apiVersion": "events.k8s.io/v1",
            "eventTime": "@time@",
            "kind": "Event",
            "metadata": {
                "creationTimestamp": rfc3339(NOW),
                "name": f"{policy}.@number@",
                "namespace": "default",
                "resourceVersion": "@version@",
            },
            "note": note,
            "reason": "PolicyViolation",
            "regarding": {"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "name": policy},
            "related": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": name,
                "namespace": namespace,
            },
            "reportingController": "kyverno-admission",
            "reportingInstance": "kyverno-admission-kyverno-admission-controller-1",
            "type": "Warning",
        }
    )
    for name in ("policy", "number", "namespace", "time", "version"):
        encoded = encoded.replace(b"@%b@" % name.encode(), b"%%(%b)b" % name.encode())
    return encoded


def event(number: int, version: int) -> bytes:
    """Encode one Event; each number is another violation."""
    return _template() % {
        b"policy": b"%02d" % (number % POLICIES),
        b"number": b"%d" % number,
        b"namespace": b"%05d" % (number // POLICIES % NAMESPACES),
        b"time": rfc3339_micro(NOW + number / 1e4).encode(),
        b"version": b"%d" % version,
    }
