"""The push in virtual time, to Alertmanagers that fail in every way."""

import asyncio
from itertools import pairwise

import msgspec
import pytest

from exporter.alerting.push import leisurely
from exporter.alerting.settings import AlertmanagerTarget
from tests.alerting.alertmanagers import FakeAlertmanager, Mode, Site, wall
from tests.alerting.cluster import START, failing
from tests.virtual_time import virtual

HOUR = 3600.0


@virtual
async def test_a_violation_is_told_within_a_quarter_of_the_interval() -> None:
    site = Site()
    async with site.running():
        await asyncio.sleep(100)
        site.cluster.report("web", failing())
        await asyncio.sleep(15)
        assert site.alertmanager.names() == {"PolicyViolation"}
        assert site.counts.actives[-1] == 1


@virtual
async def test_what_stands_is_told_each_minute_and_lasts_four() -> None:
    site = Site()
    site.cluster.report("web", failing())
    async with site.running():
        await asyncio.sleep(601)
        told = [at for at, count in site.alertmanager.batches if count]
        assert told == [60.0 * n for n in range(11)]
        (held,) = site.alertmanager.held.values()
        assert held.ends == pytest.approx(START + 600 + 240, abs=1)
        assert held.starts == START - 600
        assert not site.alertmanager.resolved


@virtual
async def test_a_slow_alertmanager_is_told_each_minute_too() -> None:
    site = Site()
    site.alertmanager.delay = 3.0
    site.cluster.report("web", failing())
    async with site.running():
        await asyncio.sleep(301)
        told = [at for at, count in site.alertmanager.batches if count]
        assert told == [3.0, 60.0, 120.0, 180.0, 240.0, 300.0]


@virtual
async def test_a_change_while_a_batch_is_on_its_way_is_heeded_by_the_next() -> None:
    site = Site()
    site.alertmanager.delay = 20.0
    for number in range(300):
        site.cluster.report(f"web-{number}", failing(f"policy-{number}"))
    site.settings = msgspec.structs.replace(
        site.settings, alertmanagers=(AlertmanagerTarget("http://a:9093", timeout=60),)
    )
    site.restart_push()
    async with site.running():
        await asyncio.sleep(21)
        for number in range(300):
            site.cluster.remove(f"web-{number}")
        await asyncio.sleep(40)
        assert [count for _, count in site.alertmanager.batches] == [0, 256]


@virtual
async def test_what_is_mended_is_resolved_after_the_delay_and_told_for_15_minutes() -> None:
    site = Site()
    site.cluster.report("web", failing())
    async with site.running():
        await asyncio.sleep(121)
        site.cluster.remove("web")
        await asyncio.sleep(HOUR)
        told = [at for at, count in site.alertmanager.batches if count]
        assert told[:5] == [0, 60, 120, 195, 255]  # and nothing while it is in doubt
        (labels,) = {labels for _, labels in site.alertmanager.resolved}
        times = [at for at, _ in site.alertmanager.resolved]
        assert times[0] == 135 + 60
        assert times[-1] == 135 + 60 + 14 * 60
        assert site.alertmanager.held[labels].ends == pytest.approx(START + 195, abs=3)
        assert not site.push.table.entries
        assert not site.push.senders[0].sent


@virtual
async def test_a_report_that_is_written_anew_is_no_new_incident() -> None:
    site = Site()
    site.cluster.report("web", failing())
    async with site.running():
        await asyncio.sleep(121)
        site.cluster.remove("web")
        await asyncio.sleep(50)
        site.cluster.report("web", failing(since=START + 171))
        await asyncio.sleep(HOUR)
        (held,) = site.alertmanager.firing().values()
        (entry,) = site.push.table.entries.values()
        assert held.starts == entry.alert.starts == START - 600
        assert not site.alertmanager.resolved


@virtual
async def test_what_fails_again_after_it_was_resolved_is_a_new_incident() -> None:
    site = Site()
    site.cluster.report("web", failing())
    async with site.running():
        await asyncio.sleep(121)
        site.cluster.remove("web")
        await asyncio.sleep(120)
        assert not site.alertmanager.firing()
        site.cluster.report("web", failing(since=START + 241))
        await asyncio.sleep(20)
        (held,) = site.alertmanager.firing().values()
        assert held.starts == START + 241


