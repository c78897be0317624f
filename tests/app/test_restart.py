"""What a restart knows, and what it does with a checkpoint that it cannot use."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.checkpoint.file import NAME
from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.settings.file import ConfigFile, Limits
from exporter.state.selection import Filters, Globs
from tests.apiserver.faults import Answer
from tests.app.running import (
    AT_ONCE,
    BY_HAND,
    EVENTS_TOTAL,
    Cluster,
    Increase,
    Life,
    Mortal,
    Samples,
    living,
    self_metrics,
    total,
)

pytestmark = pytest.mark.tier("simulator")

OPENED: Final = "policyreport_failures_opened_total"
CLOSED: Final = "policyreport_failures_closed_total"
OLDEST: Final = "policyreport_oldest_failure_timestamp_seconds"
LABELS: Final = "require-labels"
REGISTRIES: Final = "restrict-image-registries"
HOUR: Final = 3600.0


async def test_what_was_blocked_while_it_was_down_counts(tmp_path: Path) -> None:
    seen = Increase()
    async with Cluster() as cluster:
        cluster.block(5)
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            cluster.block(2)
            seen.scrape(await life.shows(2))
        cluster.block(3)
        async with living(cluster, tmp_path) as life:
            seen.scrape(await life.shows(5))
    assert (seen.total, seen.falls) == (5, [])


async def test_a_look_at_events_that_fails_at_a_restart_loses_nothing(tmp_path: Path) -> None:
    seen = Increase()
    async with Cluster() as cluster:
        async with living(cluster, tmp_path) as life:
            await life.remembers()
        cluster.block(3)
        cluster.api.faults.add(Answer(503), EVENTS.name, "list", times=2)
        async with living(cluster, tmp_path) as life:
            seen.scrape(await life.shows(3))
    assert (seen.total, seen.falls) == (3, [])


async def test_what_was_blocked_before_its_first_start_does_not_count(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        cluster.block(5)
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            assert total(await life.scrape(), EVENTS_TOTAL) is None


async def test_expired_events_stay_counted(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            cluster.block(4)
            await life.shows(4)
        cluster.world.expire(time.time() + HOUR)
        cluster.store.compact()
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            assert total(await life.scrape(), EVENTS_TOTAL) == 4


async def test_failures_that_began_and_ended_meanwhile_count_once(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        cluster.report("fixed", LABELS, REGISTRIES)
        cluster.report("kept", LABELS)
        cluster.report("gone", LABELS)
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            samples = await life.until(lambda s: total(s, OPENED) is not None)
            assert total(samples, OPENED) == 0, "the first list opens nothing"
        cluster.report("fixed", REGISTRIES)
        cluster.report("broken", LABELS)
        cluster.world.remove("uid-gone")
        async with living(cluster, tmp_path) as life:
            await life.ready()
            await life.until(lambda s: (total(s, CLOSED) or 0) >= 2)
            cluster.report("kept")
            samples = await life.until(lambda s: (total(s, CLOSED) or 0) >= 3)
    assert (total(samples, OPENED), total(samples, CLOSED)) == (1, 3)


async def test_a_failure_stands_since_it_was_first_seen(tmp_path: Path) -> None:
    long_ago = time.time() - 30 * HOUR
    async with Cluster() as cluster:
        cluster.store.clock = lambda: long_ago
        cluster.report("web", LABELS)
        cluster.store.clock = time.time
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            before = total(await life.scrape(), OLDEST, policy=LABELS)
        cluster.world.rescan()
        async with living(cluster, tmp_path) as life:
            await life.ready()
            after = total(await life.scrape(), OLDEST, policy=LABELS)
    assert before == after == int(long_ago)


async def test_reports_that_are_refused_at_a_restart_are_not_taken_for_fixed(
    tmp_path: Path,
) -> None:
    async with Cluster() as cluster:
        cluster.report("web", LABELS)
        async with living(cluster, tmp_path) as life:
            await life.remembers()
        cluster.api.faults.add(Answer(403), POLICY_REPORTS.name, times=None)
        async with living(cluster, tmp_path) as life:
            await life.ready()
            await life.commit()
            assert total(await life.scrape(), CLOSED) == 0
        cluster.api.faults.clear()
        async with living(cluster, tmp_path) as life:
            samples = await life.ready()
            assert (total(samples, OPENED), total(samples, CLOSED)) == (0, 0)


async def test_other_filters_at_a_restart_neither_open_nor_close_and_lose_no_count(
    tmp_path: Path,
) -> None:
    filters = Filters(namespaces=Globs(exclude=("team-a",)))
    narrow = ConfigFile(birth_hold=0.0, checkpoint_interval=0.1, filters=filters)
    async with Cluster() as cluster:
        cluster.report("web", LABELS)
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            cluster.block(2)
            await life.shows(2)
        async with living(cluster, tmp_path, narrow) as life:
            await life.remembers()
            assert total(await life.scrape(), EVENTS_TOTAL) is None
        cluster.report("api", LABELS)
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            samples = await life.until(lambda s: total(s, OPENED) is not None)
            assert total(samples, EVENTS_TOTAL) == 2
            assert (total(samples, OPENED), total(samples, CLOSED)) == (0, 0)


def limited(**limits: int) -> ConfigFile:
    return ConfigFile(birth_hold=0.0, checkpoint_interval=0.1, limits=Limits(**limits))


def has_learned(life: Life) -> Callable[[Samples], bool]:
    """Whether the differences from the checkpoint are counted."""
    return lambda _: life.exporter.state.ledger.restore.is_over


@pytest.mark.parametrize("limits", [{"report_results": 1}, {"namespace_failures": 1}], ids=str)
@pytest.mark.parametrize("change", ["lowered", "raised"])
async def test_other_limits_at_a_restart_neither_open_nor_close(
    tmp_path: Path, limits: dict[str, int], change: str
) -> None:
    configs = [AT_ONCE, limited(**limits)]
    long_ago = time.time() - 30 * HOUR
    async with Cluster() as cluster:
        cluster.store.clock = lambda: long_ago
        cluster.report("web", LABELS, REGISTRIES)
        cluster.store.clock = time.time
        for config in configs if change == "lowered" else reversed(configs):
            async with living(cluster, tmp_path, config) as life:
                await life.remembers()
                await life.until(has_learned(life))
                await life.commit()
                samples = await life.scrape()
                assert (total(samples, OPENED), total(samples, CLOSED)) == (0, 0)
                assert total(samples, OLDEST, policy=LABELS) in (None, int(long_ago))
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            cluster.report("api", LABELS)
            await life.until(lambda s: total(s, OPENED) == 1)


async def test_another_cluster_begins_anew(tmp_path: Path) -> None:
    async with Cluster() as cluster, living(cluster, tmp_path) as life:
        await life.remembers()
        cluster.block(3)
        await life.shows(3)
    async with Cluster() as other:
        other.store.delete("namespaces", "", "kube-system")
        other.world.add_namespace("kube-system", {})
        async with living(other, tmp_path) as life:
            other.block(1)
            samples = await life.ready()
            assert self_metrics(samples, "counter_resets_total", reason="cluster") == 1
            assert (total(samples, EVENTS_TOTAL) or 0) <= 1
    assert (tmp_path / f"{NAME}.cluster").exists()


async def test_a_cluster_restored_from_a_backup_keeps_the_counts(tmp_path: Path) -> None:
    """Versions lie before the checkpoint's: what is listed is old, what comes then is new."""
    seen = Increase()
    async with Cluster() as cluster:
        cluster.store.version = 900_000
        cluster.store.floor = 900_000
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            cluster.block(3)
            seen.scrape(await life.shows(3))
    async with Cluster() as backup:
        backup.block(2)
        async with living(backup, tmp_path) as life:
            await life.remembers()
            seen.scrape(await life.scrape())
            backup.block(1)
            seen.scrape(await life.shows(4))
        backup.block(1)
        async with living(backup, tmp_path) as life:
            seen.scrape(await life.shows(5))
    assert (seen.total, seen.falls) == (5, [])


