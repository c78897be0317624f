"""The journal of a served exporter: over reloads, restarts, a full disk, and at its end."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.app.commands import serving
from tests.app.reloads import COUNTERS, LABELS, OPENED, PLAIN, fail, reloaded
from tests.app.running import EVENTS_TOTAL, Cluster, self_metrics, total
from tests.journal.reading import by_id, read_lines, rows_of, shown
from tests.tools import eventually

pytestmark = pytest.mark.tier("simulator")

OTHER: Final = "filters: {namespaces: {exclude: [nowhere]}}\n"
PODS: Final = tuple(f"web-{number}" for number in range(6))


def journal(file: Path, more: str = "") -> str:
    return f"{PLAIN}journal: {{file: '{file}'{more}}}\n"


@asynccontextmanager
async def failing_cluster() -> AsyncIterator[Cluster]:
    """Run a cluster in which something fails already, so that all families are there."""
    async with Cluster() as cluster:
        fail(cluster, "default", "other", LABELS)
        yield cluster


def names(file: Path) -> Counter[str]:
    return Counter(line["event_name"] for line in by_id(read_lines(file)).values())


def change(cluster: Cluster, chance: random.Random) -> None:
    """Block requests, and let Pods fail or pass."""
    cluster.block(chance.randint(0, 2))
    for _ in range(chance.randint(0, 3)):
        cluster.report(chance.choice(PODS), *([LABELS] if chance.random() < 0.5 else []))


@pytest.mark.parametrize("kept", [True, False], ids=["state", "no state"])
async def test_over_reloads_each_count_has_one_line(tmp_path: Path, kept: bool) -> None:
    file, chance = tmp_path / "journal", random.Random(5)
    async with failing_cluster() as cluster:
        state = tmp_path / "state" if kept else None
        async with reloaded(cluster, tmp_path, journal(file), state) as served:
            await served.ready()
            for more in (OTHER, "", OTHER):
                change(cluster, chance)
                await served.accept(journal(file) + more)
                while "configuration was accepted" in (await served.get("/-/ready"))[1]:
                    change(cluster, chance)
                    await asyncio.sleep(0.01)
            change(cluster, chance)
            await served.until(lambda s: total(s, EVENTS_TOTAL) == cluster.blocked)
    counters = shown(served.reloading.present.exporter.state)
    assert {name for name, _ in counters} == set(COUNTERS)
    assert rows_of(read_lines(file)) == counters


async def test_a_reload_changes_the_file_and_turns_the_journal_off_and_on(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with (
        failing_cluster() as cluster,
        reloaded(cluster, tmp_path, journal(first), tmp_path / "state") as served,
    ):
        await served.ready()
        for blocked, config in ((2, journal(second)), (3, PLAIN), (5, journal(second))):
            cluster.block(blocked)
            await served.until(lambda s: total(s, EVENTS_TOTAL) == cluster.blocked)
            await served.reload(config)
        cluster.block(7)
        await served.until(lambda s: total(s, EVENTS_TOTAL) == cluster.blocked)
    assert names(first) == {"exporter_started": 1, "request_blocked": 2}
    assert names(second) == {"request_blocked": 3 + 7}


async def test_a_file_that_cannot_be_opened_is_refused_and_the_old_one_stays(
    tmp_path: Path,
) -> None:
    file = tmp_path / "journal"
    async with failing_cluster() as cluster, reloaded(cluster, tmp_path, journal(file)) as served:
        await served.ready()
        status, text = await served.post(journal(tmp_path / "none" / "journal"))
        assert (status, "No such file or directory" in text) == (500, True)
        assert f"journal: {tmp_path}/none/journal" in text
        cluster.block()
        await served.until(lambda s: total(s, EVENTS_TOTAL) == 1)
    assert names(file) == {"exporter_started": 1, "request_blocked": 1}


async def test_a_reload_opens_a_renamed_file_again(tmp_path: Path) -> None:
    file, old = tmp_path / "journal", tmp_path / "journal-old"
    async with failing_cluster() as cluster, reloaded(cluster, tmp_path, journal(file)) as served:
        await served.ready()
        file.rename(old)
        await served.accept(journal(file))
        cluster.block()
        await served.until(lambda s: total(s, EVENTS_TOTAL) == 1)
    assert names(old) == {"exporter_started": 1}
    assert names(file) == {"request_blocked": 1}


async def test_after_sighup_a_renamed_file_is_not_open_any_more(tmp_path: Path) -> None:
    file, old = tmp_path / "journal", tmp_path / "journal-old"
    async with Cluster() as cluster:
        command = serving(tmp_path, cluster.api.url, f"--journal={file}")
        await asyncio.to_thread(command.start)
        try:
            await asyncio.to_thread(eventually, lambda: names(file))
            file.rename(old)
            assert str(old) in open_files(command.pid)
            os.kill(command.pid, signal.SIGHUP)
            await asyncio.to_thread(eventually, lambda: str(old) not in open_files(command.pid))
        finally:
            await asyncio.to_thread(command.stop)


def open_files(pid: int) -> set[str]:
    """List what a process has open, by path."""
    found = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(each.readlink()))
    return found


async def test_a_restart_that_was_clean_writes_nothing_twice(tmp_path: Path) -> None:
    file, state = tmp_path / "journal", tmp_path / "state"
    async with failing_cluster() as cluster:
        for _ in range(2):
            async with reloaded(cluster, tmp_path, journal(file), state) as served:
                await served.ready()
                cluster.block(3)
                await served.until(lambda s: total(s, EVENTS_TOTAL) == cluster.blocked)
                cluster.block(1)
            assert b'"journal":[]' in (state / "checkpoint.json").read_bytes()
    lines = read_lines(file)
    assert len(lines) == len(by_id(lines))
    reasons = [line["reason"] for line in lines if line["event_name"] == "exporter_started"]
    assert reasons == ["no_checkpoint", "checkpoint"]


async def test_a_full_disk_holds_no_metrics_and_its_lines_outlive_the_process(
    tmp_path: Path,
) -> None:
    file, state = tmp_path / "journal", tmp_path / "state"
    file.symlink_to("/dev/full")
    async with failing_cluster() as cluster:
        async with reloaded(cluster, tmp_path, journal(file), state) as served:
            await served.ready()
            fail(cluster, "team-a", "web", LABELS)
            cluster.block(5)
            samples = await served.until(
                lambda s: total(s, EVENTS_TOTAL) == 5 and total(s, OPENED) == 1
            )
            assert (self_metrics(samples, "journal_pending_bytes") or 0) > 1000
            assert not self_metrics(samples, "journal_lines_total")
        file.unlink()
        async with reloaded(cluster, tmp_path, journal(file), state) as served:
            await served.ready()
            await served.until(lambda s: self_metrics(s, "journal_pending_bytes") == 0)
    assert names(file) == {"exporter_started": 2, "failure_opened": 1, "request_blocked": 5}


async def test_settings_choose_lines_and_a_reload_changes_them(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    async with failing_cluster() as cluster:
        chosen = ", occurrences: [request_blocked], namespaces: {include: [team-a]}"
        async with reloaded(cluster, tmp_path, journal(file, chosen)) as served:
            await served.ready()
            cluster.block(2)
            cluster.block(4, "default")
            await served.until(lambda s: total(s, EVENTS_TOTAL) == 6)
            await served.reload(journal(file))
            cluster.block(8, "default")
            await served.until(lambda s: total(s, EVENTS_TOTAL) == 14)
    assert names(file) == {"request_blocked": 2 + 8}
