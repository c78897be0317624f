"""Everything that the exporter reads from a real API server, as /metrics shows it."""

import json
import time
from collections.abc import Iterator
from functools import partial

import pytest
from kubernetes import client

from exporter.simulator import kyverno
from exporter.simulator.checks import BASELINE, LABELS, REGISTRIES, SampleCheck
from exporter.simulator.kyverno import ReportTarget
from exporter.simulator.policies import policy
from tests.app.running import EVENTS_TOTAL, Samples, self_metrics, summaries, total
from tests.cluster.harness import ControlPlane
from tests.cluster.objects import Object, Sums, as_open_report, namespace_report, pod_report, sums
from tests.cluster.running import SUMMARY, Running, exporter

pytestmark = pytest.mark.tier("cluster")

PLACES = {"PolicyReport": "policyreports", "Report": "reports"}
TEAM = {"birth_hold": 0, "labels": {"namespace_labels": ["team"]}}
INFO, READY = "policyreport_policy_info", "policyreport_policy_ready"
NAMESPACE_INFO = "policyreport_namespace_info"


@pytest.fixture(scope="module")
def running(cluster: ControlPlane) -> Iterator[Running]:
    with exporter(cluster.kubeconfig, config=TEAM) as process:
        yield process


@pytest.fixture
def objects(cluster: ControlPlane) -> Iterator[client.CustomObjectsApi]:
    with cluster.api() as api:
        yield client.CustomObjectsApi(api)


def place(report: Object) -> tuple[str, str, str, str]:
    group, version = report["apiVersion"].split("/")
    return group, version, report["metadata"]["namespace"], PLACES[report["kind"]]


def within(samples: Samples, namespace: str) -> Sums:
    """Pick the summaries of one namespace."""
    return Sums({key: n for key, n in summaries(samples).items() if key[0] == namespace})


def shows(running: Running, namespace: str, reports: list[Object]) -> None:
    """Wait until a namespace's summaries are those of the reports."""
    wanted = sums(reports)
    running.until(lambda s: within(s, namespace) == wanted, SUMMARY)


def test_reports_of_both_groups_are_added_up_and_followed(
    running: Running, objects: client.CustomObjectsApi, namespace: str
) -> None:
    old = pod_report(namespace, "old", LABELS.policy)
    new = as_open_report(pod_report(namespace, "new", BASELINE.policy, LABELS.policy))
    for report in (old, new):
        objects.create_namespaced_custom_object(*place(report), body=report)
    shows(running, namespace, [old, new])
    fixed = pod_report(namespace, "old")
    name = fixed["metadata"]["name"]
    objects.patch_namespaced_custom_object(*place(fixed), name=name, body=fixed)
    shows(running, namespace, [fixed, new])
    objects.delete_namespaced_custom_object(*place(new), name=new["metadata"]["name"])
    shows(running, namespace, [fixed])


def test_the_same_report_in_both_groups_counts_once(
    running: Running, cluster: ControlPlane, namespace: str
) -> None:
    both = pod_report(namespace, "both", LABELS.policy)
    after = pod_report(namespace, "after")
    cluster.apply([both, as_open_report(both), after, as_open_report(after)])
    shows(running, namespace, [both, after])
    cluster.kubectl("delete", "report", both["metadata"]["name"], "-n", namespace)
    family = "policyreport_reports"
    gone = running.until(
        lambda s: total(s, family, namespace=namespace, group="openreports.io") == 1,
        family,
        SUMMARY,
    )
    assert within(gone, namespace) == sums([both, after])


def test_a_report_on_a_cluster_wide_resource_has_no_namespace(
    running: Running, cluster: ControlPlane, namespace: str
) -> None:
    """The control plane is shared, and so are reports outside namespaces: count the difference."""

    def results(samples: Samples, word: str) -> float:
        return total(samples, SUMMARY, namespace="", kind="Namespace", result=word) or 0

    before = running.scrape()
    cluster.apply([namespace_report(namespace, LABELS.policy)])
    samples = running.until(lambda s: results(s, "fail") == results(before, "fail") + 1, SUMMARY)
    assert results(samples, "pass") == results(before, "pass") + 2


def test_who_fails_what_is_named(running: Running, cluster: ControlPlane, namespace: str) -> None:
    cluster.apply([pod_report(namespace, "web", REGISTRIES.policy)])
    family = "policyreport_resource_results"
    samples = running.until(lambda s: total(s, family, namespace=namespace), family)
    [series] = [series for series in samples if series.label("namespace") == namespace]
    assert (series.label("kind"), series.label("name")) == ("Pod", "web")
    assert (series.label("policy"), series.label("rule")) == (REGISTRIES.policy, REGISTRIES.rule)
    assert series.label("severity") == "medium"


