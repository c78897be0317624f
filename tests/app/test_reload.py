"""A reload applies: another configuration is in force, and whoever looks sees no seam."""

import asyncio
import gc
import json
import weakref
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from exporter.model.resource import EVENTS, POLICY_REPORTS
from tests.apiserver.faults import Answer, Delay
from tests.app.reloads import CLOSED, LABELS, OPENED, PLAIN, fail, reloaded, watching
from tests.app.running import EVENTS_TOTAL, Cluster, self_metrics, total

pytestmark = pytest.mark.tier("simulator")

REGISTRIES: Final = "restrict-image-registries"
RESULTS: Final = "policyreport_results"
OLDEST: Final = "policyreport_oldest_failure_timestamp_seconds"
LIVE: Final = "policyviolation_live_events"
RECENT: Final = "policyviolation_recent_block_timestamp_seconds"
WITHOUT_TEAM_A: Final = PLAIN + "filters: {namespaces: {exclude: [team-a]}}\n"
WITH_TEAMS: Final = PLAIN + "labels: {namespace_labels: [team]}\n"

with_and_without_state = pytest.mark.parametrize("kept", [True, False], ids=["state", "no state"])


async def test_a_namespace_that_is_left_out_leaves_and_comes_back_without_a_trace(
    tmp_path: Path,
) -> None:
    async with Cluster() as cluster:
        fail(cluster, "default", "other", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            await served.ready()
            fail(cluster, "team-a", "web", LABELS)
            cluster.block(2)
            cluster.block(1, "default")
            await served.until(lambda s: total(s, EVENTS_TOTAL) == 3 and total(s, OPENED) == 1)
            samples = await served.reload(WITHOUT_TEAM_A)
            for name in (RESULTS, EVENTS_TOTAL, OPENED, LIVE, RECENT):
                assert total(samples, name, namespace="team-a") is None, name
            assert total(samples, EVENTS_TOTAL) == 1
            assert (total(samples, OPENED), total(samples, CLOSED)) == (0, 0)
            fail(cluster, "team-a", "api", LABELS)
            samples = await served.reload(PLAIN)
            assert total(samples, RESULTS, namespace="team-a", result="fail") == 2
            assert total(samples, EVENTS_TOTAL) == 3
            assert (total(samples, OPENED), total(samples, CLOSED)) == (1, 0)
            cluster.world.remove("uid-web")
            await served.until(lambda s: total(s, CLOSED) == 1)


async def test_what_was_left_out_from_the_beginning_opens_nothing_when_it_comes(
    tmp_path: Path,
) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        fail(cluster, "default", "other", LABELS)
        async with reloaded(cluster, tmp_path, WITHOUT_TEAM_A, tmp_path / "state") as served:
            await served.ready()
            cluster.block(2)
            samples = await served.reload(PLAIN)
            assert total(samples, RESULTS, namespace="team-a", result="fail") == 1
            assert (total(samples, OPENED), total(samples, CLOSED)) == (0, 0)
            fail(cluster, "team-a", "api", LABELS)
            await served.until(lambda s: total(s, OPENED) == 1)


async def test_failures_are_not_fixed_by_reading_summaries_only(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            await served.ready()
            samples = await served.reload(PLAIN + "reports: {detail: summary}\n")
            assert total(samples, RESULTS) is None
            assert total(samples, "policyreport_summary", result="fail") == 1
            samples = await served.reload(PLAIN)
            assert (total(samples, OPENED), total(samples, CLOSED)) == (0, 0)


@with_and_without_state
async def test_namespace_labels_come_and_counters_go_on(tmp_path: Path, kept: bool) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        state = tmp_path / "state" if kept else None
        async with reloaded(cluster, tmp_path, PLAIN, state) as served:
            before = total(await served.ready(), OLDEST)
            cluster.block(3)
            fail(cluster, "team-a", "api", LABELS)
            await served.until(lambda s: total(s, EVENTS_TOTAL) == 3 and total(s, OPENED) == 1)
            samples = await served.reload(WITH_TEAMS)
            assert total(samples, EVENTS_TOTAL, team="team-a") == 3
            assert total(samples, OPENED, team="team-a") == 1
            assert total(samples, LIVE, team="team-a") == 3
            assert total(samples, OLDEST, team="team-a") == before
            samples = await served.reload(PLAIN + "labels: {drop: [rule, category]}\n")
            assert total(samples, EVENTS_TOTAL) == 3
            assert not any("rule" in dict(s.labels) for s in samples if s.name == EVENTS_TOTAL)


async def test_a_smaller_budget_folds_and_sums_stay(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        fail(cluster, "default", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            before = await served.ready()
            samples = await served.reload(PLAIN + "max_series: 1\n")
            assert total(samples, RESULTS) == total(before, RESULTS)
            assert total(samples, RESULTS, policy="__overflow__")
            folded = self_metrics(samples, "series_folded_total", family=RESULTS) or 0
            assert folded > 0
            samples = await served.reload(PLAIN)
            assert total(samples, RESULTS, policy="__overflow__") is None
            assert self_metrics(samples, "series_folded_total", family=RESULTS) == folded


@with_and_without_state
@pytest.mark.parametrize("config", [WITHOUT_TEAM_A.replace("team-a", "nowhere"), "birth_hold: 0\n"])
async def test_a_scraper_that_never_rests_sees_no_hole_no_fall_and_every_event(
    tmp_path: Path, kept: bool, config: str
) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        state = tmp_path / "state" if kept else None
        async with reloaded(cluster, tmp_path, PLAIN, state) as served:
            await served.ready()
            cluster.block(2)
            await served.until(lambda s: total(s, EVENTS_TOTAL) == 2)
            async with watching(served) as watchful:
                cluster.api.faults.add(Delay(0.3), POLICY_REPORTS.name, "list", times=None)
                for turn in range(3):
                    await served.accept(PLAIN if turn % 2 else config)
                    while "configuration was accepted" in (await served.get("/-/ready"))[1]:
                        cluster.block()
                        fail(cluster, "team-a", "flips", *([LABELS] * (cluster.blocked % 2)))
                        await asyncio.sleep(0.01)
                fail(cluster, "team-a", "flips", LABELS)
                expected = cluster.blocked
                samples = await served.until(lambda s: total(s, EVENTS_TOTAL) == expected)
                await served.until(
                    lambda s: self_metrics(s, "objects", resource=POLICY_REPORTS.name) == 2
                )
            assert watchful.scrapes >= 3
            assert (watchful.missing, watchful.falls) == (set(), [])
            assert watchful.increases[EVENTS_TOTAL].total == cluster.blocked
            opened, closed = total(samples, OPENED) or 0, total(samples, CLOSED) or 0
            assert opened - closed in (0, 1), "the one that flips, which may be seen yet to fail"
            assert self_metrics(samples, "counter_resets_total") in (None, 0)


@with_and_without_state
async def test_what_only_the_old_one_saw_is_counted(tmp_path: Path, kept: bool) -> None:
    """A failure that begins and ends before the new one has listed."""
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        state = tmp_path / "state" if kept else None
        async with reloaded(cluster, tmp_path, PLAIN, state) as served:
            await served.ready()
            cluster.api.faults.add(Answer(503), POLICY_REPORTS.name, "list", times=None)
            await served.accept(WITH_TEAMS)
            fail(cluster, "team-a", "web", LABELS, REGISTRIES)
            await served.until(lambda s: total(s, OPENED) == 1)
            fail(cluster, "team-a", "web", LABELS)
            await served.until(lambda s: total(s, CLOSED) == 1)
            cluster.api.faults.clear()
            await served.in_force()
            samples = await served.scrape()
            assert (total(samples, OPENED), total(samples, CLOSED)) == (1, 1)
            assert total(samples, OPENED, team="team-a") == 1


async def test_a_birth_is_held_no_longer_and_no_second_time(tmp_path: Path) -> None:
    held = "birth_hold: 0.4\n"
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path, held) as served:
            await served.ready()
            async with watching(served) as watchful:
                cluster.block()
                await served.until(lambda s: total(s, EVENTS_TOTAL) == 0)
                cluster.api.faults.add(Answer(503), POLICY_REPORTS.name, "list", times=None)
                await served.accept(held + "max_series: 1000\n")
                await served.until(lambda s: total(s, EVENTS_TOTAL) == 1)
                assert "configuration was accepted" in (await served.get("/-/ready"))[1]
                cluster.api.faults.clear()
                await served.in_force()
            assert (watchful.falls, watchful.increases[EVENTS_TOTAL].total) == ([], 1)


async def test_while_the_api_server_is_away_the_old_one_stays(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            before = total(await served.ready(), RESULTS)
            cluster.block(2)
            await served.until(lambda s: total(s, EVENTS_TOTAL) == 2)
            async with watching(served) as watchful:
                async with cluster.away():
                    await served.until(
                        lambda s: self_metrics(s, "watch_up", resource=EVENTS.name) == 0
                    )
                    await served.accept(WITH_TEAMS)
                    cluster.block(3)
                    samples = await served.scrape()
                    assert total(samples, RESULTS) == before
                    assert total(samples, RESULTS, team="team-a") is None
                    assert (await served.get("/-/ready"))[0] == 200
                await served.in_force()
                await served.until(lambda s: total(s, EVENTS_TOTAL, team="team-a") == 5)
            assert watchful.missing == set()


async def test_the_same_configuration_composes_nothing(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            samples = await served.ready()
            at = self_metrics(samples, "config_last_reload_success_timestamp_seconds") or 0
            lists = cluster.api.faults.count(verb="list")
            exporter = served.reloading.present.exporter
            samples = await served.reload(PLAIN + "# a comment\n")
            assert served.reloading.present.exporter is exporter
            assert cluster.api.faults.count(verb="list") == lists
            assert (self_metrics(samples, "config_last_reload_success_timestamp_seconds") or 0) > at


async def test_a_second_reload_takes_the_place_of_one_that_is_not_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path, PLAIN, tmp_path / "state") as served:
            await served.ready()
            exporter = served.reloading.present.exporter
            cluster.api.faults.add(Answer(503), POLICY_REPORTS.name, "list", times=None)
            await served.accept(WITHOUT_TEAM_A)
            await served.accept(WITHOUT_TEAM_A)
            await served.accept(WITH_TEAMS)
            assert "configuration was accepted" in (await served.get("/-/ready"))[1]
            await served.accept(PLAIN)
            assert "configuration was accepted" not in (await served.get("/-/ready"))[1]
            assert served.reloading.present.exporter is exporter
            cluster.api.faults.clear()
            await served.accept(WITHOUT_TEAM_A)
            samples = await served.reload(WITH_TEAMS)
            assert total(samples, RESULTS, team="team-a", result="fail") == 1
            assert total(samples, CLOSED) == 0


async def test_a_bad_file_says_what_is_wrong_and_leaves_what_is_under_way(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            await served.ready()
            cluster.api.faults.add(Answer(503), POLICY_REPORTS.name, "list")
            await served.accept(WITH_TEAMS)
            status, text = await served.post("max_serie: 5\n")
            assert status == 500
            assert "config.yaml:1: max_serie: unknown key, did you mean max_series?" in text
            await served.in_force()
            samples = await served.scrape()
            assert total(samples, RESULTS, team="team-a", result="fail") == 1
            assert self_metrics(samples, "config_last_reload_successful") == 0


async def test_an_exporter_that_has_not_begun_is_replaced(tmp_path: Path) -> None:
    """With a state directory nothing begins before the API server says which cluster it is."""
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        cluster.api.faults.add(Answer(503), "namespaces", "get", times=None)
        async with reloaded(cluster, tmp_path, PLAIN, tmp_path / "state") as served:
            await served.accept(WITH_TEAMS)
            cluster.api.faults.clear()
            samples = await served.ready()
            assert total(samples, RESULTS, team="team-a", result="fail") == 1


@with_and_without_state
async def test_a_stop_while_a_reload_is_under_way_keeps_what_the_old_one_counted(
    tmp_path: Path, kept: bool
) -> None:
    state = tmp_path / "state" if kept else None
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path, "birth_hold: 0\n", state) as served:
            await served.ready()
            cluster.api.faults.add(Answer(503), POLICY_REPORTS.name, "list", times=None)
            await served.accept(WITHOUT_TEAM_A)
            cluster.block(2)
        cluster.api.faults.clear()
        async with reloaded(cluster, tmp_path, PLAIN, state) as served:
            await served.ready()
            cluster.block()
            await served.until(lambda s: total(s, EVENTS_TOTAL) == (3 if kept else 1))


async def test_a_reload_of_what_is_stopping_is_refused_and_the_last_state_stays(
    tmp_path: Path,
) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            before = total(await served.ready(), RESULTS)
            await served.stop()
            status, text = await served.post(WITH_TEAMS)
            assert (status, "the exporter is stopping" in text) == (500, True)
            assert total(await served.scrape(), RESULTS) == before


async def test_a_full_disk_lets_the_old_one_stay_until_there_is_room(tmp_path: Path) -> None:
    full = tmp_path / "state" / "checkpoint.json.new"
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path, PLAIN, tmp_path / "state") as served:
            await served.ready()
            cluster.block(2)
            await served.until(lambda s: total(s, EVENTS_TOTAL) == 2)
            full.symlink_to("/dev/full")
            async with watching(served) as watchful:
                cluster.block(3)
                await served.accept(WITHOUT_TEAM_A.replace("team-a", "nowhere"))
                await served.until(
                    lambda s: (self_metrics(s, "checkpoint_failures_total") or 0) >= 2
                )
                assert total(await served.scrape(), EVENTS_TOTAL) == 2
                full.unlink()
                await served.in_force()
                await served.until(lambda s: total(s, EVENTS_TOTAL) == 5)
            assert (watchful.falls, watchful.missing) == ([], set())


async def test_the_status_page_shows_the_same_blocks_and_may_be_turned_off(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            await served.ready()
            cluster.block(3)
            await served.until(lambda s: total(s, RECENT) and total(s, LIVE) == 3)
            before = json.loads((await served.get("/api/v1/blocks"))[1])
            await served.reload(PLAIN + "grafana_url: 'http://grafana.example/'\n")
            assert json.loads((await served.get("/api/v1/blocks"))[1]) == before
            assert "http://grafana.example/" in (await served.get("/"))[1]
            await served.reload(PLAIN + "status_page: {enabled: false}\n")
            assert (await served.get("/api/v1/status"))[0] == 404
            status, text = await served.get("/")
            assert status == 200
            assert "http://grafana.example/" not in text


async def test_a_browser_that_listens_hears_each_block_once(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            await served.ready()
            headers = {"Accept": "text/event-stream"}
            blocks = f"{served.url}/api/v1/blocks"
            async with served._client.get(blocks, headers=headers) as stream:
                cluster.block()
                heard = [await one_block(stream.content)]
                await served.reload(WITH_TEAMS)
                cluster.block()
                heard.append(await one_block(stream.content))
            shown = json.loads((await served.get("/api/v1/blocks"))[1])["blocked"]
    assert heard == [each["id"] for each in reversed(shown)]


async def one_block(stream: aiohttp.StreamReader) -> int:
    """Read up to the next block of a stream, and give its id."""
    async with asyncio.timeout(30):
        while not (line := await stream.readline()).startswith(b"id: "):
            assert line
    return int(line[4:])


async def test_nothing_of_the_former_exporter_is_left(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            await served.ready()
            former = weakref.ref(served.reloading.present.exporter.state)
            await served.reload(WITH_TEAMS)
            async with asyncio.timeout(30):
                while former() is not None:
                    await asyncio.sleep(0.02)
            assert gc.get_freeze_count() > 0
            assert "successor" in {t.get_name() for t in asyncio.all_tasks()}