@virtual
async def test_a_block_stays_until_the_hold_time_after_the_last() -> None:
    site = Site(resolve_delay=0)
    async with site.running():
        site.cluster.block("web-1")
        await asyncio.sleep(600)
        site.cluster.block("web-2")
        await asyncio.sleep(890)
        assert site.alertmanager.names() == {"PolicyBlocked"}
        await asyncio.sleep(30)
        assert not site.alertmanager.names()


@virtual
async def test_before_the_first_sync_nothing_is_told() -> None:
    site = Site()
    site.watches.reports = site.watches.events = False
    site.cluster.report("web", failing())
    site.cluster.block("web")
    async with site.running():
        await asyncio.sleep(600)
        assert not site.alertmanager.held
        site.watches.reports = True
        await asyncio.sleep(15)
        assert site.alertmanager.names() == {"PolicyViolation"}


@virtual
async def test_missing_data_resolves_nothing_and_what_is_new_is_told() -> None:
    site = Site()
    site.cluster.report("web", failing())
    site.cluster.block("pod")
    async with site.running():
        await asyncio.sleep(60)
        site.watches.reports = site.watches.events = False
        site.cluster.remove("web")
        site.cluster.report("api", failing("another"))
        await asyncio.sleep(2 * HOUR)
        assert len(site.alertmanager.firing()) == 3
        site.watches.reports = site.watches.events = True
        await asyncio.sleep(90)
        assert [dict(labels)["policy"] for labels in site.alertmanager.firing()] == ["another"]


@virtual
async def test_what_is_doubtful_when_a_watch_breaks_goes_on_firing() -> None:
    site = Site()
    site.cluster.report("web", failing())
    async with site.running():
        await asyncio.sleep(60)
        site.cluster.remove("web")
        await asyncio.sleep(30)
        site.watches.reports = False
        await asyncio.sleep(HOUR)
        assert site.alertmanager.names() == {"PolicyViolation"}
        assert not site.alertmanager.resolved


@pytest.mark.parametrize("mode", ["refuse", "hang", "500", "400", "413", "429", "404"])
@pytest.mark.parametrize("broken_first", [False, True])
def test_an_hour_of_trouble_leaves_no_trace(mode: Mode, *, broken_first: bool) -> None:
    @virtual
    async def check() -> None:
        site = Site(FakeAlertmanager(mode if broken_first else "ok"), FakeAlertmanager())
        broken, healthy = site.fakes
        for number in range(60):
            site.cluster.report(f"web-{number}", failing(f"policy-{number}"))
        async with site.running():
            await asyncio.sleep(61)
            broken.mode = mode
            await asyncio.sleep(600)
            for number in range(20):
                site.cluster.remove(f"web-{number}")
            site.cluster.report("late", failing("late"))
            await asyncio.sleep(HOUR - 600)
            assert len(site.push.senders[0].sent) <= 61
            assert not broken.firing()
            assert len(healthy.firing()) == 41
            assert site.counts.ups["http://a:9093"] is False
            broken.mode = "ok"
            await asyncio.sleep(361)
            assert broken.firing().keys() == healthy.firing().keys()
            assert site.counts.ups == {"http://a:9093": True, "http://b:9093": True}
            assert sum(site.counts.faileds.values()) > 0
            assert {target for target, _ in site.counts.faileds} == {"http://a:9093"}

    check()


@virtual
async def test_a_proxy_that_refuses_everything_for_seconds_silences_nothing_after_them() -> None:
    site = Site()
    for number in range(30):
        site.cluster.report(f"web-{number}", failing(f"policy-{number}"))
    async with site.running():
        await asyncio.sleep(30)
        site.alertmanager.mode = "400"
        site.cluster.report("late", failing("late"))
        await asyncio.sleep(40)
        assert site.counts.ups == {"http://a:9093": False}
        site.alertmanager.mode = "ok"
        await asyncio.sleep(60)
        assert len(site.alertmanager.firing()) == 31
        assert site.counts.ups == {"http://a:9093": True}
        assert "rejected" not in site.counts.droppeds


