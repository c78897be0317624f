"""The checkpoint in an object: its size, how often it is written, and by whom."""

import asyncio
import random
from pathlib import Path

import msgspec
import pytest

from exporter.app.composed import CopyingStore
from exporter.checkpoint.failures import FailureColumns, FailureGroup, KnownFailure, columns_of
from exporter.checkpoint.file import StateFile
from exporter.checkpoint.format import SCHEMA, Checkpoint, Row, decode, fit
from exporter.checkpoint.object import LIMIT_BYTES, ObjectStore, OvertakenError
from exporter.errors import StateError
from tests.checkpoint.objects import MemoryObject
from tests.virtual_time import virtual

MINUTE = 60.0
BYTES_A_MINUTE = 1_000_000
BARE = Checkpoint(
    schema=SCHEMA,
    cluster="c",
    saved_at=1_795_000_000.0,
    versions={"events.events.k8s.io/": "7"},
    scopes=[],
    counters={"events": [], "opened": [], "closed": []},
    repeated=[],
    failures=FailureColumns(),
)


def counters(number: int) -> list[Row]:
    """Rows of blocked requests, as different as in a cluster."""
    chance = random.Random(1)
    return [
        (
            (
                f"team-{n % 200}",
                chance.choice(["Pod", "Deployment", "Ingress"]),
                f"policy-{chance.randrange(30)}",
                "ClusterPolicy",
                f"autogen-rule-{chance.randrange(60)}",
                "blocked",
                chance.choice(["high", "medium"]),
                f"category-{chance.randrange(5)}",
                "admission",
            ),
            chance.randrange(100_000),
        )
        for n in range(number)
    ]


def failures(number: int, namespaces: int = 200) -> FailureColumns:
    """Failures that began at any second of the last thirty days."""
    chance = random.Random(2)
    return columns_of(
        KnownFailure(
            chance.getrandbits(64),
            1_795_000_000 - chance.randrange(30 * 86_400),
            FailureGroup(
                chance.choice(["Pod", "Deployment"]),
                f"team-{n % namespaces}",
                f"policy-{chance.randrange(30)}",
                "medium",
                "kyverno",
            ),
        )
        for n in range(number)
    )


def holding(counted: int, failing: int) -> Checkpoint:
    rows = {"events": counters(counted), "opened": [], "closed": []}
    return msgspec.structs.replace(BARE, counters=rows, failures=failures(failing))


def saying(number: int) -> Checkpoint:
    return msgspec.structs.replace(BARE, saved_at=1_795_000_000.0 + number)


@pytest.fixture(scope="module")
def large() -> Checkpoint:
    return holding(5_000, 50_000)


def test_50_000_failures_and_5_000_counters_fit(large: Checkpoint) -> None:
    fitted = fit(large, LIMIT_BYTES)
    assert fitted.checkpoint is large
    assert len(fitted.content) <= LIMIT_BYTES
    assert decode(fitted.content) == large


def test_what_is_too_large_keeps_counters_first_and_the_oldest_failures(large: Checkpoint) -> None:
    fitted = fit(large, 300_000)
    kept = fitted.checkpoint
    assert len(fitted.content) <= 300_000
    assert len(fitted.content) > 250_000, "the room is used"
    assert kept.counters == large.counters
    lost = sum(kept.failures.cut.values())
    assert lost + len(kept.failures) == 50_000
    assert len(kept.failures.cut) == 200, "all namespaces are of one size, and give alike"
    assert max(kept.failures.cut.values()) - min(kept.failures.cut.values()) <= 1
    of_one = [row.since for row in large.failures.rows() if row.group.namespace == "team-7"]
    kept_of_one = [row.since for row in kept.failures.rows() if row.group.namespace == "team-7"]
    assert sorted(kept_of_one) == sorted(of_one)[: len(kept_of_one)]


def test_counters_leave_a_third_of_the_room_to_failures(large: Checkpoint) -> None:
    fitted = fit(large, 60_000)
    kept = fitted.checkpoint
    assert len(fitted.content) <= 60_000
    rows = kept.counters["events"]
    assert len(rows) + kept.counters_cut == 5_000
    dropped = {n for _, n in large.counters["events"]} - {n for _, n in rows}
    assert min(n for _, n in rows) >= max(dropped), "the largest values are kept"
    assert len(kept.failures) > 1_000


@virtual
async def test_a_checkpoint_is_read_as_it_was_written() -> None:
    api = MemoryObject()
    store = ObjectStore(api, "pod-a")
    assert await store.open() is None
    await store.save(saying(1))
    content = await ObjectStore(api, "pod-a").open()
    assert content is not None
    assert decode(content) == saying(1)


@virtual
async def test_a_label_that_a_person_sets_is_no_conflict() -> None:
    api = MemoryObject()
    store = ObjectStore(api, "pod-a")
    await store.open()
    await store.save(saying(1))
    api.touch()
    await store.save(saying(2))
    assert decode(api.stored.content) == saying(2)
    assert not store.following


