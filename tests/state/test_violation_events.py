"""Violations that happened are counted once each, whatever the server tells and forgets."""

from typing import Any

import pytest

from exporter.model.changes import Applied, Init, InitDone
from exporter.model.event import Event
from exporter.state.recent import MOST
from exporter.state.selection import Filters, Globs, Selection
from exporter.state.tally import OVERFLOW
from tests.state.violations import (
    NOW,
    SCOPE,
    Cluster,
    at,
    cel_policy,
    cluster_policy,
    event,
    old_event,
)


def test_a_blocked_request_is_one() -> None:
    cluster = Cluster()
    cluster.knows(cluster_policy("p", severity="high", category="Baseline"))
    cluster.sees(event())
    row = ("team-a", "Pod", "p", "ClusterPolicy", "r", "blocked", "high", "Baseline", "admission")
    assert cluster.violation_events.total.rows == {row: 1}


def test_what_happened_before_the_first_list_does_not_count() -> None:
    cluster = Cluster(listed=False)
    cluster.list(event())
    assert cluster.total == 0
    cluster.sees(event("p.2"))
    assert cluster.total == 1


def test_an_event_told_again_is_the_same_one() -> None:
    cluster = Cluster()
    cluster.sees(event(), event(), event(version=99))
    assert cluster.total == 1


@pytest.mark.parametrize(
    "other",
    [
        event("p.2"),
        event(seconds=NOW - 59),
        event(
            metadata={"name": "p.1", "namespace": "team-a"},
            regarding={"kind": "Policy", "name": "p", "namespace": "team-a"},
        ),
    ],
    ids=["another name", "another first time", "another namespace"],
)
def test_events_differ_by_namespace_name_and_first_time(other: object) -> None:
    cluster = Cluster()
    cluster.sees(event(), other)  # type: ignore[arg-type]  # an Event each
    assert cluster.total == 2


@pytest.mark.parametrize("field", ["deprecatedCount", "count"])
def test_old_recorders_count_an_event_up(field: str) -> None:
    cluster = Cluster()
    for count in (1, 2, 2, 7):
        counted: dict[str, Any] = {"deprecatedCount": None, field: count}
        cluster.sees(old_event(**counted))
    assert cluster.total == 7


def test_a_series_counts_by_its_difference() -> None:
    cluster = Cluster()
    cluster.sees(event())
    for count in (2, 5):
        cluster.sees(event(series={"count": count, "lastObservedTime": at(NOW)}))
    assert cluster.total == 5


def test_a_count_that_goes_down_takes_nothing_away() -> None:
    cluster = Cluster()
    cluster.sees(old_event(5), old_event(3), old_event(6))
    assert cluster.total == 6


def test_every_later_occurrence_is_the_newest_event() -> None:
    cluster = Cluster()
    for count in (1, 2):
        cluster.sees(old_event(count, last=NOW - 60 + count))
    assert cluster.violation_events.last.rows == {("team-a", "p", "blocked"): NOW - 58}
    assert [block.seconds for block in cluster.violation_events.recent.blocks] == [
        NOW - 59,
        NOW - 58,
    ]


def test_an_expired_event_that_is_made_again_brings_only_its_difference() -> None:
    cluster = Cluster()
    cluster.sees(old_event(5))
    cluster.loses(old_event(5))
    cluster.sees(old_event(6, version=99))
    assert cluster.total == 6


def test_expiry_takes_an_event_from_the_live_ones_only() -> None:
    cluster = Cluster()
    cluster.sees(event(), event("p.2"))
    cluster.loses(event())
    assert cluster.total == 2
    assert cluster.violation_events.live.rows == {("team-a", "p", "blocked"): 1}
    assert cluster.violation_events.live_objects == 1


def test_a_last_state_may_bring_a_last_occurrence() -> None:
    cluster = Cluster()
    cluster.sees(old_event(1))
    cluster.loses(old_event(3))
    assert cluster.total == 3
    assert cluster.violation_events.live.rows == {}


def test_a_relist_counts_only_what_is_new_and_buries_what_is_gone() -> None:
    cluster = Cluster()
    cluster.sees(event(), event("p.2"))
    cluster.list(event("p.2"), event("p.3"))
    assert cluster.total == 3
    assert cluster.violation_events.live_objects == 2
    cluster.list(event())
    assert cluster.total == 3, "a list from a lagging replica"


