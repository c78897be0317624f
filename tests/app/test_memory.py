"""What garbage collection costs an event loop."""

import gc
from collections.abc import Iterator

import pytest

from exporter.app.memory import settle_after_sync


@pytest.fixture
def collected() -> Iterator[list[int]]:
    """The generations that are collected meanwhile."""
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)
    gc.unfreeze()


def test_the_end_of_a_first_sync_visits_only_young_objects(collected: list[int]) -> None:
    settle_after_sync()
    assert 1 in collected
    assert 2 not in collected


def test_what_a_first_sync_loaded_is_not_visited_when_it_changes(collected: list[int]) -> None:
    counts = {("team-a", str(number)): number for number in range(1_000)}
    settle_after_sync()
    counts["team-b", str(len(counts))] = 1
    assert not any(each is counts for each in gc.get_objects())
    assert collected
