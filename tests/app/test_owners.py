"""Workloads from the metadata of Pods, ReplicaSets and Jobs, over HTTP."""

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from exporter.app.exporter import Exporter, options_of
from exporter.app.health import OutageLog, watched
from exporter.cli import main
from exporter.model.changes import Scope
from exporter.model.resource import (
    JOBS,
    NAMESPACES,
    OWNED_RESOURCES,
    PODS,
    POLICY_REPORTS,
    REPLICA_SETS,
    Resource,
)
from exporter.settings.file import ConfigFile, Plan, WorkloadSettings
from exporter.simulator.query import Form
from exporter.simulator.store import Object
from exporter.view.connection import connection
from exporter.watch.lists import ReflectorOptions
from tests.apiserver import Simulator
from tests.apiserver.faults import Answer, Hang
from tests.app.conftest import Beside
from tests.app.running import Cluster, Life, Samples, living, self_metrics, total
from tests.scale.living import FULL, Living, scraped
from tests.scale.test_shards import added_up
from tests.truth.states import report
from tests.virtual_time import virtual

pytestmark = pytest.mark.tier("simulator")

METADATA = WorkloadSettings("metadata")
EXACT = ConfigFile(birth_hold=0.0, workloads=METADATA)
FAILING = "policyreport_failing_workloads"
BY_NAME = "policyreport_resource_results"


def owned(resource: Resource, name: str, *owner: str) -> Object:
    """Write an object of the namespace shop; *owner* is kind, name and uid of its controller."""
    metadata: Object = {"name": name, "namespace": "shop", "uid": name}
    if owner:
        kind, owner_name, uid = owner
        reference = {"apiVersion": "example.org/v1", "kind": kind, "name": owner_name, "uid": uid}
        metadata["ownerReferences"] = [reference | {"controller": True}]
    head = {"apiVersion": resource.api_version, "kind": resource.kind}
    return head | {"metadata": metadata, "spec": {"secret": "not for the exporter"}}


ROLLOUT = (
    owned(REPLICA_SETS, "canary", "Rollout", "shop", "r"),
    owned(PODS, "p1", "ReplicaSet", "canary", "canary"),
    owned(PODS, "p2", "ReplicaSet", "canary", "canary"),
)


def fill(cluster: Cluster, *objects: Object) -> None:
    """Create objects, each with a report that says that it fails."""
    for each in objects:
        kind, name = each["kind"], each["metadata"]["name"]
        plural = {r.kind: r.name for r in OWNED_RESOURCES}[kind]
        cluster.store.create(plural, each)
        cluster.store.create(POLICY_REPORTS.name, report(name, "fail", kind=kind))


def workloads(samples: Samples) -> dict[str, tuple[str, str]]:
    """Give the workload of each failing object, and whether it is controlled, by its name."""
    return {
        series.label("name"): (
            f"{series.label('workload_kind')}/{series.label('workload')}",
            series.label("controlled"),
        )
        for series in samples
        if series.name == BY_NAME
    }


async def shows(life: Life, **wanted: tuple[str, str]) -> Samples:
    return await life.until(lambda samples: workloads(samples) == wanted)


async def test_a_workload_of_any_kind_is_found_and_followed() -> None:
    async with Cluster() as cluster, living(cluster, config=EXACT) as life:
        fill(cluster, *ROLLOUT)
        top = "Rollout/shop"
        found = await shows(life, canary=(top, "false"), p1=(top, "true"), p2=(top, "true"))
        assert total(found, FAILING, workload_kind="Rollout") == total(found, FAILING) == 1
        assert self_metrics(found, "objects", resource="pods") == 2
        cluster.store.replace(PODS.name, owned(PODS, "p2"))
        await shows(life, canary=(top, "false"), p1=(top, "true"), p2=("Pod/p2", "false"))
        for name in ("p1", "p2"):
            cluster.store.delete(POLICY_REPORTS.name, "shop", name)
            cluster.store.delete(PODS.name, "shop", name)
        fill(cluster, owned(PODS, "p1", "Workflow", "nightly", "w"))
        found = await shows(life, canary=(top, "false"), p1=("Workflow/nightly", "false"))
        assert self_metrics(found, "objects", resource="pods") == 1


