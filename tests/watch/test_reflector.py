"""A follower's own promises: what its version covers, what it says, where it begins."""

import random

import pytest

from exporter.model.changes import Applied, Change, Deleted, InitDone, Scope
from exporter.model.metadata import version_number
from exporter.model.resource import CLUSTER_POLICY_REPORTS, NAMESPACES, POLICY_REPORTS, Resource
from exporter.watch.lists import FIRST_PAGE_OBJECTS, NamespaceLists
from tests.apiserver import faults
from tests.virtual_time import virtual
from tests.watch.cluster import Followed

pytestmark = pytest.mark.tier("simulator")


@virtual
async def test_a_saved_version_is_resumed_without_a_list() -> None:
    it = Followed()
    it.put("before")
    it.since = str(it.store.version)
    it.put("meanwhile")
    async with it.running():
        await it.until(lambda: it.mirror.names)
        assert it.reflector.synced
        assert it.mirror.kinds() == ["Applied meanwhile"]
        assert it.asked("list") == []


@virtual
async def test_a_saved_version_that_expired_leads_to_a_list() -> None:
    it = Followed()
    it.put("a")
    it.since = "1000"
    it.expire()
    async with it.running():
        await it.in_step()
        assert it.counts.relists == {"expired": 1}


@virtual
async def test_a_saved_version_that_the_server_cannot_read_leads_to_a_list() -> None:
    it = Followed()
    it.since = "not-a-version"
    it.put("a")
    async with it.running():
        await it.in_step()
        assert it.counts.relists == {"broken": 1}


