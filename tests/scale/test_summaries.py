"""Summary mode: from the rows that kubectl prints, the same sums as from whole reports."""

import logging
import time
from asyncio import sleep
from functools import partial

import pytest
from aiohttp import web

from exporter.app.exporter import Exporter
from exporter.app.status import About, BlockFeed, LiveStatus
from exporter.errors import Malformed
from exporter.kube.client import KubeClient, Request
from exporter.kube.credentials import Anonymous
from exporter.kube.source import KubeSource
from exporter.model.resource import POLICY_REPORTS, REPORT_RESOURCES, REPORTS, Resource
from exporter.settings.file import FROM_RESULTS, ConfigFile, ReportSettings
from exporter.simulator.registry import REGISTRY, Registry
from exporter.state.selection import KYVERNO_SOURCES
from exporter.view.values import Query
from exporter.wire.table import ACCEPT
from tests.app.running import Cluster, Samples, body, living, self_metrics, total
from tests.kube.serving import json, serving
from tests.scale.living import FULL, SUMMARY, Living, scraped
from tests.virtual_time import virtual
from tests.watch.recording import Counts

pytestmark = pytest.mark.tier("simulator")


def without_results(samples: Samples) -> Samples:
    return {series: v for series, v in samples.items() if series.name not in FROM_RESULTS}


async def compare(full: Exporter, summary: Exporter) -> None:
    """See that nothing is missing but what only results can tell, and nothing is different."""
    whole, rows = await scraped(full, summary)
    assert {series.name for series in whole} >= FROM_RESULTS
    assert rows == without_results(whole)
    assert "policyreport_summary" in {series.name for series in rows}


@virtual
async def test_sums_are_the_same_and_stay_the_same_while_the_cluster_lives() -> None:
    async with (
        Living() as cluster,
        cluster.exporter(FULL) as full,
        cluster.exporter(SUMMARY) as summary,
    ):
        await cluster.in_step(full, summary)
        for _ in range(12):
            await cluster.advance(100, full, summary)
            await compare(full, summary)
        assert not summary.state.ledger.totals.results


@pytest.mark.parametrize("watch_list", [True, False], ids=["streamed", "by pages"])
@virtual
async def test_long_lists_of_rows(watch_list: bool) -> None:
    async with Living(watch_list=watch_list) as cluster:
        cluster.fill(600, namespaces=40)
        async with cluster.exporter(FULL) as full, cluster.exporter(SUMMARY) as summary:
            await cluster.in_step(full, summary)
            await compare(full, summary)
            await cluster.advance(60, full, summary)
            await compare(full, summary)


@virtual
async def test_what_only_results_tell_is_absent_rather_than_empty() -> None:
    async with Living() as cluster, cluster.exporter(SUMMARY) as summary:
        await cluster.in_step(summary)
        text = (await body(summary)).decode()
    assert "# TYPE policyreport_summary gauge" in text
    assert not [name for name in FROM_RESULTS if f"# TYPE {name} " in text]


@virtual
async def test_the_status_page_sums_summaries_up_and_says_what_it_does_not_know() -> None:
    async with (
        Living() as cluster,
        cluster.exporter(FULL) as full,
        cluster.exporter(SUMMARY) as summary,
    ):
        await cluster.in_step(full, summary)
        whole, rows = (LiveStatus(each, BlockFeed(), About("c", 0.0)) for each in (full, summary))
        page = await rows.failing(Query())
        await whole.failing(Query())
        known, seen = whole.overview(10), rows.overview(10)
    assert seen.results == known.results
    assert seen.namespaces == known.namespaces
    assert (seen.policies, seen.failing_by_severity) == (None, None)
    assert (page.rows, page.matching) == ((), None)


@virtual
async def test_columns_are_known_after_a_reconnect() -> None:
    async with (
        Living() as cluster,
        cluster.exporter(FULL) as full,
        cluster.exporter(SUMMARY) as summary,
    ):
        await cluster.in_step(full, summary)
        port = int(cluster.api.url.rpartition(":")[2])
        await cluster.api.stop()
        cluster.scenario.advance(60)
        await cluster.api.start(port=port)
        await cluster.advance(60, full, summary)
        await compare(full, summary)


@virtual
async def test_a_crd_without_columns_is_named_and_nothing_is_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = tuple(
        each._replace(columns=each.columns[-1:]) if each.resource in REPORT_RESOURCES else each
        for each in REGISTRY
    )
    async with Living(Registry(plain)) as cluster, cluster.exporter(SUMMARY) as summary:
        await sleep(300)
        [shown] = await scraped(summary)
        assert not any(series.name == "policyreport_summary" for series in shown)
        assert not summary.health.ready()[0]
    said = [vars(r) for r in caplog.records if r.levelno >= logging.WARNING]
    named = [each["error"] for each in said if each.get("resource") == POLICY_REPORTS.name]
    assert len(named) == 1
    assert "columns Pass, Fail, Warn, Error, Skip are missing" in named[0]
    assert "reports.detail: summary needs CRDs that print them" in named[0]