class Noting(Simulator):
    """Notes in which form lists and watches of objects with owners are asked for."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.store)
        self.forms: set[str] = set()

    def _form(self, request: web.Request) -> Form:
        form = super()._form(request)
        if request.path.endswith(tuple(resource.plural for resource in OWNED_RESOURCES)):
            self.forms.add(form.name)
        return form


async def test_nothing_but_metadata_is_asked_for() -> None:
    cluster = Cluster()
    cluster.api = api = Noting(cluster)
    fill(cluster, *ROLLOUT)
    async with cluster, living(cluster, config=EXACT) as life:
        await life.ready()
    assert api.forms == {"Partial"}


async def test_by_default_nothing_of_the_kind_is_asked_for() -> None:
    cluster = Cluster()
    cluster.api = api = Noting(cluster)
    async with cluster, living(cluster) as life:
        await life.ready()
    assert not api.forms


async def test_where_it_is_refused_names_go_on_and_it_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Cluster() as cluster:
        for resource in OWNED_RESOURCES:
            cluster.api.faults.add(Answer(403), resource.name, times=None)
        name = "web-5d59d67564-bcdfg"
        async with living(cluster, config=EXACT) as life:
            fill(cluster, owned(PODS, name, "ReplicaSet", "web-5d59d67564", "x"))
            web = report("web", "fail", kind="Deployment")
            cluster.store.create(POLICY_REPORTS.name, web)
            await shows(
                life, **{name: ("Deployment/web", "true"), "web": ("Deployment/web", "false")}
            )
            samples = await life.ready()
            assert self_metrics(samples, "watch_up", resource="pods") == 0
            assert self_metrics(samples, "watch_up", resource="policyreports.wgpolicyk8s.io") == 1
            state = connection(watched(life.exporter.reflectors, life.exporter.state.objects()))
            assert state.state == "partial"
            assert state.message == (
                "Not readable: pods, replicasets.apps, jobs.batch; workloads are found by names"
            )
            caplog.clear()
            outages = OutageLog(life.exporter.reflectors, life.exporter.state, lambda: 1e9)
            outages.look()
            outages.look()
        refused = [r for r in caplog.records if "refused" in r.getMessage()]
        assert [vars(each)["resource"] for each in refused] == ["pods,replicasets.apps,jobs.batch"]


def test_a_snapshot_groups_by_the_same_workloads(
    beside: Beside, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = beside.world.store
    for each in ROLLOUT:
        name, kind = each["metadata"]["name"], each["kind"]
        beside.do(partial(store.create, {r.kind: r.name for r in OWNED_RESOURCES}[kind], each))
        written = report(name, "fail", kind=kind)
        beside.do(partial(store.create, POLICY_REPORTS.name, written))
    config = tmp_path / "config.yaml"
    config.write_text("workloads: {watch: metadata}\n")
    where = [f"--kubeconfig={beside.kubeconfig}", f"--config.file={config}", "--output=json"]
    main(["snapshot", *where, "--group-by=workload", "--count=objects", "--namespace=shop"])
    (line,) = json.loads(capsys.readouterr().out)["by_workload"]
    found = line["result"]
    assert (found["kind"], found["name"], line["objects"]) == ("Rollout", "shop", 3)


@virtual
async def test_reports_wait_for_owners_but_not_for_ever() -> None:
    async with Living() as cluster:
        cluster.api.faults.add(Hang(), PODS.name, "list")
        async with cluster.exporter(exact(FULL)) as exporter:
            await cluster.in_step(exporter)
            assert exporter.health.complete("reports")
            (samples,) = await scraped(exporter)
            assert total(samples, "policyreport_results")


def exact(config: ConfigFile) -> ConfigFile:
    return msgspec.structs.replace(config, workloads=METADATA)


def about_reports(samples: Samples) -> Samples:
    return {s: v for s, v in samples.items() if s.name.startswith("policyreport")}


async def same(*exporters: Exporter, of: Iterable[Exporter]) -> None:
    one, other = added_up(await scraped(*exporters)), added_up(await scraped(*of))
    assert about_reports(one) == about_reports(other) != {}
    assert total(one, BY_NAME, controlled="true")


@virtual
async def test_of_the_sample_cluster_metadata_show_what_names_show() -> None:
    async with (
        Living() as cluster,
        cluster.exporter(exact(FULL)) as one,
        cluster.exporter() as other,
    ):
        for _ in range(5):
            await cluster.advance(60, one, other)
            await same(one, of=[other])


@virtual
async def test_shards_show_the_same_workloads_and_list_their_own_namespaces() -> None:
    async with Living() as cluster, cluster.shards(2, exact(FULL)) as shards:
        async with cluster.exporter() as whole:
            await cluster.advance(120, whole, *shards)
            await same(*shards, of=[whole])
        known = [each.state.objects()[PODS.name] for each in shards]
        assert sum(known) == len(cluster.store.all(PODS.name))
        assert all(known)


def test_a_shard_lists_what_has_owners_in_its_own_namespaces() -> None:
    for resource in OWNED_RESOURCES:
        of_reports, of_owned = (
            options_of(Scope(r), 3, lambda _: True) for r in (POLICY_REPORTS, resource)
        )
        assert of_owned._replace(lists=of_reports.lists) == of_reports != ReflectorOptions()
        assert of_owned.lists is not ReflectorOptions().lists


def test_in_namespaces_only_these_are_followed() -> None:
    scopes = Plan(EXACT, ("a", "b")).scopes()
    mine = [(s.resource, s.namespace) for s in scopes if s.resource in OWNED_RESOURCES]
    assert mine == [(r, n) for r in (PODS, REPLICA_SETS, JOBS) for n in ("a", "b")]
    assert NAMESPACES not in {scope.resource for scope in scopes}