def cut(body: bytes) -> bytes:
    return body[: len(body) // 2]


def newer(body: bytes) -> bytes:
    return json.dumps(json.loads(body) | {"schema": 99, "more": 1}).encode()


def broken_failures(body: bytes) -> bytes:
    failures = json.loads(body)["failures"] | {"starts": "AAAA"}
    return json.dumps(json.loads(body) | {"failures": failures}).encode()


def other_labels(body: bytes) -> bytes:
    document: dict[str, Any] = json.loads(body)
    document["counters"]["events"] = [[["team-a", "Pod"], 5]]
    return json.dumps(document).encode()


def negative(body: bytes) -> bytes:
    document: dict[str, Any] = json.loads(body)
    document["counters"]["events"][0][1] = -5
    return json.dumps(document).encode()


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "cut short": cut,
    "empty": lambda _: b"",
    "zeros": lambda body: bytes(len(body)),
    "not UTF-8": lambda body: body.replace(b"team-a", b"team\xff\xfe"),
    "another program's": lambda _: b'{"hello": 1}',
    "of a newer version": newer,
    "broken inside": broken_failures,
    "broken inside, of an older version": lambda body: broken_failures(body).replace(
        b'"schema": 2', b'"schema": 1'
    ),
    "of other labels": other_labels,
    "counting backwards": negative,
    "nested without end": lambda _: b'{"schema":1,"counters":' + b"[" * 100_000,
}