@virtual
async def test_a_write_whose_answer_was_lost_is_known_again() -> None:
    api = MemoryObject()
    store = ObjectStore(api, "pod-a")
    await store.open()
    await store.save(saying(1))
    api.fails = ["lost"]
    with pytest.raises(StateError, match="no answer in time"):
        await store.save(saying(2))
    await store.save(saying(3))
    assert decode(api.stored.content) == saying(3)


@virtual
async def test_a_checkpoint_of_another_process_is_not_overwritten() -> None:
    api = MemoryObject()
    store = ObjectStore(api, "pod-a")
    await store.open()
    await store.save(saying(1))
    theirs = fit(saying(2), LIMIT_BYTES).content
    api.put(theirs, "pod-b")
    with pytest.raises(OvertakenError, match="pod-b wrote it in the meantime"):
        await store.save(saying(3))
    assert api.stored.content == theirs
    assert store.following


@pytest.mark.parametrize(
    ("writer", "active", "follows"),
    [("pod-b", "true", True), ("pod-b", "false", False), ("pod-a", "true", False)],
    ids=["another writes", "another has ended", "this container began again"],
)
@virtual
async def test_who_follows_at_the_start(writer: str, active: str, follows: bool) -> None:
    api = MemoryObject()
    api.put(b"content", writer)
    notes = {**api.stored.annotations, "policy-report-exporter/active": active}
    api.stored = api.stored._replace(annotations=notes)
    store = ObjectStore(api, "pod-a")
    await store.open()
    assert store.following is follows


@pytest.mark.parametrize("how", ["away", "unauthorized"])
@virtual
async def test_an_api_server_that_answers_nothing_is_waited_for(how: str) -> None:
    api = MemoryObject()
    api.put(b"content", "pod-a")
    api.fails = [how] * 20
    assert await ObjectStore(api, "pod-a").open() == b"content"


@virtual
async def test_an_object_that_is_missing_for_long_is_named_with_what_to_do() -> None:
    api = MemoryObject()
    api.missing = True
    began = asyncio.get_running_loop().time()
    with pytest.raises(StateError, match=r"ConfigMap ns/state: .* create it"):
        await ObjectStore(api, "pod-a").open()
    assert 30 <= asyncio.get_running_loop().time() - began < 90


@virtual
async def test_on_average_one_megabyte_a_minute_is_written(large: Checkpoint) -> None:
    api, loop = MemoryObject(), asyncio.get_running_loop()
    store = ObjectStore(api, "pod-a")
    await store.open()
    began = loop.time()
    for _ in range(5):
        await store.save(large)
        await asyncio.sleep(store.pause_seconds)
    written = sum(map(len, api.writes))
    minutes = (loop.time() - began) / MINUTE
    assert 0.95 * BYTES_A_MINUTE < written / minutes <= BYTES_A_MINUTE


@virtual
async def test_failures_are_retried_with_growing_pauses() -> None:
    api = MemoryObject()
    store = ObjectStore(api, "pod-a")
    await store.open()
    pauses: list[float] = []
    for _ in range(6):
        api.fails = ["away"]
        with pytest.raises(StateError, match="connection refused"):
            await store.save(saying(1))
        pauses.append(store.pause_seconds)
        await asyncio.sleep(store.pause_seconds)
    assert pauses[-1] > 5 * pauses[0]
    await store.save(saying(1))
    assert store.pause_seconds < 1


@virtual
async def test_people_see_who_wrote_it_when_and_how_much() -> None:
    api = MemoryObject()
    store = ObjectStore(api, "pod-a")
    await store.open()
    await store.save(holding(5, 3))
    notes = {
        k.removeprefix("policy-report-exporter/"): v for k, v in api.stored.annotations.items()
    }
    assert notes == {
        "active": "true",
        "writer": "pod-a",
        "written-at": "2026-11-18T11:06:40+00:00",
        "failures": "3",
        "failures-left-out": "0",
        "counters": "5",
        "counters-left-out": "0",
    }
    await store.close()
    assert api.stored.annotations["policy-report-exporter/active"] == "false"
    assert decode(api.stored.content) == holding(5, 3)


@virtual
async def test_a_directory_that_is_empty_begins_with_the_copy_and_ends_with_one(
    tmp_path: Path,
) -> None:
    api = MemoryObject()
    api.put(fit(saying(1), LIMIT_BYTES).content, "pod-before")
    store = CopyingStore(StateFile(tmp_path), ObjectStore(api, "pod-a"))
    content = await store.open()
    assert content is not None
    assert decode(content) == saying(1)
    await store.save(saying(2))
    assert decode(api.stored.content) == saying(1), "the directory counts meanwhile"
    await store.close()
    store.release()
    assert decode(api.stored.content) == saying(2)
    again = StateFile(tmp_path)
    assert decode(await again.open() or b"") == saying(2)
    again.release()


@virtual
async def test_a_copy_that_cannot_be_read_or_written_does_not_matter(tmp_path: Path) -> None:
    api = MemoryObject()
    api.missing = True
    store = CopyingStore(StateFile(tmp_path), ObjectStore(api, "pod-a"))
    assert await store.open() is None
    await store.save(saying(2))
    await store.close()
    store.release()
    assert decode((tmp_path / "checkpoint.json").read_bytes()) == saying(2)
