"""Inputs that are easily read wrong, as a cluster that is served and as files in a snapshot."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from exporter.cli import main
from exporter.model.report import RESULTS, clip
from exporter.model.resource import (
    CEL_POLICIES,
    CLUSTER_POLICIES,
    CLUSTER_POLICY_REPORTS,
    POLICY_REPORTS,
    REPORT_RESOURCES,
    REPORTS,
)
from exporter.settings.file import ConfigFile
from exporter.state.selection import KYVERNO_SOURCES
from tests.alerts.rulebook import promtool
from tests.app.commands import ROOT
from tests.app.running import OWN, Cluster, Samples, Series, living, total
from tests.tools import tool

pytestmark = pytest.mark.tier("simulator")

Object = dict[str, Any]
NOW = int(time.time())
DAY = 86_400
V1ALPHA1 = POLICY_REPORTS._replace(version="v1alpha1")
NAMESPACED_CEL = CEL_POLICIES[1]._replace(version="v1beta1")
SERVED = (*REPORT_RESOURCES, V1ALPHA1, CLUSTER_POLICIES, NAMESPACED_CEL)
STORAGE = {(each.api_version, each.kind): each.name for each in SERVED}
NAMES = ("namespace", "kind", "name", "policy", "rule")
CLUSTER_REPORT = (CLUSTER_POLICY_REPORTS.api_version, CLUSTER_POLICY_REPORTS.kind)


class Expected(NamedTuple):
    """A family, some of its labels, and the sum of these series; None for no series at all."""

    family: str
    labels: dict[str, str]
    value: float | None


class Input(NamedTuple):
    """Objects, the sources that count, and what is right.

    ``results`` are all that count, including those of summaries that no result itemises;
    ``failing`` are namespace, kind, name, policy and rule; ``series`` only `serve` has. ``gate``
    is the status of ``--fail-on fail``, and ``reason`` is on its standard error. ``text`` is how
    files hold the objects where that is no list in JSON.
    """

    name: str
    objects: list[Object]
    results: dict[str, float]
    resources: dict[str, float]
    failing: list[tuple[str, ...]]
    gate: int
    reason: tuple[str, ...] = ()
    series: tuple[Expected, ...] = ()
    sources: tuple[str, ...] = KYVERNO_SOURCES
    text: str = ""


def result(policy: str, rule: str, word: str, source: str = "kyverno", **more: object) -> Object:
    return {"policy": policy, "rule": rule, "result": word, "source": source, **more}


def at(seconds: int) -> Object:
    return {"timestamp": {"seconds": seconds, "nanos": 0}}


def about(kind: str, name: str, namespace: str = "", **more: str) -> Object:
    where = {"namespace": namespace} if namespace else {}
    return {"kind": kind, "name": name, **where, **more}


def report(
    name: str,
    results: list[Object] | None,
    version: tuple[str, str] = (POLICY_REPORTS.api_version, POLICY_REPORTS.kind),
    **more: object,
) -> Object:
    metadata = {"name": name} if version == CLUSTER_REPORT else {"name": name, "namespace": "web"}
    head = {"apiVersion": version[0], "kind": version[1], "metadata": metadata}
    return {**head, "results": results, **more}


def pod(name: str) -> Object:
    return {"scope": about("Pod", name, "web", apiVersion="v1")}


def left_out(source: str, results: int, reason: str = "source") -> Expected:
    return Expected(f"{OWN}results_left_out", {"reason": reason, "source": source}, results)


def not_itemised(word: str, results: int) -> Expected:
    return Expected(f"{OWN}results_not_itemised", {"result": word}, results)


OLD = [
    {"policy": "limits", "rule": "cpu", "status": word, "resources": [about("Pod", name, "web")]}
    for word, name in (("pass", "a"), ("fail", "b"))
]
FALCO = [
    result("syscall", "Shell in a container", word, "Falco", timestamp={"seconds": 12, "nanos": 5},
           resources=[about("Pod", "a", "web")])
    for word in ("warn", "fail", "fail")
]  # fmt: skip
TWO_ENGINES = [
    report("5f1c", [result("limits", "cpu", "fail", severity="high", **at(NOW))],
           scope=about("Deployment", "cart", "web", uid="5f1c")),
    report("5f1c", [result("safe-labels", "", "pass", "kubewarden", **at(NOW + 1))],
           (REPORTS.api_version, REPORTS.kind), source="kubewarden",
           scope=about("Deployment", "cart", "web", uid="5f1c")),
]  # fmt: skip
PASS_AND_FAIL = [
    report(word, [result("limits", "cpu", word)], **pod(word), summary={word: 1})
    for word in ("pass", "fail")
]
LISTS: list[Object] = [
    {"apiVersion": "v1", "kind": "List", "items": [each]} for each in PASS_AND_FAIL
]
ONE_OF_TWO_FAILS: dict[str, Any] = {
    "results": {"pass": 1, "fail": 1},
    "resources": {"pass": 1, "fail": 1},
    "failing": [("web", "Pod", "fail", "limits", "cpu")],
    "gate": 1,
}
APPLIED = report(
    "merged",
    [
        result("limits", "cpu", word, resources=[about("Pod", word, "web")])
        for word in ("pass", "fail")
    ],
    CLUSTER_REPORT,
)
CUT = [
    report("long", [result("limits", "cpu", "pass")], **pod("a"), summary={"pass": 100, "fail": 7}),
    report("empty", [], **pod("b"), summary={"pass": 3, "fail": 2}),
    report("null", None, **pod("c"), summary={"pass": 0, "fail": 1}),
]
LONG = "1.2 The permissions of the file are as narrow as the benchmark asks for, " + "x" * 60
CONTROLS = [
    result(LONG + end, "Files", "fail", "Trivy Compliance", resources=[{"name": "web/pod-a"}])
    for end in (" (manual)", " (automatic)")
]
NAMESPACED_POLICY = {
    "apiVersion": NAMESPACED_CEL.api_version,
    "kind": NAMESPACED_CEL.kind,
    "metadata": {"name": "need-team", "namespace": "web"},
    "spec": {"validationActions": ["Audit"]},
}
CLUSTER_POLICY = {
    "apiVersion": CLUSTER_POLICIES.api_version,
    "kind": CLUSTER_POLICIES.kind,
    "metadata": {"name": "scanned"},
    "spec": {"rules": [{"name": "r", "validate": {}}]},
}
HISTORY = [
    result("dns", "lookup", "fail", "netchecks", **at(NOW - 600)),
    result("dns", "lookup", "pass", "netchecks", **at(NOW)),
]
STALE = [
    result("gone", "r", "fail", severity="high", **at(NOW - 60 * DAY)),
    result("scanned", "r", "pass", **at(NOW)),
]
BROKEN: list[Object] = [
    report("negative", [result("p", "r", "fail")], **pod("a"), summary={"fail": -1}),
    report("null", [result("p", "r", "fail")], **pod("b"), summary={"fail": None}),
    report("decimal", [result("p", "r", "fail")], **pod("c"), summary={"fail": 1.0}),
    report("text", [result("p", "r", "fail")], **pod("d"), summary={"fail": "1"}),
    report("nulls", [result("p", "r", "fail") | {"rule": None}], **pod("e")),
]
WORDS = report(
    "words",
    [result("p", f"r{n}", word) for n, word in enumerate(("Fail", "failed"))],
    **pod("a"),
    summary={"pass": 0, "fail": 2},
)
INPUTS = (
    Input("the oldest version, whose results have a status",
          [report("old", OLD, (V1ALPHA1.api_version, V1ALPHA1.kind))],
          {"pass": 1, "fail": 1}, {"pass": 1, "fail": 1}, [("web", "Pod", "b", "limits", "cpu")],
          1, sources=("",)),
    Input("the oldest version, whose results have no source",
          [report("old", OLD, (V1ALPHA1.api_version, V1ALPHA1.kind))], {}, {}, [],
          2, ("2 results without a source are left out",), (left_out("", 2),)),
    Input("what kyverno apply prints", [APPLIED], **ONE_OF_TWO_FAILS,
          text="\nApplying 1 policy rule(s) to 2 resource(s)...\n" + "-" * 70
          + "\nPOLICY REPORT:\n" + "-" * 70 + "\n" + yaml.safe_dump(APPLIED)),
    Input("an engine that is no source", [report("falco", FALCO)], {}, {}, [],
          2, ("3 results of source Falco are left out", 'add "Falco" to sources:'),
          (left_out("Falco", 3), Expected("policyreport_results", {}, None))),
    Input("two engines whose reports share a name", TWO_ENGINES,
          {"pass": 1, "fail": 1}, {"fail": 1}, [("web", "Deployment", "cart", "limits", "cpu")],
          1, sources=("kyverno", "kubewarden")),
    Input("two lists in JSON", PASS_AND_FAIL, **ONE_OF_TWO_FAILS,
          text="\n".join(json.dumps(each, indent=4) for each in LISTS)),
    Input("two lists in YAML without a line between them", PASS_AND_FAIL, **ONE_OF_TWO_FAILS,
          text="".join(yaml.safe_dump(each) for each in reversed(LISTS))),
    Input("results that were cut", CUT, {"pass": 103, "fail": 10}, {"fail": 3}, [],
          1, ("10 of them not itemised",), (not_itemised("fail", 10), not_itemised("pass", 102))),
    Input("resources without a kind, of policies with long names",
          [report("cis", CONTROLS, CLUSTER_REPORT)], {"fail": 2}, {"fail": 1},
          [("", "", "web/pod-a", clip(LONG + " (automatic)"), "Files"),
           ("", "", "web/pod-a", clip(LONG + " (manual)"), "Files")],
          1, sources=("Trivy Compliance",)),
    Input("a namespaced CEL policy under the source of another kind",
          [report("z", [result("web/need-team", "", "fail", severity="high")], **pod("z")),
           NAMESPACED_POLICY],
          {"fail": 1}, {"fail": 1}, [("web", "Pod", "z", "web/need-team", "")], 1, (),
          tuple(Expected(f"policyreport_{family}", {"source": "KyvernoValidatingPolicy"} | more, 1)
                for family, more in (("results", {"policy": "web/need-team", "result": "fail"}),
                                     ("policy_info", {"policy": "web/need-team"})))),
    Input("the history of a check", [report("dns", HISTORY)], {"pass": 1}, {}, [],
          0, sources=("netchecks",)),
    Input("results that name several resources",
          [report("several", [result("p", "r", "fail", resources=[
              about("Pod", name, "web") for name in "abc"])]),
           report("cluster", [result("p", "r", "fail", resources=[
               about("Pod", "a", "x"), about("Pod", "b", "y")])], CLUSTER_REPORT)],
          {"fail": 5}, {"fail": 5},
          [(namespace, "Pod", name, "p", "r") for namespace, name in
           (("web", "a"), ("web", "b"), ("web", "c"), ("x", "a"), ("y", "b"))], 1),
    Input("summaries that are no numbers", BROKEN, {}, {}, [], 3,
          ("PolicyReport web/negative: summary.fail: expected a whole number >= 0",
           "PolicyReport web/null: summary.fail: expected a whole number, got null",
           "PolicyReport web/decimal: summary.fail: expected a whole number, got a decimal number",
           "PolicyReport web/text: summary.fail: expected a whole number, got a string",
           "PolicyReport web/nulls: results[0].rule: expected a string, got null",
           "5 reports were skipped"),
          (Expected(f"{OWN}objects_skipped_total", {"resource": POLICY_REPORTS.name}, 5),)),
    Input("a result that no scan renews",
          [report("keda", STALE, scope=about("Deployment", "keda", "web", uid="keda")),
           CLUSTER_POLICY],
          {"pass": 1, "fail": 1}, {"fail": 1}, [("web", "Deployment", "keda", "gone", "r")],
          1, (),
          (Expected("policyreport_oldest_result_timestamp_seconds", {"policy": "gone"},
                    NOW - 60 * DAY),
           Expected("policyreport_oldest_result_timestamp_seconds", {"policy": "scanned"}, NOW),
           Expected("policyreport_policy_info", {"policy": "gone"}, None))),
    Input("words that are no result", [WORDS], {"fail": 2}, {"fail": 1}, [],
          1, ("2 results of source kyverno are skipped", "2 of them not itemised"),
          (left_out("kyverno", 2, "word"), not_itemised("fail", 2))),
)  # fmt: skip


class Counted(NamedTuple):
    """What a surface counts, as an input expects it."""

    results: dict[str, float]
    resources: dict[str, float]
    failing: list[tuple[str, ...]]


async def served(given: Input) -> Samples:
    """Scrape an exporter of an API server that has these objects."""
    async with Cluster() as cluster:
        for each in given.objects:
            if each["apiVersion"] == V1ALPHA1.api_version:
                cluster.api.unserve(POLICY_REPORTS)
                cluster.api.serve(V1ALPHA1)
            cluster.store.create(STORAGE[each["apiVersion"], each["kind"]], each)
        config = ConfigFile(sources=given.sources, birth_hold=0.0)
        async with living(cluster, config=config) as life:
            return await life.ready()


def by_word(samples: Samples, label: str, *families: str) -> dict[str, float]:
    sums = {w: sum(total(samples, f, **{label: w}) or 0 for f in families) for w in RESULTS}
    return {word: value for word, value in sums.items() if value}


def words(counts: dict[str, int]) -> dict[str, float]:
    return {word: count for word, count in counts.items() if count}


@pytest.mark.parametrize("given", INPUTS, ids=lambda given: given.name)
async def test_served_it_counts_for_what_it_is(given: Input) -> None:
    samples = await served(given)

    failing = [dict(s.labels) for s in samples if s.name == "policyreport_resource_results"]
    assert Counted(
        by_word(samples, "result", "policyreport_results", f"{OWN}results_not_itemised"),
        by_word(samples, "status", "policyreport_resources"),
        sorted(tuple(each[name] for name in NAMES) for each in failing),
    ) == Counted(given.results, given.resources, sorted(given.failing))
    for family, some, value in given.series:
        assert total(samples, family, **some) == value, (family, some)


@pytest.mark.parametrize("given", INPUTS, ids=lambda given: given.name)
def test_in_a_snapshot_it_counts_for_the_same(
    given: Input, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, file = tmp_path / "config.yaml", tmp_path / "objects"
    config.write_text(json.dumps({"sources": given.sources}))
    items = {"apiVersion": "v1", "kind": "List", "items": given.objects}
    file.write_text(given.text or json.dumps(items))

    flags = [f"--config.file={config}", "--output=json", "--fail-on=fail"]
    status = main(["snapshot", *flags, str(file)])

    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert Counted(
        words(found["results"]),
        words(found["resources"]),
        sorted(tuple(each[name] for name in NAMES) for each in found["failing"]),
    ) == Counted(given.results, given.resources, sorted(given.failing))
    assert status == given.gate
    assert [text for text in given.reason if text not in shown.err] == []


OLDEST = "policyreport_oldest_result_timestamp_seconds"
GONE = '{policy="gone", source="kyverno"}'
UNSCANNED = [
    report("old", [result("admitted", "r", "pass", **at(NOW - 60 * DAY))], **pod("a")),
    CLUSTER_POLICY | {"metadata": {"name": "admitted"}, "spec": {"background": False, "rules": []}},
]


@pytest.mark.tier("monitoring")
async def test_the_queries_of_the_docs_find_what_no_scan_renews(tmp_path: Path) -> None:
    stale = next(each for each in INPUTS if each.name == "a result that no scan renews")
    samples = await served(stale._replace(objects=[*stale.objects, *UNSCANNED]))
    page = (ROOT / "docs" / "engines.md").read_text().partition("## Results that no scan renews")[2]
    queries = page.partition("```promql\n")[2].partition("```")[0].split("\n\n")
    tests = {
        "interval": "1d",
        "input_series": [
            _input_series(each, value)
            for each, value in samples.items()
            if each.name.startswith("policyreport_") and not each.name.startswith(OWN)
        ],
        "promql_expr_test": [
            {"expr": query, "eval_time": "70d", "exp_samples": [{"labels": labels, "value": value}]}
            for query, labels, value in (
                (queries[0], GONE, 60 * DAY),
                (queries[1], f"{OLDEST}{GONE}", 10 * DAY),
            )
        ],
    }
    (tmp_path / "tests.yaml").write_text(
        json.dumps({"evaluation_interval": "1d", "tests": [tests]})
    )
    content, output = promtool(tool("promtool"), "test", "rules", "tests.yaml", at=tmp_path)
    assert content, output


def _input_series(series: Series, value: float) -> Object:
    """Write a sample for promtool, whose tests take place from 1970 on: now is day 70."""
    labels = ",".join(f"{name}={json.dumps(text)}" for name, text in series.labels)
    if series.name.endswith("_timestamp_seconds"):
        value -= NOW - 70 * DAY
    return {"series": f"{series.name}{{{labels}}}", "values": f"{value}+0x70"}