@virtual
async def test_a_watch_that_the_server_cannot_serve_as_asked_leads_to_a_list() -> None:
    it = Followed()
    it.api.faults.add(faults.Answer(400), it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        assert it.counts.relists == {"unsupported": 1}


@virtual
async def test_a_saved_version_of_a_kind_that_is_gone_is_swept_when_that_is_certain() -> None:
    it = Followed()
    it.since = "1000"
    it.api.unserve(it.resource)
    async with it.running():
        await it.until(lambda: it.reflector.state == "not served")
        assert it.mirror.kinds() == ["Init", "InitDone"]
        assert it.reflector.version == ""


@pytest.mark.parametrize("how", ["pages", "stream", "not served"])
@virtual
async def test_before_a_list_ends_the_sink_forgets_what_it_did_not_bring_in_turns(how: str) -> None:
    it = Followed(stream=how == "stream")
    it.fill(2 * FIRST_PAGE_OBJECTS)
    seen: list[tuple[int, bool]] = []

    def forget_some(scope: Scope) -> bool:
        assert scope == it.scope
        kinds = it.mirror.kinds()
        seen.append((len(kinds), kinds[-1] == "InitDone"))
        return len(seen) % 3 != 0

    it.forget_some = forget_some
    async with it.running():
        await it.in_step()
        if how == "not served":
            seen.clear()
            it.api.unserve(it.resource)
            await it.until(lambda: it.reflector.state == "not served")
        kinds = it.mirror.kinds()
    assert len(seen) == 3
    assert {place for place, _ in seen} == {len(kinds) - 1 - kinds[::-1].index("InitDone")}
    assert not any(over for _, over in seen)


@virtual
async def test_the_version_covers_what_the_sink_was_given_and_no_more() -> None:
    it = Followed()
    chance = random.Random(4)
    given: list[tuple[str, str]] = []

    def note(change: Change) -> None:
        if it.asked("watch") and isinstance(change, Applied | Deleted):
            given.append((it.reflector.version, change.object.version))

    it.watches_sink(note)
    async with it.running():
        await it.in_step()
        for _ in range(200):
            it.put(
                f"r{chance.randrange(9)}", failed=chance.randrange(2), message=str(chance.random())
            )
        await it.in_step()
    assert len(given) == 200
    # What is being given now is not covered yet; what was given before is.
    assert all(version_number(version) < version_number(now) for version, now in given)
    assert [version for version, _ in given[1:]] == [now for _, now in given[:-1]]


@virtual
async def test_nothing_is_complete_or_up_before_the_first_list_has_ended() -> None:
    it = Followed(stream=False, page_objects=10)
    it.fill(30)
    stands: list[tuple[str, bool, bool, str]] = []
    it.watches_sink(
        lambda _: stands.append(
            (it.reflector.state, it.reflector.up, it.reflector.synced, it.reflector.version)
        )
    )
    async with it.running():
        await it.in_step()
    assert set(stands) == {("listing", False, False, "")}


@virtual
async def test_a_failure_is_known_with_its_reason_until_it_is_over() -> None:
    it = Followed()
    it.api.faults.add(faults.Answer(503), it.resource.name, times=None)
    async with it.running():
        began = it.reflector.since
        await it.passes(60)
        assert (it.reflector.up, it.reflector.state) == (False, "failing")
        assert "503" in str(it.reflector.last_error)
        assert it.reflector.since == began
        it.api.faults.clear()
        await it.in_step()
        await it.passes(60)
        assert (it.reflector.up, it.reflector.last_error) == (True, None)
        assert it.reflector.since > began


@virtual
async def test_watches_end_at_different_times() -> None:
    asked = set()
    for chance in (0.0, 0.4, 0.99):
        it = Followed(chance=chance)
        async with it.running():
            await it.in_step()
            asked.add(it.asked("watch")[0]["timeoutSeconds"])
    assert asked == {"300", "420", "597"}


@virtual
async def test_times_are_those_of_the_wall_clock() -> None:
    it = Followed()
    async with it.running():
        await it.in_step()
        synced = it.reflector.last_sync
        await it.passes(100)
        it.put("a")
        await it.in_step()
        assert it.reflector.last_sync == synced
        assert it.reflector.last_change == pytest.approx(synced + 100, abs=1)


@virtual
async def test_a_fault_of_the_sink_is_not_taken_for_one_of_the_server() -> None:
    it = Followed()
    it.put("a")

    def fail(_: Change) -> None:
        raise ZeroDivisionError

    it.watches_sink(fail)
    async with it.running():
        with pytest.raises(ZeroDivisionError):
            await it.task


@pytest.mark.parametrize(
    ("resource", "namespace"), [(CLUSTER_POLICY_REPORTS, ""), (POLICY_REPORTS, "team-a")]
)
@virtual
async def test_what_is_not_of_several_namespaces_is_read_by_pages(
    resource: Resource, namespace: str
) -> None:
    it = Followed(
        resource=resource, namespace=namespace, stream=False, page_objects=5, lists=NamespaceLists
    )
    for i in range(12):
        it.put(f"r{i}", namespace)
    async with it.running():
        await it.in_step()
        assert [call.page for call in it.calls("list")] == [1, 2, 3]


@virtual
async def test_namespaces_read_in_parallel_miss_nothing_that_happens_meanwhile() -> None:
    it = Followed(stream=False, page_objects=5, lists=NamespaceLists, generous=True)
    chance = random.Random(8)
    for i in range(12):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"ns-{i}"}}
        it.store.create(NAMESPACES.name, namespace)
    for i in range(400):
        it.put(f"r{i}", f"ns-{chance.randrange(10)}")
    left = 300

    def meddle(change: Change) -> None:
        nonlocal left
        if left and isinstance(change, Applied):
            left -= 1
            namespace, name = chance.choice(list(it.truth))
            it.drop(name, namespace)
            it.put(f"r{chance.randrange(600)}", f"ns-{chance.randrange(15)}", failed=1)

    it.watches_sink(meddle)
    async with it.running():
        await it.in_step()
        assert left == 0
        namespaces = {call.namespace for call in it.calls("list")}
        assert len(namespaces) > 10
        assert it.asked("watch")[0]["resourceVersion"] == "1412"
        assert [type(each) for each in it.mirror.changes].count(InitDone) == 1
