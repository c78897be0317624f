"""Reports of other engines, by hand in the shape that each writes, with `sources` naming them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.engines.reading import Object, Seen, by_serve, by_snapshot

Text = pytest.CaptureFixture[str]
AT = 1_795_000_000
WG, OPEN = "wgpolicyk8s.io/v1alpha2", "openreports.io/v1alpha1"
POD = {"apiVersion": "v1", "kind": "Pod", "name": "web", "namespace": "shop", "uid": "u-web"}
CART = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart", "namespace": "shop"}


def result(policy: str, word: str, source: str, **more: Any) -> Object:
    found = {"policy": policy, "result": word, "source": source, "scored": True}
    return found | {"timestamp": {"seconds": AT, "nanos": 0}} | more


def report(
    name: str, results: list[Object], namespace: str = "shop", version: str = WG, **more: Any
) -> Object:
    kind = "Report" if version == OPEN else "PolicyReport"
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    words = [each["result"] for each in results]
    summary = {w: words.count(w) for w in ("pass", "fail", "warn", "error", "skip")}
    head = {"apiVersion": version, "kind": kind if namespace else f"Cluster{kind}"}
    return head | {"metadata": metadata, "results": results, "summary": summary} | more


class Case(NamedTuple):
    """What an engine writes, and what must be counted of it."""

    sources: tuple[str, ...]
    objects: list[Object]
    seen: Seen


def vulnerability(cve: str, severity: str, package: str) -> Object:
    """Trivy's adapter names no rule, and writes one result for each package that has a CVE."""
    more = {"category": "Vulnerability Scan", "properties": {"resource": package}}
    return result(cve, "fail", "Trivy Vulnerability", severity=severity, **more)


