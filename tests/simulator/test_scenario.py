"""The living cluster: repeatable, complete, and true to its own count."""

import asyncio
import time
from collections import Counter
from typing import Any

from exporter.model.resource import CLUSTER_POLICIES, EVENTS, POLICY_REPORTS
from exporter.simulator.sample import sample
from exporter.simulator.scenario import (
    EVENT_TTL_SECONDS,
    STEP_SECONDS,
    Scenario,
    ScenarioClock,
    living,
    play,
)
from exporter.simulator.world import World
from tests.apiserver import Store

NOON = 1_795_435_200.0


class Life:
    """A sample cluster with virtual time."""

    def __init__(self, seed: int = 0) -> None:
        self.clock = ScenarioClock(NOON)
        self.store = Store(self.clock, seed=seed)
        self.world: World = sample(self.store)
        self.scenario = Scenario(self.world, seed=seed, clock=self.clock)

    def raw(self, storage: str) -> dict[str, bytes]:
        return {stored.key: stored.raw for stored in self.store.all(storage)}

    def events(self) -> list[dict[str, Any]]:
        return [stored.data for stored in self.store.all(EVENTS.name)]


def test_one_seed_makes_one_life_however_time_is_cut() -> None:
    whole, cut = Life(7), Life(7)
    whole.scenario.advance(2000)
    for step in [0.1, 0.9, 99, 400, 1500]:
        cut.scenario.advance(step)
    assert whole.raw(POLICY_REPORTS.name) == cut.raw(POLICY_REPORTS.name)
    assert whole.raw(EVENTS.name) == cut.raw(EVENTS.name)
    assert whole.world.blocked == cut.world.blocked


def test_another_seed_makes_another_life() -> None:
    one, other = Life(1), Life(2)
    one.scenario.advance(600)
    other.scenario.advance(600)
    assert one.world.blocked != other.world.blocked


def test_the_truth_is_what_watchers_of_events_would_count() -> None:
    life = Life()
    began = life.store.version
    before = life.world.blocked.copy()
    life.scenario.advance(1800)
    added = [entry.new.data for entry in life.store.since(EVENTS.name, began) if entry.new]
    blocked = [each for each in added if each["action"] == "Resource Blocked"]
    assert len(blocked) == (life.world.blocked - before).total() > 100
    seen = Counter((e["related"].get("namespace", ""), e["related"]["kind"]) for e in blocked)
    told: Counter[tuple[str, str]] = Counter()
    for violation, count in (life.world.blocked - before).items():
        told[violation.namespace, violation.kind] += count
    assert seen == told


def test_each_violation_let_through_makes_two_events() -> None:
    life = Life()
    life.scenario.advance(1800)
    let_through = life.world.allowed.total() + life.world.scanned.total()
    kinds = Counter(e["regarding"]["kind"].endswith("Policy") for e in life.events())
    assert kinds[False] == let_through
    assert kinds[True] == let_through + life.world.blocked.total()


def test_kube_system_sees_blocked_requests_too() -> None:
    life = Life()
    life.scenario.advance(600)
    assert any(violation.namespace == "kube-system" for violation in life.world.blocked)


def test_events_are_deleted_after_their_time() -> None:
    life = Life()
    life.scenario.advance(1.5 * EVENT_TTL_SECONDS)
    oldest = min(e["metadata"]["creationTimestamp"] for e in life.events())
    assert oldest >= "2026-11-23T12:29"
    deleted = [e for e in life.store.since(EVENTS.name, life.store.floor) if e.new is None]
    assert deleted


def test_a_rescan_rewrites_timestamps_and_nothing_else() -> None:
    life = Life()
    before = {stored.key: stored.data for stored in life.store.all(POLICY_REPORTS.name)}
    life.clock.now += 3600
    life.world.rescan()
    for stored in life.store.all(POLICY_REPORTS.name):
        old, new = before[stored.key], stored.data
        assert new["summary"] == old["summary"]
        for was, now in zip(old["results"], new["results"], strict=True):
            assert now["timestamp"]["seconds"] == was["timestamp"]["seconds"] + 3600
            assert {**now, "timestamp": 0} == {**was, "timestamp": 0}
        assert new["metadata"]["generation"] == 2


def test_a_policy_goes_from_audit_to_enforce() -> None:
    life = Life()

    def action() -> str:
        policy = life.store.get(CLUSTER_POLICIES.name, "", "require-labels")
        assert policy
        found: str = policy.data["spec"]["rules"][0]["validate"]["failureAction"]
        return found

    assert action() == "Audit"
    life.scenario.advance(421)
    assert action() == "Enforce"
    life.scenario.advance(600)
    assert any(violation.policy == "require-labels" for violation in life.world.blocked)


def test_violations_come_and_go_and_the_cluster_keeps_its_size() -> None:
    life = Life()
    sizes, failing = set(), set()
    for _ in range(16):
        life.scenario.advance(900)
        sizes.add(len(life.world.subjects))
        failing.add(len(life.world.failing()))
    assert max(sizes) < 250
    assert 20 < min(failing) < max(failing) < 200


def test_every_report_follows_its_subject() -> None:
    life = Life(3)
    life.scenario.advance(3600)
    assert {stored.data["metadata"]["name"] for stored in life.store.all(POLICY_REPORTS.name)} == {
        uid for uid, subject in life.world.subjects.items() if subject.target.namespace
    }
    for stored in life.store.all(POLICY_REPORTS.name):
        subject = life.world.subjects[stored.data["metadata"]["name"]]
        not_passed = sum(stored.data["summary"].values()) - stored.data["summary"]["pass"]
        assert not_passed == len(subject.verdicts)


async def test_play_passes_simulated_time_at_its_speed() -> None:
    scenario = living(seed=5)
    began = scenario.world.blocked.total()
    playing = asyncio.create_task(play(scenario, speed=400))
    async with asyncio.timeout(10):
        while scenario.world.blocked.total() == began:
            await asyncio.sleep(STEP_SECONDS)
    playing.cancel()
    assert scenario.elapsed > 3
    assert abs(scenario.world.store.clock() - time.time()) < 1
