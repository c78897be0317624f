"""A second state beside a first takes over what the cluster does not tell it."""

from exporter.state.recent import Block
from exporter.state.selection import Filters, Globs, Selection
from exporter.state.tally import Counters
from tests.state.violations import NOW, Cluster, event

NOT_TEAM_A = Selection(Filters(namespaces=Globs(exclude=("team-a",))))


def numbers(cluster: Cluster) -> list[int]:
    return [block.number for block in cluster.violation_events.recent.blocks]


def test_blocks_keep_the_numbers_that_they_were_told_with() -> None:
    first, second = Cluster(), Cluster(listed=False)
    first.sees(event("p.1", seconds=NOW - 60), event("p.2", seconds=NOW - 50))
    second.list(event("p.2", seconds=NOW - 50), event("p.1", seconds=NOW - 60))
    assert numbers(first) != numbers(second)
    second.violation_events.go_on_from(first.violation_events)
    second.violation_events.go_on_from(first.violation_events)
    assert numbers(first) == numbers(second)


def test_a_block_whose_event_is_gone_is_taken_over_and_told_once() -> None:
    first, second = Cluster(), Cluster()
    first.sees(event("p.1"))
    told: list[Block] = []
    second.violation_events.recent.listeners.append(told.append)
    second.violation_events.go_on_from(first.violation_events)
    second.violation_events.go_on_from(first.violation_events)
    assert second.violation_events.recent.blocks == first.violation_events.recent.blocks == told
    assert second.violation_events.recent.gauge.rows == first.violation_events.recent.gauge.rows
    assert second.violation_events.last.rows == first.violation_events.last.rows


def test_what_only_the_second_has_heard_of_is_numbered_after_the_rest() -> None:
    first, second = Cluster(), Cluster()
    second.sees(event("p.2", seconds=NOW - 90, pod="other"))
    first.sees(event("p.1"))
    second.violation_events.go_on_from(first.violation_events)
    other, web = second.violation_events.recent.blocks
    assert (other.name, web.name) == ("other", "web")
    assert other.number > web.number


def test_what_the_second_leaves_out_is_not_taken_over() -> None:
    first, second = Cluster(), Cluster(selection=NOT_TEAM_A)
    first.sees(event("p.1"))
    second.violation_events.go_on_from(first.violation_events)
    assert second.violation_events.recent.blocks == []
    assert second.violation_events.last.rows == {}


def test_a_count_is_raised_and_never_lowered() -> None:
    counters = Counters(10)
    counters.add(("a",), 5)
    counters.raise_to(("a",), 3, unborn=False)
    counters.raise_to(("b",), 2, unborn=True)
    counters.raise_to(("c",), 2, unborn=False)
    assert counters.rows == {("a",): 5, ("b",): 2, ("c",): 2}
    assert counters.unborn == {("a",), ("b",)}