async def test_a_server_that_makes_no_rows_is_not_taken_for_an_empty_cluster() -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return json('{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"}}]}')

    counts = Counts()
    async with serving(answer) as url, KubeClient(Anonymous(url), counts) as client:
        source = KubeSource(client, counts, summaries=True)
        with pytest.raises(Malformed, match="rows is missing"):
            await source.page(POLICY_REPORTS, "", limit=250, cont="")


@virtual
async def test_rows_are_less_than_half_of_the_bytes_where_reports_are_small() -> None:
    async with Living() as cluster, KubeClient(Anonymous(cluster.api.url), Counts()) as client:
        whole = await client.get(Request(POLICY_REPORTS.path()))
        rows = await client.get(Request(POLICY_REPORTS.path(), accept=ACCEPT))
    assert len(rows) * 2 < len(whole), (len(rows), len(whole))


OLD, NEW = POLICY_REPORTS, REPORTS
ABOUT = {"kind": "Deployment", "name": "cart", "namespace": "team-a", "uid": "5f1c"}


def written(resource: Resource, manager: str, **summary: int) -> dict[str, object]:
    """A report that is named after its resource, as two engines name theirs."""
    labels = {"app.kubernetes.io/managed-by": manager} if manager else {}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": "5f1c",
            "namespace": "team-a",
            "labels": labels,
            "ownerReferences": [ABOUT],
        },
        "scope": ABOUT,
        "summary": summary,
    }


Row = tuple[Resource, int, str, int, int]
"""A report's group, its age in seconds, who manages it, and how much passes and fails."""


async def counted(sources: tuple[str, ...], *rows: Row) -> Samples:
    """Scrape an exporter that reads these rows."""
    summary = ReportSettings("summary")
    config = ConfigFile(sources=sources, birth_hold=0.0, reports=summary)
    async with Cluster() as cluster:
        for resource, age, manager, passes, failures in rows:
            cluster.store.clock = partial(ago, age)
            body = written(resource, manager, **{"pass": passes, "fail": failures})
            cluster.store.create(resource.name, body)
        async with living(cluster, config=config) as life:
            return await life.ready()


def ago(seconds: int) -> float:
    return time.time() - seconds


def words_of(samples: Samples, family: str, label: str) -> tuple[float | None, float | None]:
    return (total(samples, family, **{label: "pass"}), total(samples, family, **{label: "fail"}))


async def test_rows_of_two_engines_that_share_a_name_are_two_reports() -> None:
    samples = await counted(
        (*KYVERNO_SOURCES, "kubewarden"), (OLD, 60, "kyverno", 3, 2), (NEW, 0, "kubewarden", 1, 0)
    )
    assert words_of(samples, "policyreport_summary", "result") == (4, 2)
    assert words_of(samples, "policyreport_resources", "status") == (0, 1)


async def test_the_row_of_an_engine_that_is_no_source_is_left_out_and_reported() -> None:
    samples = await counted(
        KYVERNO_SOURCES, (OLD, 60, "kyverno", 3, 2), (NEW, 0, "kubewarden", 4, 1)
    )
    assert words_of(samples, "policyreport_summary", "result") == (3, 2)
    assert self_metrics(samples, "results_left_out", source="kubewarden") == 5


async def test_any_of_kyvernos_sources_lets_its_rows_count() -> None:
    samples = await counted(("KyvernoValidatingPolicy",), (OLD, 60, "kyverno", 3, 2))
    assert words_of(samples, "policyreport_summary", "result") == (3, 2)


@pytest.mark.parametrize("manager", ["", "trivy-operator-polr-adapter"])
async def test_a_row_that_does_not_name_its_source_counts(manager: str) -> None:
    samples = await counted(KYVERNO_SOURCES, (OLD, 60, manager, 3, 2))
    assert words_of(samples, "policyreport_summary", "result") == (3, 2)


@pytest.mark.parametrize("ages", [(0, 7200), (7200, 0)], ids=["switched back", "switched on"])
async def test_of_kyvernos_rows_in_both_groups_the_one_written_last_counts(
    ages: tuple[int, int],
) -> None:
    rows = ((OLD, ages[0], "kyverno", 5, 0), (NEW, ages[1], "kyverno", 3, 2))
    samples = await counted(KYVERNO_SOURCES, *rows)
    last = min(rows, key=lambda row: row[1])
    assert words_of(samples, "policyreport_summary", "result") == last[3:]