@virtual
async def test_pauses_double_up_to_a_minute() -> None:
    site = Site(FakeAlertmanager("refuse"))
    site.cluster.report("web", failing())
    async with site.running():
        await asyncio.sleep(HOUR)
        times = [at for at, _ in site.alertmanager.batches]
        pauses = [b - a for a, b in pairwise(times[1:])]
        assert pauses[:8] == [1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0, 45.0]
        assert set(pauses[5:]) == {45.0}


@virtual
async def test_after_a_success_pauses_begin_short_again() -> None:
    site = Site(FakeAlertmanager("refuse"))
    async with site.running():
        await asyncio.sleep(600)
        site.alertmanager.mode = "ok"
        await asyncio.sleep(120)
        site.alertmanager.mode = "refuse"
        site.alertmanager.batches.clear()
        await asyncio.sleep(120)
        times = [at for at, _ in site.alertmanager.batches]
        assert [b - a for a, b in pairwise(times)][:3] == [0.75, 1.5, 3.0]


@pytest.mark.parametrize(("asked", "kept"), [(120.0, 126.0), (1e9, 315.0)])
def test_an_alertmanager_is_left_alone_as_long_as_it_asks(asked: float, kept: float) -> None:
    @virtual
    async def check() -> None:
        site = Site(FakeAlertmanager("429", retry_after=asked))
        async with site.running():
            await asyncio.sleep(HOUR)
            times = [at for at, _ in site.alertmanager.batches]
            assert {round(b - a, 6) for a, b in pairwise(times)} == {kept}

    check()


@virtual
async def test_a_hanging_alertmanager_is_given_up_after_the_timeout() -> None:
    site = Site(FakeAlertmanager("hang"))
    async with site.running():
        await asyncio.sleep(9.9)
        assert not site.counts.ups
        await asyncio.sleep(0.2)
        assert site.counts.ups == {"http://a:9093": False}
        assert set(site.counts.faileds) == {("http://a:9093", "timeout")}


@virtual
async def test_invalid_alerts_are_found_dropped_and_counted_and_the_others_are_told() -> None:
    site = Site()
    site.alertmanager.invalid = lambda labels: (
        dict(labels).get("policy")
        in (
            "policy-77",
            "policy-199",
        )
    )
    for number in range(200):
        site.cluster.report(f"web-{number}", failing(f"policy-{number}"))
    async with site.running():
        await asyncio.sleep(1)
        assert len(site.alertmanager.firing()) == 198
        assert len(site.alertmanager.batches) <= 2 * 2 * 8 + 1
        assert site.counts.droppeds["rejected"] == 2
        assert site.counts.faileds == {("http://a:9093", "rejected"): 2}
        assert site.counts.ups == {"http://a:9093": True}
        await asyncio.sleep(HOUR - 10)
        assert len(site.alertmanager.firing()) == 198
        assert site.counts.droppeds["rejected"] == 2


@virtual
async def test_batches_that_are_too_large_are_halved() -> None:
    site = Site()
    site.alertmanager.largest = 40
    for number in range(200):
        site.cluster.report(f"web-{number}", failing(f"policy-{number}"))
    async with site.running():
        await asyncio.sleep(1)
        assert len(site.alertmanager.firing()) == 200
        assert "rejected" not in site.counts.droppeds


@virtual
async def test_batches_are_bounded() -> None:
    site = Site()
    for number in range(600):
        site.cluster.report(f"web-{number}", failing(f"policy-{number}"))
    async with site.running():
        await asyncio.sleep(1)
        assert [count for _, count in site.alertmanager.batches if count] == [256, 256, 88]
        assert site.counts.sents["http://a:9093"] == 600


@virtual
async def test_a_retry_tells_what_is_true_by_then() -> None:
    site = Site(FakeAlertmanager("500"), resolve_delay=0)
    site.cluster.report("web", failing())
    async with site.running():
        await asyncio.sleep(200)
        site.cluster.remove("web")
        await asyncio.sleep(60)
        site.alertmanager.mode = "ok"
        await asyncio.sleep(60)
        assert not site.alertmanager.firing()
        assert site.alertmanager.resolved


