"""Dashboards count a workload once, and count it when only its Pods fail."""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from grafana.dashboards.variables import COUNTS
from grafana.render.queries import Window, filled, values
from tests.grafana.boards import BOARDS, ROOT
from tests.tools import tool

pytestmark = pytest.mark.tier("monitoring")

WINDOW: Final = Window(end=600.0, seconds=300.0, step=60.0, scrape=15.0)
# Two policies match only Pods: those of the Deployment `web`, which is never judged itself, fail
# one and pass the other. The third fails on everything that the Deployment `api` is made of, and on
# a Pod that nothing owns.
PODS_ONLY: Final = {"policy": "pods-only", "rule": "host", "severity": "critical"}
PODS_PASS: Final = {"policy": "pods-pass", "rule": "port", "severity": "high"}
AUTOGEN: Final = {"policy": "autogen", "rule": "tag", "severity": "low"}
OBJECTS: Final = (
    (PODS_ONLY, "Pod", "web-5d59d67564-8x7kq", "Deployment", "web"),
    (PODS_ONLY, "Pod", "web-5d59d67564-zl2tn", "Deployment", "web"),
    (AUTOGEN, "Deployment", "api", "Deployment", "api"),
    (AUTOGEN, "ReplicaSet", "api-757dbcfcf7", "Deployment", "api"),
    (AUTOGEN, "Pod", "api-757dbcfcf7-x2kvl", "Deployment", "api"),
    (AUTOGEN, "Pod", "debug", "Pod", "debug"),
)


def exposed() -> dict[str, int]:
    """Return what the exporter shows of these objects, by series."""
    common = {"cluster": "eu", "namespace": "shop", "team": "t", "source": "kyverno"}
    found: dict[str, int] = {}
    failing: dict[str, set[str]] = {}

    def add(family: str, count: int, labels: dict[str, str]) -> str:
        pairs = ",".join(f'{name}="{value}"' for name, value in sorted((common | labels).items()))
        series = f"{family}{{{pairs}}}"
        found[series] = found.get(series, 0) + count
        return series

    for checked, kind, name, workload_kind, workload in OBJECTS:
        object_ = checked | {"kind": kind, "controlled": str(name != workload).lower()}
        owner = {"workload_kind": workload_kind, "workload": workload}
        add("policyreport_results", 1, object_ | {"result": "fail"})
        add("policyreport_results", 0, object_ | {"result": "pass"})
        add("policyreport_resource_results", 1, object_ | owner | {"name": name, "result": "fail"})
        of_policy = {key: checked[key] for key in ("policy", "severity")}
        of_policy |= {"workload_kind": workload_kind, "result": "fail"}
        failing.setdefault(add("policyreport_failing_workloads", 0, of_policy), set()).add(workload)
    for checked in (PODS_ONLY, PODS_PASS, AUTOGEN):
        info = {"policy": checked["policy"], "mode": "audit", "title": "A policy"}
        add("policyreport_policy_info", 1, info)
    of_pods = PODS_PASS | {"kind": "Pod", "controlled": "true"}
    add("policyreport_results", 2, of_pods | {"result": "pass"})
    add("policyreport_results", 0, of_pods | {"result": "fail"})
    for checked in (PODS_ONLY, AUTOGEN):
        since = {key: checked[key] for key in ("policy", "severity")}
        add("policyreport_oldest_failure_timestamp_seconds", 60, since)
    return found | {series: len(workloads) for series, workloads in failing.items()}


def query(board: str, title: str, ref: str = "A", **chosen: str) -> str:
    """Return a panel's query as Grafana sends it."""
    found = BOARDS[f"policy-{board}.json"]
    (panel,) = [panel for panel in found.all_panels() if panel.title == title]
    (target,) = [target for target in panel.targets if target.ref_id == ref]
    return filled(target.expr, values(list(found.templating.list), chosen), WINDOW)


def by(labels: str, expr: str) -> str:
    return f"sum by ({labels}) ({expr})"