def test_a_list_that_breaks_buries_nothing() -> None:
    cluster = Cluster()
    cluster.sees(event(), event("p.2"))
    cluster.apply(Init(SCOPE), Applied(SCOPE, event("p.2")))
    assert cluster.violation_events.live.rows == {("team-a", "p", "blocked"): 2}
    cluster.apply(Init(SCOPE), Applied(SCOPE, event()), InitDone(SCOPE))
    assert cluster.violation_events.live.rows == {("team-a", "p", "blocked"): 1}
    assert cluster.total == 2


def test_an_audited_violation_with_its_two_events_is_one() -> None:
    cluster = Cluster()
    about_pod: dict[str, Any] = {"regarding": {"kind": "Pod", "name": "web", "namespace": "team-a"}}
    about_pod |= {"note": "policy p/r fail: no", "related": None}
    metadata = {"name": "web.2", "namespace": "team-a"}
    cluster.sees(event(blocked=False), event(blocked=False, metadata=metadata, **about_pod))
    assert cluster.outcomes == {"allowed": 1}


CLAIMS = {
    "its own actions deny": (("Deny",), "blocked"),
    "no actions are Deny": ((), "blocked"),
    "it denies besides": (("Audit", "Deny"), "blocked"),
    "another policy in the call denied": (("Audit",), "allowed"),
    "it only warns": (("Warn",), "allowed"),
}


@pytest.mark.parametrize(("actions", "outcome"), CLAIMS.values(), ids=CLAIMS.keys())
def test_a_cel_policy_blocked_only_where_it_denies(actions: tuple[str, ...], outcome: str) -> None:
    cluster = Cluster()
    cluster.knows(cel_policy("p", *actions))
    cluster.sees(event(kind="ValidatingPolicy"))
    assert cluster.outcomes == {outcome: 1}


def test_an_unknown_cel_policy_is_taken_at_its_word() -> None:
    cluster = Cluster()
    cluster.sees(event(kind="ValidatingPolicy"))
    assert cluster.outcomes == {"blocked": 1}


@pytest.mark.parametrize("skew", [-600.0, 600.0])
def test_w37_a_local_clock_that_is_wrong_changes_no_count(skew: float) -> None:
    right, wrong = Cluster(listed=False), Cluster(listed=False)
    wrong.clock.now += skew
    for cluster in (right, wrong):
        cluster.violation_events.watermarks[SCOPE] = 20
        cluster.list(event(version=19), event("p.2", version=21), old_event(4, version=22))
        cluster.sees(event("p.3", seconds=NOW), event("p.4", seconds=NOW + 700))
        cluster.loses(event("p.2"))
    assert wrong.violation_events.total.rows == right.violation_events.total.rows
    assert wrong.violation_events.live.rows == right.violation_events.live.rows
    assert right.total == 7


def test_no_time_of_an_event_lies_in_the_future() -> None:
    cluster = Cluster()
    cluster.sees(event(seconds=NOW + 3600))
    assert cluster.violation_events.last.rows == {("team-a", "p", "blocked"): NOW}


def test_only_the_named_controllers_count() -> None:
    cluster = Cluster(controllers=("kyverno-admission",))
    cluster.sees(event(), event("p.2", reportingController="kyverno-scan"))
    assert cluster.total == 1


def test_scans_are_told_from_admission() -> None:
    cluster = Cluster()
    cluster.sees(event(), event("p.2", reportingController="kyverno-scan"))
    assert {row[8] for row in cluster.violation_events.total.rows} == {"admission", "scan"}


def test_events_may_be_believed_of_known_policies_only() -> None:
    cluster = Cluster(known_policies_only=True)
    cluster.sees(event())
    cluster.knows(cluster_policy("p"))
    cluster.sees(event("p.2"))
    assert cluster.total == 1


FILTERED = {
    "namespaces": Filters(namespaces=Globs(exclude=("team-*",))),
    "policies": Filters(policies=Globs(include=("q*",))),
    "kinds": Filters(kinds=Globs(exclude=("Pod",))),
}


@pytest.mark.parametrize("filters", FILTERED.values(), ids=FILTERED.keys())
def test_what_the_filters_leave_out_does_not_count(filters: Filters) -> None:
    cluster = Cluster(selection=Selection(filters))
    cluster.sees(event())
    assert (cluster.total, cluster.violation_events.live_objects) == (0, 0)