@pytest.mark.parametrize("ahead", [-7200.0, -20.0, -0.9, 0.0, 0.9, 20.0, 7200.0])
def test_clocks_that_differ_neither_shorten_nor_lengthen_an_alert(ahead: float) -> None:
    @virtual
    async def check() -> None:
        site = Site(FakeAlertmanager(ahead=ahead), resolve_delay=0)
        site.cluster.report("web", failing(since=START - 5))
        async with site.running():
            await asyncio.sleep(1)
            assert site.alertmanager.firing()
            await asyncio.sleep(129)
            (held,) = site.alertmanager.firing().values()
            assert abs(held.ends - site.alertmanager.now - 230) < 3
            site.cluster.remove("web")
            await asyncio.sleep(46)
            assert not site.alertmanager.firing()
            assert abs(site.counts.skews["http://a:9093"] - ahead) < 1

    check()


@virtual
async def test_an_alertmanager_without_a_clock_is_asked_for_it_once() -> None:
    site = Site()
    site.alertmanager.dated = False
    site.cluster.report("web", failing())
    async with site.running():
        await asyncio.sleep(121)
        assert [count for _, count in site.alertmanager.batches] == [0, 1, 1, 1]
        assert not site.counts.skews


@virtual
async def test_an_alertmanager_with_nothing_to_hear_is_greeted_each_minute() -> None:
    site = Site()
    async with site.running():
        await asyncio.sleep(301)
        assert site.alertmanager.batches == [(60.0 * n, 0) for n in range(6)]
        assert site.counts.sents == {"http://a:9093": 0}
        assert site.counts.ups == {"http://a:9093": True}
        assert site.counts.successes == {"http://a:9093": START + 300}


@virtual
async def test_at_shutdown_what_fires_is_told_once_more_and_nothing_is_resolved() -> None:
    site = Site(FakeAlertmanager(), FakeAlertmanager("hang"))
    site.cluster.report("web", failing())
    async with site.running():
        await asyncio.sleep(50)
    before = wall()
    await site.push.flush(5)
    assert wall() - before == 5
    (held,) = site.alertmanager.firing().values()
    assert held.ends == pytest.approx(START + 50 + 240, abs=1)
    assert not site.alertmanager.resolved


@virtual
async def test_a_restart_is_no_new_incident() -> None:
    site = Site()

    def objects() -> None:
        site.cluster.namespace("team-a")
        site.cluster.policy("require-labels", mode="Enforce")
        site.cluster.report("web", failing())
        site.cluster.block("pod-1", ago=800)
        site.cluster.block("pod-2", ago=300)

    objects()
    async with site.running():
        await asyncio.sleep(100)
    await site.push.flush(5)
    before = site.alertmanager.firing()
    now = wall()
    site.restart(clock=lambda: now - 100)
    objects()
    await asyncio.sleep(120)
    async with site.running():
        await asyncio.sleep(100)
    after = site.alertmanager.firing()
    assert len(before) == 2
    assert before.keys() == after.keys()
    assert {h.starts for h in before.values()} == {h.starts for h in after.values()}
    assert not site.alertmanager.resolved


@virtual
async def test_fifty_thousand_failures_are_told_as_a_thousand_alerts_and_counted() -> None:
    site = Site()
    for number in range(5000):
        rules = [failing(rule=f"rule-{n}") for n in range(10)]
        site.cluster.report("web", *rules, namespace=f"team-{number}")
    async with site.running():
        await asyncio.sleep(61)
        assert len(site.alertmanager.firing()) == 1000
        assert "PolicyAlertsFolded" in site.alertmanager.names()
        assert site.counts.actives[-1] == 1000
        assert site.counts.droppeds["limit"] == 2 * 49_001
        assert len(site.push.senders[0].sent) == 1000


@virtual
async def test_resolutions_that_churn_are_bounded() -> None:
    site = Site(max_alerts=10, resolve_delay=0)
    async with site.running():
        for number in range(60):
            site.cluster.report("web", *(failing(f"p-{number}-{n}") for n in range(8)))
            await asyncio.sleep(15)
            assert len(site.push.table.entries) <= 20
    assert site.counts.droppeds["resolved"] > 0


@virtual
async def test_others_are_served_between_the_steps() -> None:
    site = Site()
    for number in range(3000):
        site.cluster.report(f"web-{number}", failing(f"policy-{number}"))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(other())
    await leisurely(site.push.desired.steps(reports=True, blocks_at=None))
    task.cancel()
    assert turns > 20
