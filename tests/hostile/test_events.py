"""What a forged Event can do, and what it cannot: docs/security.md says the same."""

from typing import Any

import pytest

from exporter.state.recent import MOST
from exporter.state.violation_events import MAX_SEEN_DELETED
from tests.hostile.objects import EVIL
from tests.state.violations import NOW, Cluster, cluster_policy, event, old_event

MINE = {"metadata": {"name": "forged", "namespace": EVIL}}
"""In a namespace where somebody may create Events."""

REFUSED: dict[str, dict[str, Any]] = {
    "about a cluster policy": MINE,
    "about a policy elsewhere": MINE
    | {"regarding": {"kind": "Policy", "name": "p", "namespace": "team-a"}},
    "about a policy in no namespace": MINE | {"regarding": {"kind": "Policy", "name": "p"}},
    "my policy, their resource": MINE
    | {"regarding": {"kind": "Policy", "name": "p", "namespace": EVIL}},
    "my policy, their resource in the note": MINE
    | {"regarding": {"kind": "Policy", "name": "p", "namespace": EVIL}, "related": None},
    "a native policy": MINE | {"regarding": {"kind": "ValidatingAdmissionPolicy", "name": "p"}},
    "another kind": MINE | {"regarding": {"kind": "Secret", "name": "p", "namespace": EVIL}},
    "another controller": {"reportingController": "evil"},
    "another controller in the older field": {
        "reportingController": "evil",
        "reportingComponent": "kyverno-admission",
    },
}


@pytest.mark.parametrize("forged", REFUSED.values(), ids=REFUSED)
def test_who_may_write_elsewhere_cannot_speak_for_others(forged: dict[str, Any]) -> None:
    cluster = Cluster()
    cluster.sees(event(**forged))
    assert cluster.total == 0
    assert cluster.violation_events.live_objects == 0
    assert cluster.violation_events.recent.blocks == []


def mine(name: str = "forged", pod: str = "x", **changes: Any) -> dict[str, Any]:
    """What counts: his own policy's judgement of his own resource."""
    return {
        "name": name,
        "metadata": {"name": name, "namespace": EVIL},
        "regarding": {"kind": "Policy", "name": "p", "namespace": EVIL},
        "related": {"kind": "Pod", "namespace": EVIL, "name": pod},
        **changes,
    }


def test_who_may_write_in_a_namespace_can_speak_for_it_alone() -> None:
    cluster = Cluster()
    cluster.sees(event(), event(**mine()))
    assert {row[:3] for row in cluster.violation_events.total.rows} == {
        ("team-a", "Pod", "p"),
        (EVIL, "Pod", "evil/p"),
    }


def test_who_may_write_in_default_can_speak_for_any_cluster_policy() -> None:
    """The limit that operators must know; Events say nothing of who created them."""
    cluster = Cluster()
    cluster.sees(event("forged", policy="invented"))
    assert cluster.total == 1


def test_known_policies_only_keeps_invented_policies_out() -> None:
    cluster = Cluster(known_policies_only=True)
    cluster.knows(cluster_policy("p"))
    cluster.sees(event(), event("forged", policy="invented"), event(**mine()))
    assert [row[2] for row in cluster.violation_events.total.rows] == ["p"]


@pytest.mark.parametrize("count", [2**31, 2**63, 10**40])
def test_a_forged_count_is_bounded_and_stays_in_its_own_row(count: int) -> None:
    cluster = Cluster()
    cluster.sees(event(), event(**mine(deprecatedCount=count)), event(**mine(deprecatedCount=1)))
    rows = cluster.violation_events.total.rows
    assert {row[0]: value for row, value in rows.items()} == {"team-a": 1, EVIL: 2**31}


@pytest.mark.parametrize(
    "instant",
    ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1969-07-20T20:17:40Z", "soon", "9" * 10**6],
)
def test_a_time_that_cannot_be_is_neither_in_the_future_nor_an_error(instant: str) -> None:
    cluster = Cluster()
    cluster.sees(event(**mine(eventTime=instant, deprecatedLastTimestamp=instant)))
    assert cluster.total == 1
    assert all(value <= NOW for value in cluster.violation_events.last.rows.values())
    assert all(len(key[2]) <= 64 for key in cluster.violation_events._seen)


def test_a_flood_does_not_flush_the_others_out_of_the_last_blocks() -> None:
    cluster = Cluster()
    cluster.sees(*(event(f"p.{n}", pod=f"web-{n}", seconds=NOW - 600) for n in range(20)))
    cluster.sees(*(event(**mine(f"f.{n}", f"x-{n}"), seconds=NOW) for n in range(3 * MOST)))
    blocks = cluster.violation_events.recent.blocks
    assert len(blocks) == MOST
    assert sum(block.namespace == "team-a" for block in blocks) == 20
    assert len(cluster.violation_events.recent.gauge.rows) == MOST


def test_a_flood_of_tombstones_changes_no_number_that_stands() -> None:
    """What it can do: an Event that old recorders raise after it expired counts from 0 again."""
    cluster = Cluster()
    cluster.sees(event(), old_event(5))
    cluster.loses(event())
    for number in range(MAX_SEEN_DELETED + 10):
        forged = event(**mine(f"f.{number}", eventTime="2026-08-20T08:01:46Z"))
        cluster.sees(forged)
        cluster.loses(forged)
    mine_total = sum(
        v for row, v in cluster.violation_events.total.rows.items() if row[0] == "team-a"
    )
    assert mine_total == 6
    assert len(cluster.violation_events.seen_deleted) == MAX_SEEN_DELETED
    cluster.sees(old_event(6))
    assert sum(v for r, v in cluster.violation_events.total.rows.items() if r[0] == "team-a") == 7
