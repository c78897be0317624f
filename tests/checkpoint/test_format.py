"""What a checkpoint holds comes back as it was, and nothing else does."""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.checkpoint.failures import FailureColumns, PackedFailures
from exporter.checkpoint.filters import CountingFilters
from exporter.checkpoint.format import (
    SCHEMA,
    Checkpoint,
    compress,
    counters_of,
    decode,
    encode,
    restore,
    scope_name,
)
from exporter.errors import StateError
from exporter.model.changes import Scope
from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Filters, Globs, Selection
from tests.state.test_failures import GROUP, Watched, report
from tests.state.violations import NOW, SCOPE, Clock, Cluster, cel_policy, event, old_event

REPORTS = Scope(POLICY_REPORTS)


def taken(state: ClusterState, covered: int) -> bytes:
    """Take a checkpoint of everything as the checkpointer does."""
    return msgspec.json.encode(
        Checkpoint(
            schema=SCHEMA,
            cluster="c",
            saved_at=NOW,
            versions={scope_name(SCOPE): str(covered)},
            scopes=sorted(map(scope_name, state.ledger.counting)),
            counters={name: list(c.rows.items()) for name, c in counters_of(state).items()},
            repeated=state.violation_events.repeated(),
            overruled=sorted(state.violation_events.overruled),
            failures=packed(state),
        )
    )


def packed(state: ClusterState) -> FailureColumns:
    failures = PackedFailures()
    for place, contribution in state.ledger.failures.places.items():
        failures.put(place, contribution)
    return failures.columns()


def after_restart(before: Cluster, covered: int) -> Cluster:
    again = Cluster(listed=False)
    restore(again.state, decode(taken(before.state, covered)), [SCOPE], CountingFilters())
    return again


def test_counters_come_back_and_are_shown_at_once() -> None:
    before = Cluster()
    before.sees(event(), event("p.2"))
    again = after_restart(before, 10)
    assert again.violation_events.total.rows == before.violation_events.total.rows
    assert again.violation_events.total.shown == before.violation_events.total.rows


def test_of_the_first_list_only_what_is_newer_than_the_checkpoint_counts() -> None:
    before = Cluster()
    before.sees(event(version=10))
    again = after_restart(before, 10)
    again.list(event(version=10), event("p.0", version=9), event("p.2", version=11))
    assert again.total == 2


def test_an_event_that_was_counted_up_meanwhile_brings_its_difference() -> None:
    before = Cluster()
    before.sees(old_event(5, version=10))
    again = after_restart(before, 10)
    again.list(old_event(8, version=12))
    assert again.total == 8


def test_an_event_of_an_old_recorder_counts_its_first_occurrence_once() -> None:
    before = Cluster()
    before.sees(old_event(1, version=10))
    again = after_restart(before, 10)
    again.list(old_event(2, version=12))
    assert again.total == 2


def test_an_expired_event_that_is_made_again_brings_its_difference() -> None:
    before = Cluster()
    before.sees(old_event(5, version=10))
    before.loses(old_event(5, version=11))
    again = after_restart(before, 11)
    again.list(old_event(6, version=14))
    assert again.total == 6


def test_what_the_first_list_brought_before_is_no_news_in_the_next_life() -> None:
    before = Cluster(listed=False)
    before.list(event(version=10))
    again = after_restart(before, 10)
    again.list(event(version=10))
    assert again.total == 0


def test_an_admitted_object_is_no_block_after_its_policy_and_the_process_changed() -> None:
    claim = event(kind="ValidatingPolicy", version=10)
    before = Cluster()
    before.knows(cel_policy("p", "Audit"))
    before.sees(claim)
    again = after_restart(before, 10)
    again.knows(cel_policy("p", "Deny", changed=NOW - 5))
    again.list(claim)
    assert [outcome for _, _, outcome in again.violation_events.live.rows] == ["allowed"]
    assert again.violation_events.recent.blocks == []