EXPECTED: Final = {
    "every workload is listed once for a policy, with its objects": (
        by("workload_kind, workload, policy", query("namespace", "Which workloads fail?")),
        {
            '{policy="pods-only",workload_kind="Deployment",workload="web"}': 2,
            '{policy="autogen",workload_kind="Deployment",workload="api"}': 3,
            '{policy="autogen",workload_kind="Pod",workload="debug"}': 1,
        },
    ),
    "policies to fix first": (
        by("policy", query("namespace", "Failing policies, most severe first")),
        {'{policy="pods-only"}': 1, '{policy="autogen"}': 2},
    ),
    "and since when they fail": (
        by("policy", query("namespace", "Failing policies, most severe first", "B")),
        {'{policy="pods-only"}': 540, '{policy="autogen"}': 540},
    ),
    "what would be blocked": (
        by("policy", query("namespace", "What would be blocked if enforced?")),
        {'{policy="pods-only"}': 1, '{policy="autogen"}': 2},
    ),
    "critical workloads of a namespace": (query("namespace", "Critical"), {"{}": 1}),
    "critical or high ones of a cluster": (query("overview", "Critical or high"), {"{}": 1}),
    "critical ones of a fleet": (
        query("fleet", "Clusters", "E"),
        {'{cluster="eu"}': 1},
    ),
    "failing workloads of a namespace": (
        by("namespace", query("overview", "Which namespaces need work?", "B")),
        {'{namespace="shop"}': 3},
    ),
    "failing workloads of a team": (
        by("owner", query("overview", "Which teams need help?", "B")),
        {'{owner="t"}': 3},
    ),
    "policies that fail most": (
        by("policy", query("overview", "Which policies fail most?")),
        {'{policy="pods-only"}': 1, '{policy="autogen"}': 2},
    ),
    "only the policy that nothing fails can enforce": (
        by("policy", query("policy", "Which policies can be enforced?", "C")),
        {'{policy="pods-only"}': 0, '{policy="pods-pass"}': 1, '{policy="autogen"}': 0},
    ),
    "workloads of a policy": (
        by("policy", query("policy", "Which policies can be enforced?", "D")),
        {'{policy="pods-only"}': 1, '{policy="pods-pass"}': 0, '{policy="autogen"}': 2},
    ),
    "objects of a policy, if asked for": (
        by(
            "policy",
            query("policy", "Which policies can be enforced?", "D", count=COUNTS["Objects"]),
        ),
        {'{policy="pods-only"}': 2, '{policy="pods-pass"}': 0, '{policy="autogen"}': 4},
    ),
    "workloads that fail a rule": (
        query("policy", "Failing workloads by rule"),
        {'{policy="pods-only",rule="host"}': 1, '{policy="autogen",rule="tag"}': 2},
    ),
    "kinds of workloads": (
        query("policy", "Failing by kind"),
        {'{workload_kind="Deployment"}': 2, '{workload_kind="Pod"}': 1},
    ),
    "namespaces of a policy": (
        query("policy", "Namespaces failing, by policy"),
        {'{policy="pods-only"}': 1, '{policy="autogen"}': 1},
    ),
    "checks that compliance counts are those of uncontrolled objects": (
        query("overview", "Failing checks"),
        {"{}": 2},
    ),
}


@pytest.mark.parametrize("program", ["promtool", "promtool3"])
def test_each_number_counts_workloads(program: str, tmp_path: Path) -> None:
    series = [{"series": name, "values": f"{value}x20"} for name, value in exposed().items()]
    cases = [
        {
            "name": claim,
            "interval": "1m",
            "input_series": series,
            "promql_expr_test": [
                {
                    "expr": expr,
                    "eval_time": "10m",
                    "exp_samples": [{"labels": k, "value": v} for k, v in samples.items()],
                }
            ],
        }
        for claim, (expr, samples) in EXPECTED.items()
    ]
    rules = str(ROOT / "alerts/recording.rules.yaml")
    suite = {"rule_files": [rules], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "suite.yaml").write_text(json.dumps(suite), encoding="utf-8")
    argv = [str(tool(program)), "test", "rules", str(tmp_path / "suite.yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
