"""What breaks if a policy enforces: the snapshot's numbers are the dashboard's, by its queries."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.model.resource import CLUSTER_POLICIES, POLICY_REPORTS
from exporter.simulator import Store
from grafana.dashboards.variables import COUNTS
from tests.alerts.rulebook import Case, Query, Sample, TestFile, promtool, write
from tests.app.commands import serving
from tests.app.running import Samples, parse
from tests.grafana.boards import BOARDS, ROOT, runnable
from tests.tools import eventually, tool
from tests.truth.states import Object, State, bare, report
from tests.truth.test_states import InState, get, snapshot

pytestmark = [pytest.mark.tier("simulator"), pytest.mark.xdist_group("enforcement")]

VERDICTS = {"would block": 0, "ready": 1, "enforced": 2}
"""As the column shows them; a policy whose verdict is unknown has no row."""

POLICIES = {
    **dict.fromkeys(("passes", "fails", "breaks", "skips", "warns", "idle", "both"), "Audit"),
    **dict.fromkeys(("pods-fail", "pods-pass", "pods-too"), "Audit"),
    "blocks": "Enforce",
}
RESULTS = {
    ("shop", "Deployment", "web"): {
        "passes": "pass",
        "fails": "fail",
        "breaks": "error",
        "skips": "skip",
        "warns": "warn",
        "blocks": "fail",
        "both": "fail",
        "pods-too": "pass",
    },
    ("shop", "Pod", "web-5d59d67564-x7k2p"): {
        "passes": "pass",
        "fails": "fail",
        "pods-fail": "fail",
        "pods-pass": "pass",
        "pods-too": "fail",
    },
    ("shop", "Deployment", "api"): {"fails": "pass", "both": "error", "breaks": "pass"},
    ("carts", "Deployment", "cart"): {"fails": "fail", "both": "fail", "blocks": "pass"},
}


def fill(store: Store) -> None:
    """Write policies of each verdict; some are about nothing but Pods that a Deployment owns."""
    bare(store)
    for name, action in POLICIES.items():
        rules = [{"name": "r0", "validate": {"failureAction": action}}]
        kind, version = CLUSTER_POLICIES.kind, CLUSTER_POLICIES.api_version
        metadata = {"name": name}
        store.create(
            CLUSTER_POLICIES.name,
            {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": {"rules": rules}},
        )
    for (namespace, kind, name), words in RESULTS.items():
        item: Object = report(name, *words.values(), kind=kind)
        item["metadata"]["namespace"] = item["scope"]["namespace"] = namespace
        for result, policy in zip(item["results"], words, strict=True):
            result["policy"] = policy
        store.create(POLICY_REPORTS.name, item)


class Surfaces:
    """What a snapshot found of each policy, and what the exporter exposes at the same time."""

    def __init__(self, found: list[dict[str, Any]], exposed: str, count: str) -> None:
        self.found = {each["policy"]: each for each in found}
        self.samples = parse(exposed)
        self.count = count


@pytest.fixture(scope="module", params=[each.lower() for each in COUNTS])
def surfaces(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Surfaces]:
    directory = tmp_path_factory.mktemp("enforcement")
    beside = InState(directory, State("enforcement", "", "live", 1, "", fill))
    try:
        with serving(directory, beside.api.url) as command:
            eventually(lambda: get(f"{command.url}/-/ready")[0] == 200)
            access = f"--kubeconfig={beside.kubeconfig}"
            flags = ("--if-enforced=*", f"--count={request.param}", "--output=json")
            done = snapshot(directory, access, *flags)
            assert done.returncode == 1, done.stderr
            found = json.loads(done.stdout)["if_enforced"]
            yield Surfaces(found, get(f"{command.url}/metrics")[1], request.param)
    finally:
        beside.close()


def test_each_verdict_occurs(surfaces: Surfaces) -> None:
    verdicts = {name: surfaces.found[name]["verdict"] for name in POLICIES}
    assert verdicts == {
        **dict.fromkeys(("passes", "skips", "warns", "pods-pass"), "ready"),
        **dict.fromkeys(("fails", "breaks", "both", "pods-fail", "pods-too"), "would block"),
        "idle": "unknown",
        "blocks": "enforced",
    }


def expected(surfaces: Surfaces) -> list[tuple[int, dict[str, float]]]:
    """Give what queries of the table have to return, by their place, from the snapshot."""

    def places(word: str, *of: str) -> dict[str, float]:
        """Count the workloads of each policy that have a result, or their namespaces."""
        found = {
            policy: {
                tuple(one[name] for name in of)
                for one in each["workloads"]
                if word in one["results"]
            }
            for policy, each in surfaces.found.items()
        }
        return {policy: len(each) for policy, each in found.items() if each}

    workloads = places("fail", "namespace", "kind", "name")
    objects = {policy: each["failing"] for policy, each in surfaces.found.items()}
    failing = {
        "workloads": workloads,
        "objects": {policy: number for policy, number in objects.items() if number},
    }
    verdicts = {policy: each["verdict"] for policy, each in surfaces.found.items()}
    return [
        (2, {policy: VERDICTS[word] for policy, word in verdicts.items() if word in VERDICTS}),
        (3, failing[surfaces.count]),
        (4, places("fail", "namespace")),
        (5, places("error", "namespace", "kind", "name")),
    ]


@pytest.mark.tier("monitoring")
def test_the_dashboards_queries_give_the_same_numbers(surfaces: Surfaces, tmp_path: Path) -> None:
    [panel] = [
        each
        for each in BOARDS["policy-policy.json"].all_panels()
        if each.title == "Which policies can be enforced?"
    ]
    every = dict.fromkeys(("cluster", "team", "namespace", "source", "policy"), ".*")
    queries = []
    for at, numbers in expected(surfaces):
        count = COUNTS[surfaces.count.title()]
        expr = runnable(panel.targets[at].expr, count=count, **every)
        is_verdict = at == 2
        samples = [Sample(f'{{policy="{name}"}}', number) for name, number in numbers.items()]
        asked = f"sum by (policy) ({expr})" + ("" if is_verdict else " > 0")
        queries.append(Query(asked, "5m", samples))
    case = Case("enforcement", "1m", rows(surfaces.samples), promql_expr_test=queries)
    rules = str(ROOT / "alerts/recording.rules.yaml")
    write(tmp_path / "tests.yaml", TestFile([rules], "1m", [case]))
    content, output = promtool(tool("promtool"), "test", "rules", "tests.yaml", at=tmp_path)
    assert content, output


def rows(samples: Samples) -> list[dict[str, str]]:
    """Write what was scraped as the input of a promtool test."""
    names = ("policyreport_results", "policyreport_failing_workloads", "policyreport_policy_info")
    return [
        {"series": f"{series.name}{{{labels}}}", "values": f"{value}+0x10"}
        for series, value in samples.items()
        if series.name in names
        for labels in [",".join(f"{k}={json.dumps(v)}" for k, v in series.labels)]
    ]