def reports_after(before: Watched) -> Watched:
    again = Watched.__new__(Watched)
    again.clock = Clock()
    again.state = ClusterState(Selection(), again.clock)
    again.failures = again.state.ledger.failures
    restore(again.state, decode(taken(before.state, 1)), [REPORTS], CountingFilters())
    return again


def test_failures_that_stand_still_open_nothing_and_keep_their_age() -> None:
    before = Watched(report("a", seconds=NOW - 9000))
    again = reports_after(before)
    again.list(report("a", seconds=NOW - 10))
    again.state.ledger.restore.finish()
    assert (again.counts, again.oldest) == ((0, 0), NOW - 9000)


def test_what_was_fixed_broken_and_deleted_meanwhile_counts() -> None:
    before = Watched(report("fixed"), report("gone"), report("kept"), report("new", []))
    again = reports_after(before)
    again.list(report("fixed", []), report("kept"), report("new"))
    assert again.counts == (0, 0), "until all is listed, what is listed later may be newer"
    again.state.ledger.restore.finish()
    assert again.counts == (1, 2)


def test_without_a_checkpoint_the_end_of_the_first_lists_opens_nothing() -> None:
    first = Watched(report("a"))
    first.state.ledger.restore.finish()
    assert first.counts == (0, 0)


def test_a_scope_that_was_never_listed_opens_nothing() -> None:
    before = Watched()
    before.state.ledger.counting.clear()
    again = reports_after(before)
    again.list(report("a"))
    assert again.failures.opened.rows == {GROUP: 0}


@pytest.mark.parametrize("schema", [0, SCHEMA + 1])
def test_another_schema_is_refused_by_its_number(schema: int) -> None:
    body = taken(Cluster().state, 1).replace(b'"schema":2', b'"schema":%d' % schema)
    with pytest.raises(StateError, match=f"unknown schema {schema}, expected {SCHEMA} or 1"):
        decode(body)


def test_a_broken_part_leaves_the_state_as_it_was() -> None:
    before = Cluster()
    before.sees(event())
    body = taken(before.state, 1).replace(b'"hashes":""', b'"hashes":"AAAA"')
    again = Cluster(listed=False)
    with pytest.raises(StateError, match="failures"):
        restore(again.state, decode(body), [SCOPE], CountingFilters())
    assert again.violation_events.total.rows == {}
    assert not again.state.ledger.counting


def test_a_scope_has_one_name_in_all_its_versions() -> None:
    older = EVENTS._replace(version="v1beta1")
    assert scope_name(Scope(older, "n")) == scope_name(Scope(EVENTS, "n"))
    assert scope_name(Scope(EVENTS, "n")) == "events.events.k8s.io/n"


NOT_TEAM_A = CountingFilters(filters=Filters(namespaces=Globs(exclude=("team-a",))))


def choosing(choice: CountingFilters, former: CountingFilters | None, before: Watched) -> Watched:
    """Begin with a checkpoint of *before* that was taken under *former*, under *choice* now."""
    again = Watched.__new__(Watched)
    again.clock = Clock()
    again.state = ClusterState(Selection(choice.filters), again.clock)
    again.failures = again.state.ledger.failures
    checkpoint = msgspec.structs.replace(decode(taken(before.state, 1)), choice=former)
    restore(again.state, checkpoint, [REPORTS], choice)
    return again


@pytest.mark.parametrize("former", [None, CountingFilters()])
def test_what_is_left_out_now_is_not_taken_for_fixed(former: CountingFilters | None) -> None:
    again = choosing(NOT_TEAM_A, former, Watched(report("a")))
    again.list(report("a"))
    again.state.ledger.restore.finish()
    assert sum(again.failures.closed.rows.values()) == 0


def test_what_was_left_out_is_not_taken_for_new() -> None:
    again = choosing(CountingFilters(), NOT_TEAM_A, Watched())
    again.list(report("a"))
    assert again.failures.opened.rows == {GROUP: 0}


