"""The states of a cluster, each as an API server in that state, and what must be reported of it.

This table is the promise to users: docs/states.md is generated from it.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from exporter.model.resource import (
    CLUSTER_POLICY_REPORTS,
    CLUSTER_REPORTS,
    EVENTS,
    OWNED_RESOURCES,
    POLICY_REPORTS,
    REPORT_RESOURCES,
    REPORTS,
)
from exporter.simulator import Store
from exporter.simulator.checks import CHECKS
from exporter.simulator.kyverno import ReportTarget
from exporter.simulator.sample import sample
from exporter.simulator.world import World
from tests.apiserver import Simulator
from tests.apiserver.faults import Answer

Object = dict[str, Any]
Prepare = Callable[[Simulator], None]


class State(NamedTuple):
    """One row of the table.

    ``fill`` writes the cluster's objects, ``prepare`` breaks the API server before the exporter
    starts, ``lose`` says that it goes away once the exporter is ready. What is expected: the API's
    ``connection.state``, whether there are numbers, the HTTP status of ``/-/ready``, texts of the
    page, of ``/-/ready``, of metrics and of the log, the status of ``snapshot --fail-on fail``, its
    reason on standard error, and texts on standard output.
    """

    number: str
    title: str
    connection: str
    gate: int
    reason: str
    fill: Callable[[Store], None]
    counted: bool = True
    ready: int = 200
    page: tuple[str, ...] = ()
    readiness: str = ""
    metrics: tuple[str, ...] = ()
    log: str = ""
    prepare: Prepare = lambda _: None
    lose: bool = False
    flags: tuple[str, ...] = ()
    gate_flags: tuple[str, ...] = ()
    config: str = ""
    alerts: tuple[str, ...] = ()
    pushed: tuple[str, ...] = ()
    snapshot: tuple[str, ...] = ()


def whole(store: Store) -> None:
    """Write the sample cluster."""
    sample(store)


def bare(store: Store) -> World:
    """Write policies and namespaces, and no report."""
    world = World(store, CHECKS)
    for check in CHECKS:
        if check.ready:
            world.add_policy(check)
    for name in ("kube-system", "default", "shop"):
        world.add_namespace(name, {"team": name})
    return world


def many_blocks(store: Store) -> None:
    """Write 150 requests that were refused within the last hour, and nothing that fails."""
    world = bare(store)
    enforced = next(check for check in CHECKS if check.ready and check.action == "Enforce")
    for number in range(150):
        target = ReportTarget("Pod", "default", f"pod-{number}", store.uid())
        world.block(enforced, target, time.time() - 60)
    store.create(POLICY_REPORTS.name, report("a", "pass"))


def other_teams(store: Store) -> None:
    """Write what passes in one namespace, and what fails beside it and in the cluster."""
    bare(store)
    store.create(POLICY_REPORTS.name, report("a", "pass"))
    beside = report("b", "fail")
    beside["metadata"]["namespace"] = beside["scope"]["namespace"] = "default"
    store.create(POLICY_REPORTS.name, beside)


def empty(store: Store) -> None:
    bare(store)


def report(
    name: str, *words: str, source: str = "kyverno", kind: str = "Pod", **more: object
) -> Object:
    """Write a report with one result for each word."""
    now = int(time.time())
    results = [
        {"policy": "p", "rule": f"r{n}", "result": word, "source": source} | _stamp(now)
        for n, word in enumerate(words)
    ]
    return {
        "apiVersion": POLICY_REPORTS.api_version,
        "kind": POLICY_REPORTS.kind,
        "metadata": {"name": name, "namespace": "shop"},
        "scope": {"kind": kind, "name": name, "namespace": "shop", "uid": name},
        "results": results,
        **more,
    }


def _stamp(seconds: int) -> Object:
    return {"timestamp": {"seconds": seconds, "nanos": 0}}


def only(*reports: Object) -> Callable[[Store], None]:
    """Write a cluster with these reports."""

    def fill(store: Store) -> None:
        bare(store)
        for each in reports:
            store.create(POLICY_REPORTS.name, each)

    return fill


def answer(status: int, *resources: str) -> Prepare:
    """Let the API server give this status, for these resources or for everything."""

    def prepare(api: Simulator) -> None:
        for resource in resources or ("*",):
            api.faults.add(Answer(status, _MESSAGES[status]), resource, times=None)

    return prepare


_MESSAGES = {401: "Unauthorized", 403: "is forbidden", 404: "404 page not found"}


def no_report_api(api: Simulator) -> None:
    for resource in REPORT_RESOURCES:
        api.unserve(resource)


def nothing(api: Simulator) -> None:
    """Be there, whole."""
    del api


def gone(api: Simulator) -> None:
    """Never be there: the runner stops this server before the exporter starts."""
    del api


ALL_REPORTS = tuple(each.name for each in REPORT_RESOURCES)
OLD = report("a", "pass") | {
    "results": [{"policy": "p", "result": "pass", "source": "kyverno"} | _stamp(1_700_000_000)]
}

STATES = (
    State(
        "T1",
        "The API server was never reached",
        "unreachable",
        3,
        "connection refused",
        empty,
        counted=False,
        ready=503,
        page=("Not connected to the API server since ", "connection refused", "Not known yet."),
        readiness="connection refused",
        metrics=("policyreport_exporter_watch_up", "policyreport_exporter_synced"),
        log="connection refused",
        prepare=gone,
        alerts=("PolicyExporterWatchBroken",),
    ),
    State(
        "T2",
        "The credentials are refused (401)",
        "refused",
        3,
        "the credentials are refused; log in again, or check the token",
        whole,
        counted=False,
        ready=503,
        page=("Credentials are refused for list and watch of policyreports", "Not known yet."),
        readiness="Credentials are refused",
        log="credentials or permissions refused",
        prepare=answer(401),
        alerts=("PolicyExporterWatchBroken",),
    ),
    State(
        "T2b",
        "Every kind of report is forbidden (403)",
        "refused",
        3,
        "grant list on clusterpolicyreports.wgpolicyk8s.io with a ClusterRole",
        whole,
        counted=False,
        ready=503,
        page=("Permission is refused for list and watch of policyreports", "Not known yet."),
        readiness="Permission is refused",
        log="credentials or permissions refused",
        prepare=answer(403, *ALL_REPORTS),
        alerts=("PolicyExporterWatchBroken", "PolicyNotReady", "PolicyRequestBlocked"),
        pushed=("PolicyBlocked",),
    ),
    State(
        "T3",
        "Some kinds are forbidden (403), including a kind of report",
        "partial",
        3,
        "clusterpolicyreports.wgpolicyk8s.io cannot be read",
        only(report("a", "pass")),
        page=("Not readable: clusterpolicyreports.wgpolicyk8s.io, clusterreports.openreports.io",),
        log="credentials or permissions refused",
        prepare=answer(403, CLUSTER_POLICY_REPORTS.name, CLUSTER_REPORTS.name),
        alerts=("PolicyExporterWatchBroken",),
    ),
    State(
        "T4",
        "No policy report API is served",
        "no report api",
        3,
        "No policy report API is served by this cluster",
        whole,
        counted=False,
        page=(
            "No policy report API is served by this cluster",
            "Install Kyverno or another engine that writes policy reports",
            "Not known yet.",
        ),
        log="no policy report API is served by this cluster",
        prepare=no_report_api,
        alerts=("PolicyNotReady", "PolicyReportsMissing", "PolicyRequestBlocked"),
        pushed=("PolicyBlocked",),
    ),
    State(
        "T5",
        "The server serves no API: the path is wrong, or it is no API server",
        "not kubernetes",
        3,
        "not a Kubernetes API server, or a wrong path",
        whole,
        counted=False,
        ready=503,
        page=("Not a Kubernetes API server, or a wrong path", "Not known yet."),
        readiness="Not a Kubernetes API server",
        log="not a Kubernetes API server, or a wrong path",
        prepare=answer(404),
    ),
    State(
        "T6",
        "Connected once, then lost",
        "lost",
        3,
        "connection refused",
        only(report("a", "pass")),
        page=(
            "Not connected to the API server since ",
            "The numbers below are from ",
            "No failing checks among the 1 that are known.",
        ),
        metrics=("policyreport_results{", 'policyreport_exporter_watch_up{resource="events'),
        log="not watched",
        lose=True,
        alerts=("PolicyExporterWatchBroken",),
    ),
    State(
        "T6b",
        "Connected once, then lost, while something fails",
        "lost",
        3,
        "connection refused",
        only(report("a", "fail")),
        page=("Not connected to the API server since ", "The numbers below are from "),
        metrics=("policyreport_results{",),
        log="not watched",
        lose=True,
        alerts=("PolicyExporterWatchBroken",),
        pushed=("PolicyViolation",),
    ),
    State(
        "T7",
        "One kind cannot be watched, the others can",
        "partial",
        0,
        "",
        only(report("a", "pass")),
        page=("Not readable: events.events.k8s.io", "requests blocked: Events are not known"),
        log="credentials or permissions refused",
        prepare=answer(403, EVENTS.name),
        alerts=("PolicyExporterWatchBroken",),
    ),
    State(
        "T7b",
        "`workloads.watch: metadata` is set, and the metadata cannot be read",
        "partial",
        0,
        "",
        only(report("a", "pass")),
        page=("Not readable: pods, replicasets.apps, jobs.batch; workloads are found by names",),
        metrics=("policyreport_results{", 'policyreport_exporter_watch_up{resource="pods"} 0\n'),
        log="credentials or permissions refused",
        prepare=answer(403, *(each.name for each in OWNED_RESOURCES)),
        config="workloads: {watch: metadata}\n",
        alerts=("PolicyExporterWatchBroken",),
    ),
    State(
        "T8",
        "Connected, but there are no reports",
        "live",
        2,
        "No policy reports found",
        empty,
        page=("No policy reports found", "Is the background scan on"),
        alerts=("PolicyReportsMissing",),
    ),
    State(
        "T9",
        "All reports are from sources that do not count",
        "live",
        2,
        '2 results of source Falco are left out; to count them, add "Falco" to sources:',
        only(report("a", "fail", "warn", source="Falco")),
        page=("2 results of source Falco are left out; to count them, add",),
        metrics=('policyreport_exporter_results_left_out{reason="source",source="Falco"} 2\n',),
        log="results are left out",
    ),
    State(
        "T10",
        "A filter or flag matches nothing",
        "live",
        2,
        "--policy requier-labels: no report and no policy matches",
        only(report("a", "fail")),
        gate_flags=("--policy=requier-labels",),
        pushed=("PolicyViolation",),
    ),
    State(
        "T10b",
        "`--namespace` names a namespace that does not exist",
        "live",
        2,
        "--namespace shopp: there is no such namespace",
        only(report("a", "pass")),
        gate_flags=("--namespace=shopp", "--namespace=shop"),
    ),
    State(
        "T11",
        "Reports are malformed",
        "live",
        3,
        "1 report was skipped, first: PolicyReport shop/bad: results[0].policy",
        only(report("a", "pass"), report("bad") | {"results": [{"policy": 7}]}),
        page=(
            "policyreports.wgpolicyk8s.io: objects skipped 1 time (malformed).",
            "No failing checks among the 1 that are known.",
        ),
        metrics=(
            (
                "policyreport_exporter_objects_skipped_total"
                '{resource="policyreports.wgpolicyk8s.io",reason="malformed"} 1\n'
            ),
        ),
        log="skipped: PolicyReport shop/bad",
        alerts=("PolicyExporterDataIncomplete",),
    ),
    State(
        "T12",
        "Results were cut or are absent, and the summary counts failures",
        "live",
        1,
        "7 of them not itemised",
        only(report("a", "pass", summary={"pass": 1, "fail": 7})),
        page=(
            "Not itemised: 7 failing results in summaries.",
            "The reports do not list the 7 failing checks.",
            "12.5 %",
        ),
        metrics=('policyreport_exporter_results_not_itemised{result="fail"} 7\n',),
    ),
    State(
        "T13",
        "A result has an unknown value",
        "live",
        3,
        "2 results of source kyverno are skipped: not pass, fail, warn, error or skip",
        only(report("a", "pass", "Fail", "failed")),
        page=("2 results of source kyverno are skipped",),
        metrics=('policyreport_exporter_results_left_out{reason="word",source="kyverno"} 2\n',),
        log="results are left out",
    ),
    State(
        "T14",
        "More requests are blocked than the list shows",
        "live",
        0,
        "",
        many_blocks,
        page=("at least 100 requests blocked in the last hour",),
        alerts=("PolicyRequestBlocked",),
        pushed=("PolicyBlocked",),
    ),
    State(
        "T15",
        "All results are older than a day",
        "live",
        0,
        "",
        only(OLD),
        page=("Old results: the newest is from ",),
        metrics=("policyreport_newest_result_timestamp_seconds{",),
        alerts=("PolicyReportsStale",),
        snapshot=("No scan has renewed some results of 1 policy for a day: ",),
    ),
    State(
        "T16",
        "Everything was read, and nothing fails",
        "live",
        0,
        "",
        only(report("a", "pass", "pass", "skip"), report("b", "pass")),
        page=("No failing checks in 3 checks of 2 resources.", "100.0 %"),
    ),
    State(
        "T17b",
        "Only some namespaces are read",
        "live",
        0,
        "",
        other_teams,
        page=(
            "Only the namespace shop is read",
            "No failing checks in 1 check of 1 resource.",
        ),
        flags=("--namespace=shop",),
        gate_flags=("--namespace=shop",),
    ),
    State(
        "T17c",
        "This process is one of several shards",
        "live",
        1,
        "",
        other_teams,
        page=("Only shard 0 of 3. The other shards' pages show the other namespaces.",),
        flags=("--shard=0/3",),
    ),
    State(
        "T17",
        "Only summaries are read",
        "live",
        1,
        "failing results in summaries",
        whole,
        page=("Not read: reports.detail is summary.", "severities are not read"),
        config="reports: {detail: summary}\n",
        alerts=("PolicyNotReady", "PolicyRequestBlocked"),
        pushed=("PolicyBlocked",),
    ),
)
assert REPORTS.name in ALL_REPORTS