@pytest.mark.parametrize("how", SPOILT)
async def test_a_spoilt_checkpoint_is_set_aside_and_said(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / NAME
    async with Cluster() as cluster:
        cluster.report("web", LABELS)
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            cluster.block(3)
            await life.shows(3)
        spoilt = SPOILT[how](path.read_bytes())
        path.write_bytes(spoilt)
        with caplog.at_level(logging.WARNING):
            async with living(cluster, tmp_path) as life:
                await life.remembers()
                cluster.block(1)
                samples = await life.shows(1)
                assert self_metrics(samples, "counter_resets_total", reason="unusable") == 1
                assert total(samples, EVENTS_TOTAL) == 1
        assert (tmp_path / f"{NAME}.unusable").read_bytes() == spoilt
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            assert total(await life.scrape(), EVENTS_TOTAL) == 1, "the next start is a normal one"
    assert "checkpoint not used" in caplog.text


async def test_w41_a_full_disk_stops_the_shown_counters_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Increase()
    full = tmp_path / f"{NAME}.new"
    async with Cluster() as cluster, living(cluster, tmp_path) as life:
        await life.remembers()
        cluster.block(2)
        seen.scrape(await life.shows(2))
        full.symlink_to("/dev/full")
        cluster.block(3)
        await life.until(lambda s: (self_metrics(s, "checkpoint_failures_total") or 0) >= 2)
        seen.scrape(await life.scrape())
        assert seen.total == 2
        full.unlink()
        seen.scrape(await life.shows(5))
    assert seen.total == 5
    assert caplog.text.count("No space left on device; counters do not change") == 1


async def test_a_stop_on_a_full_disk_goes_on_from_the_last_checkpoint(tmp_path: Path) -> None:
    full = tmp_path / f"{NAME}.new"
    async with Cluster() as cluster:
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            full.symlink_to("/dev/full")
            cluster.block(3)
            await life.counts(3)
        full.unlink()
        async with living(cluster, tmp_path) as life:
            assert total(await life.shows(3), EVENTS_TOTAL) == 3


async def test_a_directory_in_the_checkpoints_place_is_survived(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    async with Cluster() as cluster, living(cluster, tmp_path) as life:
        await life.ready()
        cluster.block(1)
        await life.shows(1)
        await life.until(lambda s: (self_metrics(s, "checkpoint_failures_total") or 0) >= 3)


async def test_w41_a_read_only_directory_is_survived() -> None:
    """Even root cannot write in /proc."""
    async with Cluster() as cluster, living(cluster, Path("/proc/state")) as life:
        await life.ready()
        cluster.block(1)
        assert self_metrics(await life.shows(1), "checkpoint_failures_total")
        cluster.block(1)
        await life.shows(2)


@pytest.mark.parametrize(("away", "gap"), [(0.5 * HOUR, 0), (3 * HOUR, 2 * HOUR)])
async def test_longer_away_than_events_live_is_a_gap(
    away: float, gap: float, tmp_path: Path
) -> None:
    async with Cluster() as cluster:
        async with living(cluster, tmp_path) as life:
            await life.remembers()
        async with living(cluster, tmp_path, clock=lambda: time.time() + away) as life:
            samples = await life.ready()
            seen = self_metrics(samples, "event_gap_seconds_total") or 0
    assert gap <= seen < gap + 60


async def test_a_clock_set_back_is_no_gap_and_stops_no_count(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        async with living(cluster, tmp_path) as life:
            await life.remembers()
        cluster.block(2)
        async with living(cluster, tmp_path, clock=lambda: time.time() - HOUR) as life:
            samples = await life.shows(2)
    assert (self_metrics(samples, "event_gap_seconds_total"), total(samples, EVENTS_TOTAL)) == (
        0,
        2,
    )


async def test_a_quiet_checkpoint_is_not_written_again(tmp_path: Path) -> None:
    async with Cluster() as cluster, living(cluster, tmp_path, BY_HAND) as life:
        await life.ready()
        await life.commit()
        written = (tmp_path / NAME).stat().st_mtime_ns
        await life.commit()
        assert (tmp_path / NAME).stat().st_mtime_ns == written
        cluster.block()
        await life.counts(1)
        await life.commit()
        assert (tmp_path / NAME).stat().st_mtime_ns > written


async def test_the_cluster_is_asked_who_it_is_until_it_answers(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        cluster.api.faults.add(Answer(503), "namespaces", "get", times=2)
        async with living(cluster, tmp_path, AT_ONCE) as life:
            await life.remembers()
        assert cluster.api.faults.count("namespaces", "get") == 3


async def test_without_a_state_directory_counts_are_shown_at_once() -> None:
    async with Cluster() as cluster, living(cluster) as life:
        await life.ready()
        cluster.block(2)
        assert total(await life.shows(2), EVENTS_TOTAL) == 2


async def test_a_crash_before_the_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    async with Cluster() as cluster:
        state = Mortal(tmp_path)
        state.dies = "half written"
        async with living(cluster, state) as life:
            await life.until(lambda _: state.dead)
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            cluster.block(1)
            assert total(await life.shows(1), EVENTS_TOTAL) == 1