CASES = {
    "Trivy's adapter, vulnerabilities": Case(
        ("Trivy*",),
        [
            report(
                "trivy-vuln-polr-deployment-cart",
                [
                    vulnerability("CVE-2024-0001", "critical", "openssl"),
                    vulnerability("CVE-2024-0001", "critical", "libssl"),
                    vulnerability("CVE-2024-0002", "", "zlib"),
                ],
                scope=CART,
                # Of its own counters, before it leaves out what is there twice.
                summary={"pass": 0, "fail": 5, "warn": 0, "error": 0, "skip": 0},
            )
        ],
        Seen(
            {"fail": 1},
            [
                ("shop", "Deployment", "cart", cve, "", "Trivy Vulnerability")
                for cve in ("CVE-2024-0001", "CVE-2024-0001", "CVE-2024-0002")
            ],
        ),
    ),
    "Trivy's adapter, compliance without kinds": Case(
        ("Trivy*",),
        [
            report(
                "trivy-compliance-cpolr-cis",
                [
                    result(f"1.1 {'x' * 140} (manual)", "pass", "Trivy Compliance", resources=[]),
                    result(
                        "1.2 y",
                        "fail",
                        "Trivy Compliance",
                        rule="Z",
                        resources=[{"name": "shop/deployment-cart"}],
                    ),
                ],
                namespace="",
            )
        ],
        Seen({"fail": 1}, [("", "", "shop/deployment-cart", "1.2 y", "Z", "Trivy Compliance")]),
    ),
    "Falco": Case(
        ("Falco",),
        [
            report(
                "falco-policy-report",
                [
                    # Its seconds are those of the minute.
                    result(
                        "syscall",
                        "warn",
                        "Falco",
                        rule="Shell in a container",
                        severity="medium",
                        timestamp={"seconds": 12, "nanos": 5},
                        resources=[POD],
                    ),
                    result(
                        "k8s_audit",
                        "fail",
                        "Falco",
                        rule="Secret read",
                        severity="high",
                        timestamp={"seconds": 3, "nanos": 5},
                    ),
                ],
            )
        ],
        Seen({"warn": 1}, [("shop", "", "", "k8s_audit", "Secret read", "Falco")]),
    ),
    "kube-bench's adapter": Case(
        ("Kube Bench",),
        [
            report(
                "kube-bench-cis",
                [
                    result("Control Plane", "fail", "Kube Bench", rule="1.1.12 etcd's folder"),
                    result("Control Plane", "pass", "Kube Bench", rule="1.1.1 the pod file"),
                    result("Control Plane", "warn", "Kube Bench", rule="1.1.9 the network's file"),
                ],
                namespace="",
            )
        ],
        Seen({}, [("", "", "", "Control Plane", "1.1.12 etcd's folder", "Kube Bench")]),
    ),
    "Tracee": Case(
        ("Tracee",),
        [
            report(
                "tracee-shop",
                [result("TRC-2", "fail", "Tracee", rule="anti-debugging", resources=[POD])],
            )
        ],
        Seen({"fail": 1}, [("shop", "Pod", "web", "TRC-2", "anti-debugging", "Tracee")]),
    ),
    "Kubewarden beside Kyverno": Case(
        ("kyverno", "kubewarden"),
        [
            report("u-web", [result("need-tag", "fail", "kyverno", rule="tag")], scope=POD),
            report(
                "u-web",
                [result("safe-labels", "pass", "kubewarden", resourceSelector={})],
                version=OPEN,
                source="kubewarden",
                scope=POD | {"resourceVersion": "12"},
            ),
        ],
        Seen({"fail": 1}, [("shop", "Pod", "web", "need-tag", "tag", "kyverno")]),
    ),
    "Kubewarden with policies that could not judge": Case(
        ("kubewarden",),
        [
            report(
                "u-web",
                [result("safe-labels", "pass", "kubewarden")],
                version="wgpolicyk8s.io/v1beta1",
                scope=POD,
                summary={"pass": 1, "fail": 0, "warn": 0, "error": 2, "skip": 0},
            )
        ],
        Seen({"error": 1}, []),
    ),
    "Kubewarden that could not judge anything, beside Kyverno": Case(
        ("kyverno", "kubewarden"),
        [
            report("u-web", [result("need-tag", "pass", "kyverno", rule="tag")], scope=POD),
            report(
                "u-web",
                [],
                version=OPEN,
                scope=POD,
                summary={"pass": 0, "fail": 0, "warn": 0, "error": 2, "skip": 0},
            )
            | {
                "metadata": {
                    "name": "u-web",
                    "namespace": "shop",
                    "labels": {"app.kubernetes.io/managed-by": "kubewarden"},
                }
            },
        ],
        Seen({"error": 1}, []),
    ),
    "a sample of OpenReports: the source is the report's, its results are limited": Case(
        ("bench-adapter",),
        [
            {
                "apiVersion": OPEN,
                "kind": "Report",
                "metadata": {"name": "api-server", "namespace": "shop"},
                "source": "bench-adapter",
                "summary": {"pass": 8, "fail": 2},
                "results": [
                    {"policy": "anonymous-auth", "result": "warn", "properties": {"index": "1"}},
                    {"policy": "basic-auth", "result": "fail", "scored": True},
                ],
                "configuration": {"limits": {"maxResults": 2, "statusFilter": ["warn", "fail"]}},
            }
        ],
        Seen({}, [("shop", "", "", "basic-auth", "", "bench-adapter")]),
    ),
    "a sample of OpenReports: one object with a policy of its own as the scope": Case(
        ("",),
        [
            {
                "apiVersion": OPEN,
                "kind": "Report",
                "metadata": {"name": "images", "namespace": "shop"},
                "scope": {"kind": "Policy", "name": "no-vulnerable-image", "namespace": "shop"},
                "summary": {"pass": 1, "fail": 11},
                "results": [
                    {
                        "policy": "no-vulnerable-image",
                        "result": "fail",
                        "scored": False,
                        "properties": {"standards": "NIST-CSF", "severity": "high"},
                    }
                ],
            }
        ],
        Seen(
            {"fail": 1}, [("shop", "Policy", "no-vulnerable-image", "no-vulnerable-image", "", "")]
        ),
    ),
    "Netchecks, a history of one check": Case(
        ("netchecks",),
        [
            report(
                "http-check",
                [
                    result("dns", "fail", "netchecks", rule="lookup"),
                    result(
                        "dns", "pass", "netchecks", rule="lookup", timestamp={"seconds": AT + 600}
                    ),
                    result("dns", "fail", "netchecks", rule="other"),
                ],
            )
        ],
        Seen({}, [("shop", "", "", "dns", "other", "netchecks")]),
    ),
    "a native ValidatingAdmissionPolicy": Case(
        ("kyverno", "ValidatingAdmissionPolicy"),
        [
            report(
                "u-web",
                [
                    result(
                        "replicas",
                        "fail",
                        "ValidatingAdmissionPolicy",
                        rule="replicas",
                        properties={"binding": "replicas-everywhere"},
                    )
                ],
                scope=POD,
            )
        ],
        Seen(
            {"fail": 1},
            [("shop", "Pod", "web", "replicas", "replicas", "ValidatingAdmissionPolicy")],
        ),
    ),
    "several resources of a result": Case(
        ("kyverno",),
        [
            report(
                "mutate",
                [result("p", "fail", "kyverno", resources=[POD, CART])],
            ),
            report(
                "everywhere",
                [
                    result(
                        "p",
                        "fail",
                        "kyverno",
                        resources=[CART | {"namespace": "x"}, CART | {"namespace": "y"}],
                    )
                ],
                namespace="",
            ),
        ],
        Seen(
            {"fail": 4},
            [
                ("shop", "Deployment", "cart", "p", "", "kyverno"),
                ("shop", "Pod", "web", "p", "", "kyverno"),
                ("x", "Deployment", "cart", "p", "", "kyverno"),
                ("y", "Deployment", "cart", "p", "", "kyverno"),
            ],
        ),
    ),
    "reports that were cut": Case(
        ("kyverno",),
        [
            report("a", [result("p", "pass", "kyverno")], scope=POD, summary={"fail": 7}),
            report("b", [], scope=CART, source="kyverno", summary={"pass": 3, "fail": 2}),
        ],
        Seen({"fail": 2}, []),
    ),
    "a namespaced CEL policy of Kyverno 1.16": Case(
        ("kyverno", "Kyverno*"),
        [report("u-web", [result("shop/need-team", "fail", "kyverno")], scope=POD)],
        Seen(
            {"fail": 1},
            [("shop", "Pod", "web", "shop/need-team", "", "KyvernoValidatingPolicy")],
        ),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_serve_counts_what_the_engine_means(case: Case) -> None:
    assert by_serve(case.objects, case.sources) == case.seen


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_snapshot_counts_the_same(case: Case, tmp_path: Path, capsys: Text) -> None:
    body = "\n".join(map(json.dumps, case.objects))
    assert by_snapshot(body, tmp_path, capsys, case.sources) == case.seen


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_nothing_counts_of_an_engine_that_is_no_source(case: Case) -> None:
    assert by_serve(case.objects, ("another",)) == Seen({}, [])