def test_counts_that_are_left_out_are_given_back_and_not_shown() -> None:
    before = Cluster()
    before.sees(event())
    again = Cluster(listed=False)
    aside = restore(again.state, decode(taken(before.state, 10)), [SCOPE], NOT_TEAM_A)
    assert aside["events"] == before.violation_events.total.rows
    assert again.violation_events.total.shown == {}


def checkpoint() -> Checkpoint:
    return decode(taken(Watched(report("a")).state, 7))


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    assert decode(encode(checkpoint())) == checkpoint()


def test_a_checkpoint_of_a_version_that_wrote_no_checksum_is_read() -> None:
    assert decode(msgspec.json.encode(checkpoint())) == checkpoint()


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_byte_that_changed_is_damage_or_changes_nothing(at: int, by: int) -> None:
    body = bytearray(encode(checkpoint()))
    body[at % len(body)] ^= by
    with suppress(StateError):
        assert decode(bytes(body)) == checkpoint(), "the name of the checksum changed, or a blank"


def test_a_changed_count_is_damage() -> None:
    body = encode(checkpoint())
    changed = body.replace(b'"high","kyverno"],0]', b'"high","kyverno"],1]')
    assert changed != body
    with pytest.raises(StateError, match="damaged: the checksum"):
        decode(changed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ('"saved_at":', "9" * 5_000),
        ('"saved_at":', "-1"),
        ('"saved_at":', "1e300"),
        ('"schema":', "9" * 5_000),
        ('"counters":', f'{{"events":[[["a"],{"9" * 5_000}]]}}'),
        ('"repeated":', f'[[["a","b","c"],{"9" * 5_000}]]'),
        ('"versions":', f'{{"events":"{"9" * 5_000}"}}'),
    ],
)
def test_an_implausible_number_is_damage(field: str, value: str) -> None:
    fields = json.loads(msgspec.json.encode(checkpoint()))
    name = field.strip('":')
    body = ",".join(
        f'"{key}":{value if key == name else json.dumps(each)}' for key, each in fields.items()
    )
    with pytest.raises(StateError):
        decode(f"{{{body}}}".encode())


@pytest.mark.parametrize("since", ["9" * 5_000, "-1", str(2**62)])
def test_an_implausible_time_of_a_failure_of_schema_1_is_damage(since: str) -> None:
    fields = json.loads(msgspec.json.encode(checkpoint())) | {"schema": 1, "failures": {}}
    row = f'["Pod","a","p","r","kyverno",{since},"high"]'
    body = json.dumps(fields).replace('"failures": {}', f'"failures": {{"team-a":{{"u":[{row}]}}}}')
    with pytest.raises(StateError, match="failures"):
        decode(body.encode())


@pytest.mark.parametrize("column", ["hashes", "starts", "members"])
def test_a_column_of_another_length_is_damage(column: str) -> None:
    whole = checkpoint()
    failures = msgspec.structs.replace(whole.failures, **{column: b"1234567"})
    broken = msgspec.structs.replace(whole, failures=failures)
    with pytest.raises(StateError, match="failures"):
        restore(Watched().state, broken, [SCOPE], CountingFilters())


def test_a_failure_of_an_unknown_group_is_damage() -> None:
    whole = checkpoint()
    failures = msgspec.structs.replace(whole.failures, groups=[])
    with pytest.raises(StateError, match="a member of an unknown group"):
        restore(
            Watched().state,
            msgspec.structs.replace(whole, failures=failures),
            [SCOPE],
            CountingFilters(),
        )


@pytest.mark.parametrize("keep", [0.3, 0.99])
def test_a_compressed_checkpoint_that_is_cut_off_is_damage(keep: float) -> None:
    body = compress(encode(checkpoint()))
    with pytest.raises(StateError, match="damaged"):
        decode(body[: int(len(body) * keep)])


def test_a_compressed_checkpoint_is_read_as_it_was_written() -> None:
    assert decode(compress(encode(checkpoint()))) == checkpoint()