def test_autogenerated_rules_fold_onto_their_own() -> None:
    cluster = Cluster()
    cluster.sees(event(note="Pod team-a/web: [autogen-cronjob-r] fail (blocked); no"))
    assert [row[4] for row in cluster.violation_events.total.rows] == ["r"]


def test_policies_beyond_the_limit_fold_and_the_sum_stays() -> None:
    cluster = Cluster()
    cluster.violation_events.total._limit = 40  # one namespace has a tenth of what is left
    for number in range(10):
        cluster.sees(event(f"p.{number}", policy=f"p{number}"))
    rows = cluster.violation_events.total.rows
    assert (len(rows), cluster.total) == (4, 10)
    [folded] = [labels for labels in rows if OVERFLOW in labels]
    assert rows[folded] == 7
    assert [labels[5:7] for labels in rows] == [folded[5:7]] * 4, "outcome and severity stay"
    assert cluster.violation_events.total.folded == 7


def test_the_last_hundred_blocks_are_kept() -> None:
    cluster = Cluster()
    for number in range(MOST + 20):
        cluster.sees(event(f"p.{number}", seconds=NOW - 200 + number, pod=f"web-{number}"))
    blocks = cluster.violation_events.recent.blocks
    assert [block.name for block in blocks] == [f"web-{n}" for n in range(20, MOST + 20)]
    assert len(cluster.violation_events.recent.gauge.rows) == MOST


def test_a_block_is_shown_for_an_hour() -> None:
    cluster = Cluster()
    cluster.sees(event(seconds=NOW))
    cluster.clock.now = NOW + 3599
    cluster.violation_events.recent.expire()
    assert len(cluster.violation_events.recent.gauge.rows) == 1
    cluster.clock.now = NOW + 3601
    cluster.violation_events.recent.expire()
    assert cluster.violation_events.recent.gauge.rows == {}


def test_a_block_of_before_the_first_list_is_shown_though_not_counted() -> None:
    cluster = Cluster(listed=False)
    cluster.list(event())
    assert [block.name for block in cluster.violation_events.recent.blocks] == ["web"]
    assert cluster.total == 0


def test_a_stale_event_does_not_show_its_block_twice() -> None:
    cluster = Cluster()
    cluster.sees(event())
    cluster.loses(event())
    cluster.sees(event())
    assert len(cluster.violation_events.recent.blocks) == 1


def test_an_allowed_violation_is_no_block() -> None:
    cluster = Cluster()
    cluster.sees(event(blocked=False))
    assert cluster.violation_events.recent.blocks == []


def claim(name: str = "p.1") -> Event:
    """An Event of a CEL policy that claims a block, a minute old."""
    return event(name, kind="ValidatingPolicy")


def live(cluster: Cluster) -> list[str]:
    return [outcome for _, _, outcome in cluster.violation_events.live.rows]


@pytest.mark.parametrize(("before", "after"), [("Audit", "Deny"), ("Deny", "Audit")])
def test_an_event_keeps_its_verdict_when_its_policy_changes(before: str, after: str) -> None:
    cluster = Cluster()
    cluster.knows(cel_policy("p", before))
    cluster.sees(claim())
    cluster.knows(cel_policy("p", after, changed=NOW - 5))
    cluster.sees(claim())
    cluster.list(claim())
    assert live(cluster) == ["allowed" if before == "Audit" else "blocked"]


def test_of_an_event_older_than_its_policys_change_the_claim_counts() -> None:
    cluster = Cluster(listed=False)
    cluster.knows(cel_policy("p", "Audit", changed=NOW - 5))
    cluster.list(claim())
    assert live(cluster) == ["blocked"]


def test_a_claim_of_a_policy_that_is_not_known_is_marked() -> None:
    cluster = Cluster()
    cluster.sees(claim())
    cluster.knows(cel_policy("p", "Deny"))
    cluster.sees(claim("p.2"), event("p.3", policy="unknown"))
    claimed = [block.claimed for block in cluster.violation_events.recent.blocks]
    assert sorted(claimed) == [False, False, True]


def test_what_was_overruled_is_forgotten_with_its_event() -> None:
    cluster = Cluster()
    cluster.knows(cel_policy("p", "Audit"))
    cluster.sees(claim(), claim("p.2"))
    cluster.loses(claim())
    assert len(cluster.violation_events.overruled) == 1
    cluster.list()
    assert cluster.violation_events.overruled == set()