def known_policy(
    running: Running, objects: client.CustomObjectsApi, check: SampleCheck, name: str
) -> SampleCheck:
    """Create a policy like another under a name of the test's own, and wait until it is seen."""
    own_check = check._replace(policy=name)
    body = policy(own_check)
    group, version = body["apiVersion"].split("/")
    objects.create_cluster_custom_object(group, version, "clusterpolicies", body=body)
    running.until(lambda s: total(s, INFO, policy=name), INFO)
    return own_check


def test_a_policy_is_told_with_its_mode_and_whether_it_is_ready(
    running: Running, objects: client.CustomObjectsApi, namespace: str
) -> None:
    check = known_policy(running, objects, BASELINE, namespace)
    samples = running.scrape(INFO)
    [series] = [s for s in samples if s.name == INFO and s.label("policy") == namespace]
    assert (series.label("mode"), series.label("severity")) == ("enforce", "high")
    status = {"status": policy(check)["status"]}
    at = ("kyverno.io", "v1", "clusterpolicies", namespace)
    objects.patch_cluster_custom_object_status(*at, body=status)
    running.until(lambda s: total(s, READY, policy=namespace) == 1, READY)


@pytest.mark.parametrize("blocked", [True, False], ids=["blocked", "allowed"])
def test_a_violation_is_counted_once_with_its_policys_severity(
    running: Running,
    cluster: ControlPlane,
    objects: client.CustomObjectsApi,
    namespace: str,
    blocked: bool,
) -> None:
    check = known_policy(running, objects, BASELINE, namespace)
    target = ReportTarget("Pod", namespace, "web", "uid-web")
    violation = kyverno.policy_event(check, target, time.time(), blocked=blocked)
    about_it = kyverno.resource_event(check, target, time.time())
    last = kyverno.policy_event(check, target, time.time(), blocked=blocked)
    cluster.apply([violation, about_it])
    cluster.apply([last])
    outcome = "blocked" if blocked else "allowed"
    samples = running.until(
        lambda s: (total(s, EVENTS_TOTAL, namespace=namespace) or 0) >= 2, EVENTS_TOTAL
    )
    [(series, count)] = [
        each
        for each in samples.items()
        if each[0].name == EVENTS_TOTAL and each[0].label("namespace") == namespace
    ]
    assert count == 2
    assert (series.label("outcome"), series.label("severity")) == (outcome, "high")
    assert (series.label("policy"), series.label("policy_kind")) == (namespace, "ClusterPolicy")


def test_labels_of_a_namespace_are_joined_and_follow_it(
    running: Running, cluster: ControlPlane, namespace: str
) -> None:
    cluster.apply([pod_report(namespace, "web")])
    for team in ("first", "second"):
        cluster.kubectl("label", "--overwrite", "namespace", namespace, f"team={team}")
        wanted = {(NAMESPACE_INFO, team), (SUMMARY, team)}
        running.until(partial(has_only, wanted, namespace), NAMESPACE_INFO, SUMMARY)


def has_only(wanted: set[tuple[str, str]], namespace: str, samples: Samples) -> bool:
    """Say whether the families of a namespace carry these teams."""
    found = [s for s in samples if s.label("namespace") == namespace]
    return {(s.name, s.label("team")) for s in found} == wanted


def test_the_sums_are_those_that_kubectl_prints(
    running: Running, cluster: ControlPlane, namespace: str
) -> None:
    cluster.apply([pod_report(namespace, f"web-{n}", LABELS.policy) for n in range(20)])
    shows(running, namespace, [pod_report(namespace, f"web-{n}", LABELS.policy) for n in range(20)])
    kinds = "policyreports,clusterpolicyreports,reports"
    listed = json.loads(cluster.kubectl("get", kinds, "-A", "-o", "json"))["items"]
    at_most_once = {(r["metadata"].get("namespace"), r["metadata"]["name"]): r for r in listed}
    assert summaries(running.scrape(SUMMARY)) == sums(at_most_once.values())


def test_everything_is_watched_and_nothing_listed_twice(
    running: Running, cluster: ControlPlane
) -> None:
    followed = len(running.states())
    samples = running.until(lambda s: self_metrics(s, "watch_up") == followed)
    assert set(running.states().values()) == {"watching"}
    assert self_metrics(samples, "synced") == self_metrics(samples, "served") == followed == 18
    assert self_metrics(samples, "relists_total") is None
    assert self_metrics(samples, "objects_skipped_total") is None


def test_what_resources_say_is_not_in_the_log(
    running: Running, cluster: ControlPlane, namespace: str
) -> None:
    report = pod_report(namespace, "secretive", BASELINE.policy)
    for result in report["results"]:
        result["message"] = "the password is hunter2"
    cluster.apply([report])
    shows(running, namespace, [report])
    assert "hunter2" not in running.process.log
    assert "listed" in running.process.log
