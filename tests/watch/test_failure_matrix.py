"""What must hold when a server, a network or a cluster fails: one test for each way to fail.

All run the real client over HTTP against the embedded API server, on a clock that jumps.
Chance gives 0 everywhere, so the delays are 0.4 s, doubling up to 15 s.
"""

import logging
from pathlib import Path
from typing import Any

import pytest

from exporter.kube.kubeconfig import Kubeconfig
from exporter.model.changes import Change, Deleted
from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.simulator.query import Token
from exporter.watch.lists import FIRST_PAGE_OBJECTS
from tests.apiserver import Store, faults
from tests.apiserver.access import Access
from tests.kube.kubeconfigs import kubeconfig
from tests.virtual_time import virtual
from tests.watch.cluster import Followed, gaps

pytestmark = pytest.mark.tier("simulator")


def bookmark(version: str) -> bytes:
    """Make a line that says how far the server is."""
    return (
        b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%s"}}}\n' % version.encode()
    )


PAGES: dict[str, Any] = {"stream": False, "page_objects": 10}


@virtual
async def test_w01_an_expired_version_at_the_start_of_a_watch_lists_once_more() -> None:
    it = Followed()
    it.put("a")
    it.api.faults.add(faults.expired(), it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        assert it.counts.relists == {"expired": 1}
        assert "resourceVersion" not in it.asked("list")[1]
        assert it.mirror.swept == [set(), set()], "what was there stays until the new is whole"


@virtual
async def test_w02_an_expired_version_in_mid_stream_keeps_what_came_before() -> None:
    it = Followed()
    inject = faults.Inject((faults.error_event(410, reason="Expired"),), after=1)
    it.api.faults.add(inject, it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        it.put("a")
        await it.in_step()
        assert it.counts.relists == {"expired": 1}
        assert it.mirror.kinds()[2:] == ["Applied a", "Init", "Applied a", "InitDone"]


@virtual
async def test_w03_a_version_that_expires_again_and_again_is_not_hammered() -> None:
    it = Followed()
    it.put("a")
    it.api.faults.add(faults.expired(), it.resource.name, "watch", times=5)
    async with it.running():
        await it.in_step()
        assert it.counts.relists == {"expired": 5}
        assert gaps(it.times("watch")) == pytest.approx([0.4, 0.8, 1.6, 3.2, 6.4], abs=0.1)
        assert it.mirror.swept == [set()] * 6


@virtual
async def test_w04_a_continue_token_that_expired_starts_the_list_over() -> None:
    it = Followed(**PAGES)
    it.fill(45)
    it.api.faults.add(faults.expired(), it.resource.name, "list", when=faults.page_is(3))
    async with it.running():
        await it.in_step()
        assert [call.page for call in it.calls("list")] == [1, 2, 3, 1, 2, 3, 4, 5]
        assert it.mirror.kinds().count("InitDone") == 1, "the broken list ended nothing"


@virtual
async def test_w05_a_list_that_never_ends_is_not_synced_and_never_asked_for_whole() -> None:
    it = Followed(**PAGES)
    it.fill(45)
    it.api.faults.add(
        faults.expired(), it.resource.name, "list", when=faults.page_is(3), times=None
    )
    async with it.running():
        await it.passes(600)
        assert not it.reflector.synced
        assert it.asked("watch") == []
        assert {query["limit"] for query in it.asked("list")} == {"10"}
        assert len(it.asked("list")) < 3 * 50


@pytest.mark.parametrize("verb", ["list", "watch"])
@virtual
async def test_w06_a_throttled_request_waits_as_long_as_it_is_told(verb: str) -> None:
    it = Followed()
    answer = faults.Answer(429, headers={"Retry-After": "7"})
    it.api.faults.add(answer, it.resource.name, verb)
    async with it.running():
        await it.in_step()
        assert gaps(it.times(verb)) == pytest.approx([7], abs=0.1)
        assert it.counts.relists == {}
        assert len(it.asked("list")) == (2 if verb == "list" else 1)


@virtual
async def test_w07_throttled_in_mid_stream_resumes_at_the_same_version() -> None:
    it = Followed()
    inject = faults.Inject((faults.error_event(429),), after=1)
    it.api.faults.add(inject, it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        version = it.put("a")
        await it.until(lambda: it.asked("watch")[1:])
        assert it.asked("watch")[1]["resourceVersion"] == version
        assert it.counts.relists == {}
        assert it.counts.restarts == {"throttled": 1}


@pytest.mark.parametrize("verb", ["list", "watch"])
@pytest.mark.parametrize("code", [500, 502, 503, 504])
@virtual
async def test_w08_a_burst_of_server_errors_is_met_with_growing_delays(
    code: int, verb: str
) -> None:
    it = Followed()
    it.put("a")
    answer = faults.Answer(code, "storage is (re)initializing")
    it.api.faults.add(answer, it.resource.name, verb, times=8)
    async with it.running():
        await it.in_step()
        expected = [0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15, 15]
        assert gaps(it.times(verb)) == pytest.approx(expected, abs=0.1)
        assert it.counts.relists == {}


@virtual
async def test_w09_a_version_too_large_for_a_lagging_server_is_asked_again_and_kept() -> None:
    it = Followed()
    it.put("a")
    too_large = faults.Answer(504, "Timeout: Too large resource version: 1001, current: 1000")
    it.api.faults.add(too_large, it.resource.name, "list")
    it.api.faults.add(too_large, it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        assert all("resourceVersion" not in query for query in it.asked("list"))
        assert len({query["resourceVersion"] for query in it.asked("watch")}) == 1
        assert it.counts.relists == {}


@virtual
async def test_w10_a_server_that_was_away_for_a_minute_is_resumed_without_a_list() -> None:
    it = Followed()
    it.put("a")
    async with it.running():
        await it.in_step()
        async with it.away():
            await it.until(lambda: not it.reflector.up)
            await it.passes(60)
            assert it.reflector.state == "failing"
            assert it.reflector.synced
            it.put("b")
        await it.in_step(within=31)
        assert [query["limit"] for query in it.asked("list")] == ["25", "1"], "and a look"
        assert it.counts.relists == {}
        unanswered = it.counts.requests[it.resource.name, "list", 0]
        assert 4 <= unanswered <= 12


@virtual
async def test_w11_a_connection_that_died_in_silence_is_given_up_after_90_seconds() -> None:
    it = Followed()
    it.api.faults.add(faults.Stall(), it.resource.name, "watch")
    async with it.running():
        await it.until(lambda: it.reflector.up)
        it.put("a")
        await it.in_step()
        assert gaps(it.times("watch")) == pytest.approx([90], abs=0.1)
        first, second = it.asked("watch")
        assert first["resourceVersion"] == second["resourceVersion"]
        assert it.counts.relists == {}
        assert it.counts.restarts == {"idle": 1}


@virtual
async def test_w11_a_server_without_bookmarks_may_be_silent_until_it_ends_the_watch() -> None:
    it = Followed(bookmark_seconds=0)
    async with it.running():
        await it.in_step()
        await it.passes(1000)
        assert gaps(it.times("watch")) == pytest.approx([90, 300, 300, 300], abs=0.1)
        assert it.counts.restarts == {"idle": 1, "closed": 3}


@virtual
async def test_w11_a_watch_that_is_never_answered_is_given_up_all_the_same() -> None:
    it = Followed(bookmark_seconds=0)
    it.api.faults.add(faults.Hang(), it.resource.name, "watch", first=2)
    async with it.running():
        await it.until(lambda: it.reflector.state == "failing")
        assert not it.reflector.up
        await it.until(lambda: len(it.asked("watch")) == 3)
        assert gaps(it.times("watch")) == pytest.approx([90, 90.8], abs=0.1)
        assert it.counts.restarts == {"idle": 2}


@virtual
async def test_w11_once_bookmarks_come_silence_is_suspicious_again() -> None:
    it = Followed()
    it.api.faults.add(faults.Stall(), it.resource.name, "watch")
    it.api.faults.add(faults.Stall(after=2), it.resource.name, "watch", first=2)
    async with it.running():
        await it.until(lambda: len(it.asked("watch")) == 3)
        assert gaps(it.times("watch")) == pytest.approx([90, 120 + 90], abs=0.1)


@virtual
async def test_w12_a_proxy_that_cuts_idle_connections_is_no_failure() -> None:
    it = Followed(watch_seconds=60, bookmark_seconds=0)
    async with it.running():
        await it.in_step()
        await it.passes(600)
        assert it.reflector.up
        assert it.counts.restarts == {"closed": 10}
        assert gaps(it.times("watch")) == pytest.approx([60] * 10, abs=0.1)
        assert it.counts.relists == {}


@virtual
async def test_w12_watches_that_end_at_once_are_not_reopened_at_once() -> None:
    it = Followed()
    it.api.faults.add(faults.End(), it.resource.name, "watch", times=None)
    async with it.running():
        await it.passes(600)
        assert len(it.asked("watch")) < 50
        assert set(it.counts.restarts) == {"short"}
        assert not it.reflector.up


@virtual
async def test_w13_a_new_server_that_lags_behind_takes_nothing_back() -> None:
    it = Followed()
    it.put("a")
    too_large = faults.Answer(504, "Timeout: Too large resource version")
    it.api.faults.add(faults.End(after=1, reset=True), it.resource.name, "watch")
    it.api.faults.add(too_large, it.resource.name, "watch", first=2, times=2)
    async with it.running():
        await it.until(lambda: it.reflector.up)
        version = it.put("b")
        await it.until(lambda: len(it.asked("watch")) == 4)
        await it.in_step()
        assert it.asked("list")[-1]["limit"] == "1", "the server was asked how far it is"
        assert [query["resourceVersion"] for query in it.asked("watch")[1:]] == [version] * 3
        assert it.mirror.kinds() == ["Init", "Applied a", "InitDone", "Applied b"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # A real server lets a watch from the future wait, without a bookmark.
        (faults.Stall(), faults.Delay(0)),
        (faults.Inject((bookmark("1000"),), after=1), faults.Delay(0)),
        (faults.End(after=1), faults.Answer(504, "Timeout: Too large resource version")),
    ],
    ids=["silence", "bookmark", "refusal"],
)
@virtual
async def test_w13_a_cluster_restored_behind_a_proxy_is_listed_again(
    first: faults.Fault, second: faults.Fault
) -> None:
    it = Followed()
    for _ in range(100):
        it.put("a", failed=1)
        it.put("a")
    it.api.faults.add(first, it.resource.name, "watch")
    it.api.faults.add(second, it.resource.name, "watch", first=2)
    async with it.running():
        await it.in_step()
        it.restore_backup()
        it.put("b")
        await it.in_step(within=100)
        assert it.mirror.names == {"b"}
        assert it.counts.relists == {"went_back": 1}


@virtual
async def test_w13_a_server_that_comes_back_restored_is_found_out_at_once() -> None:
    it = Followed()
    for _ in range(9):
        it.put("a", failed=1)
        it.put("a")
    async with it.running():
        await it.in_step()
        async with it.away():
            await it.passes(5)
            it.restore_backup()
            it.put("b")
        await it.in_step(within=10)
        assert it.counts.relists == {"went_back": 1}


@virtual
async def test_w13_a_bookmark_from_the_past_is_no_reason_to_list() -> None:
    it = Followed()
    it.put("a")
    it.api.faults.add(faults.Inject((bookmark("999"),)), it.resource.name, "watch")
    async with it.running():
        await it.until(lambda: len(it.asked("watch")) == 2)
        it.put("b")
        await it.in_step()
        assert {query["resourceVersion"] for query in it.asked("watch")} == {"1001"}
        assert it.counts.relists == {}


@pytest.mark.parametrize("reset", [False, True], ids=["w14 closed", "w15 reset"])
@virtual
async def test_w14_w15_a_line_cut_short_is_not_an_event(*, reset: bool) -> None:
    it = Followed()
    it.api.faults.add(faults.CutLine(reset=reset), it.resource.name, "watch")
    async with it.running():
        await it.until(lambda: it.reflector.up)
        it.put("a")
        await it.in_step()
        first, second = it.asked("watch")
        assert first["resourceVersion"] == second["resourceVersion"]
        assert it.mirror.kinds() == ["Init", "InitDone", "Applied a"], "exactly once"
        assert it.counts.skips == {}


@virtual
async def test_w16_a_garbled_line_ends_the_watch_and_what_it_said_comes_again() -> None:
    it = Followed()
    it.api.faults.add(faults.Inject((faults.GARBAGE,)), it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        it.put("a")
        await it.in_step()
        assert it.counts.restarts == {"malformed": 1}
        assert it.counts.relists == {}


@virtual
async def test_w16_a_line_that_stays_garbled_is_got_past_by_a_list() -> None:
    it = Followed()
    it.api.faults.add(faults.Inject((faults.GARBAGE,)), it.resource.name, "watch", times=3)
    async with it.running():
        await it.in_step()
        assert it.counts.relists == {"broken": 1}


@virtual
async def test_w17_an_event_of_an_unknown_type_is_counted_and_ignored() -> None:
    it = Followed()
    strange = faults.event("REPLACED", it.resource, "x", "team-a")
    it.api.faults.add(faults.Inject((strange,)), it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        it.put("a")
        await it.in_step()
        assert it.counts.skips == {"malformed": 1}
        assert it.counts.restarts == {}


@pytest.mark.parametrize("verb", ["list", "watch"])
@pytest.mark.parametrize("fault", [faults.html(), faults.AsTable()], ids=["HTML", "Table"])
@virtual
async def test_w17_an_answer_in_another_form_is_not_believed(
    fault: faults.Fault, verb: str
) -> None:
    it = Followed(stream=False)
    it.put("a")
    async with it.running():
        await it.in_step()
        it.api.faults.add(fault, it.resource.name, verb, times=2)
        it.expire()
        await it.until(lambda: it.asked(verb)[1:])
        it.put("b")
        await it.in_step()
        assert len(it.asked(verb)) >= 4, "the fault struck twice"
        assert it.mirror.swept == [set()] * len(it.mirror.swept)


@virtual
async def test_w18_an_object_of_five_megabytes_is_read() -> None:
    it = Followed()
    async with it.running():
        await it.in_step()
        it.put("large", message="x" * 5_000_000)
        await it.in_step()
        assert it.counts.skips == {}


@virtual
async def test_w18_an_object_beyond_the_limit_is_skipped_and_the_watch_goes_on() -> None:
    it = Followed()
    it.client_options = {"line_bytes": 1_000_000}
    async with it.running():
        await it.in_step()
        it.put("large", message="x" * 5_000_000)
        it.put("small")
        await it.until(lambda: "small" in it.mirror.names)
        assert it.mirror.names == {"small"}
        assert it.counts.skips == {"too_large": 1}
        assert it.counts.restarts == {}


@virtual
async def test_w18_a_page_beyond_the_limit_is_read_in_smaller_pages() -> None:
    it = Followed(stream=False)
    for name in "abcdefgh":
        it.put(name, message="x" * 300_000)
    it.client_options = {"body_bytes": 1_000_000}
    async with it.running():
        await it.in_step()
        assert {query["limit"] for query in it.asked("list")} >= {"250", "3"}


@virtual
async def test_w19_a_long_list_is_read_with_one_page_ahead_at_most() -> None:
    it = Followed(stream=False, page_objects=100, generous=True)
    it.fill(2_000)
    ahead = 0

    def note(_: Change) -> None:
        nonlocal ahead
        asked = FIRST_PAGE_OBJECTS + 100 * (len(it.calls("list")) - 1)
        ahead = max(ahead, asked - it.counts.changes["listed"])

    it.watches_sink(note)
    async with it.running():
        await it.in_step()
        assert len(it.asked("list")) == 21, "a short page first"
        assert 100 < ahead <= 200


@virtual
async def test_a_long_list_is_read_in_pages_where_the_server_has_them_in_memory() -> None:
    it = Followed(page_objects=100)
    it.fill(FIRST_PAGE_OBJECTS + 200)
    new = faults.Answer(200, body=b'{"major":"1","minor":"34"}')
    it.api.faults.add(new, verb="discover", first=2)
    async with it.running():
        await it.in_step()
        assert [query["limit"] for query in it.asked("list")] == ["25", "100", "100"]
        assert [query.get("sendInitialEvents") for query in it.asked("watch")] == [None]


@virtual
async def test_w20_a_streamed_list_is_complete_at_its_bookmark_and_not_before() -> None:
    it = Followed(page_objects=10)
    it.fill(45)
    it.api.faults.add(faults.End(after=30, reset=True), it.resource.name, "watch")
    async with it.running():
        await it.until(lambda: it.counts.restarts.total() > 0)
        assert not it.reflector.synced
        assert not it.reflector.up
        assert it.reflector.version == ""
        assert "InitDone" not in it.mirror.kinds()
        await it.in_step()
        assert all(query["sendInitialEvents"] == "true" for query in it.asked("watch"))
        assert it.mirror.swept == [set()]
        it.drop("r00003", "ns-3")
        await it.in_step()
        assert len(it.asked("watch")) == 2, "the stream of the list goes on as the watch"


@virtual
async def test_w20_a_bookmark_without_the_annotation_does_not_end_a_streamed_list() -> None:
    it = Followed(page_objects=10)
    it.fill(45)
    early = faults.Inject((bookmark("1045"),), after=20)
    it.api.faults.add(early, it.resource.name, "watch")
    it.api.faults.add(faults.End(after=30), it.resource.name, "watch")
    async with it.running():
        await it.until(lambda: it.counts.restarts.total() > 0)
        assert "InitDone" not in it.mirror.kinds()
        await it.in_step()


@virtual
async def test_w21_a_server_that_cannot_stream_is_asked_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    it = Followed(page_objects=10, server={"watch_list": False})
    it.fill(45)
    async with it.running():
        await it.in_step()
        it.expire()
        await it.until(lambda: it.counts.relists.total() > 0)
        await it.in_step()
        streamed = [query for query in it.asked("watch") if "sendInitialEvents" in query]
        assert len(streamed) == 1
        assert caplog.text.count("cannot stream lists") == 1
        assert it.times("watch")[1] == 0, "the pages are asked for at once"


@virtual
async def test_w22_a_watch_that_brought_only_bookmarks_resumes_at_the_last() -> None:
    it = Followed(bookmark_seconds=10)
    it.api.faults.add(faults.End(after=3), it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        for _ in range(3):
            it.store.tick()
            await it.passes(10)
        bookmarked = it.reflector.version
        it.store.compact(int(bookmarked))
        await it.until(lambda: it.asked("watch")[1:])
        assert it.asked("watch")[1]["resourceVersion"] == bookmarked == str(it.store.version)
        await it.in_step()
        assert it.counts.relists == {}


@virtual
async def test_w23_a_token_that_was_rotated_is_read_again_without_a_list(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    it = Followed()
    tokens = {"old": "exporter"}
    it.api.access = Access(tokens)
    async with it.api:
        it.credentials = Kubeconfig(kubeconfig(tmp_path, it.api.url, {"tokenFile": "token"}))
        async with it.following():
            await it.in_step()
            tokens.clear()
            tokens["new"] = "exporter"
            token.write_text("new")
            await it.until(lambda: it.asked("watch")[1:])
            it.put("a")
            await it.in_step()
            assert len(it.asked("list")) == 1
            assert it.counts.restarts == {"closed": 1}
            assert it.counts.requests[it.resource.name, "watch", 401] == 0


@pytest.mark.parametrize("code", [401, 403])
@virtual
async def test_w24_what_is_not_permitted_from_the_start_is_asked_for_every_half_minute(
    code: int,
) -> None:
    it = Followed()
    it.api.faults.add(faults.Answer(code), it.resource.name, "list", times=20)
    async with it.running():
        await it.passes(290)
        assert it.reflector.state == "refused"
        assert not it.reflector.synced
        assert len(it.asked("list")) == 10
        await it.in_step()


@virtual
async def test_w24_a_right_taken_away_leaves_what_was_known_until_it_is_given_back() -> None:
    allowed = True
    it = Followed(server={"access": Access(allows=lambda *_: allowed)})
    it.put("a")
    async with it.running():
        await it.in_step()
        allowed = False
        await it.until(lambda: it.reflector.state == "refused")
        assert not it.reflector.up
        assert it.reflector.synced
        assert it.mirror.names == {"a"}
        it.put("b")
        await it.passes(200)
        allowed = True
        await it.in_step(within=34)
        assert it.counts.relists == {}


@virtual
async def test_w24_a_resource_that_is_refused_holds_no_other_up() -> None:
    refused = Followed(resource=EVENTS)
    refused.api.access = Access(allows=lambda _user, _verb, asked, _ns: asked != EVENTS)
    async with refused.running():
        other = Followed()
        other.api, other.store = refused.api, refused.store
        async with other.following():
            other.put("a")
            await other.in_step()
            assert refused.reflector.state == "refused"


@virtual
async def test_w25_a_kind_that_comes_to_be_served_is_found_within_half_a_minute() -> None:
    it = Followed()
    it.api.unserve(it.resource)
    async with it.running():
        await it.until(lambda: it.reflector.state == "not served")
        assert not it.reflector.served
        assert not it.reflector.synced
        await it.passes(290)
        discovered = sum(call.verb == "discover" for call in it.api.faults.calls)
        assert discovered == 10
        assert it.asked("list") == []
        it.api.serve(it.resource)
        it.put("a")
        await it.in_step(within=31)
        assert it.reflector.served


@virtual
async def test_w26_a_kind_deleted_under_a_watch_is_gone_when_that_is_seen_twice() -> None:
    it = Followed()
    it.put("a")
    it.api.faults.add(faults.Lose(), it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        it.api.unserve(it.resource)
        await it.until(lambda: it.reflector.state == "failing")
        assert it.mirror.names == {"a"}, "a single 404 may be a server that is starting"
        await it.until(lambda: it.reflector.state == "not served", within=6)
        assert it.mirror.names == set()
        assert not it.reflector.synced
        assert not it.reflector.served
        it.api.serve(it.resource)
        it.put("b")
        await it.in_step()
        assert it.mirror.names == {"b"}


@virtual
async def test_w26_a_404_that_passes_sweeps_nothing() -> None:
    it = Followed()
    it.put("a")
    it.api.faults.add(faults.Answer(404), it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        assert it.reflector.served
        assert it.mirror.swept == [set()]


@virtual
async def test_w27_another_version_of_the_same_kind_is_found_and_followed() -> None:
    it = Followed()
    newer = it.resource._replace(version="v1beta1")
    it.put("a")
    async with it.running():
        await it.in_step()
        it.api.serve(newer)
        it.api.unserve(it.resource)
        await it.until(lambda: it.counts.relists.total() > 0)
        it.put("b")
        await it.in_step()
        assert it.counts.relists == {"rediscovered": 1}
        assert {change.scope for change in it.mirror.changes} == {it.scope}
        assert it.reflector.served


@virtual
async def test_w29_an_event_told_twice_counts_once() -> None:
    it = Followed()
    it.api.faults.add(faults.Repeat(), it.resource.name, "watch")
    async with it.running():
        await it.until(lambda: it.reflector.up)
        it.put("a")
        it.put("b")
        await it.in_step()
        assert it.counts.changes["added"] == 2
        assert it.mirror.kinds()[2:] == ["Applied a", "Applied b"]


@virtual
async def test_w30_an_old_event_told_late_is_ignored() -> None:
    it = Followed()
    it.api.faults.add(faults.Late(), it.resource.name, "watch")
    async with it.running():
        await it.until(lambda: it.reflector.up)
        it.put("a")
        it.put("a", failed=1)
        it.put("b")
        await it.in_step()
        assert it.counts.changes["modified"] == 1


@virtual
async def test_w31_an_object_whose_deletion_was_lost_is_replaced_by_its_successor() -> None:
    it = Followed()
    it.put("a")
    it.api.faults.add(faults.Lose(), it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        it.drop("a")
        it.put("a", failed=1)
        await it.in_step()
        assert it.mirror.kinds()[3:] == ["Applied a"]


@virtual
async def test_w32_a_deletion_shows_the_last_state_even_of_an_unknown_object() -> None:
    it = Followed(bookmark_seconds=0)
    it.put("a")
    it.put("a", failed=1)
    it.drop("a")
    it.since = "1001"
    async with it.running():
        await it.in_step()
        last = it.mirror.changes[-1]
        assert isinstance(last, Deleted)
        assert last.object.version == "1003"
        assert it.mirror.kinds() == ["Applied a", "Deleted a"]


@virtual
async def test_w33_what_was_deleted_while_nobody_watched_is_swept_by_the_list() -> None:
    it = Followed()
    it.put("a")
    it.put("b")
    async with it.running():
        await it.in_step()
        async with it.away():
            it.drop("a")
            it.store.compact()
        await it.in_step()
        assert it.mirror.swept[-1] == {("team-a", "a")}
        assert it.counts.relists == {"expired": 1}


@virtual
async def test_w34_a_list_that_is_empty_by_mistake_is_asked_for_again() -> None:
    it = Followed()
    it.fill(20)
    async with it.running():
        await it.in_step()
        it.api.faults.add(faults.EmptyList(), it.resource.name, "list")
        it.expire()
        await it.until(lambda: not it.reflector.up)
        it.put("b")
        await it.in_step()
        assert len(it.asked("list")) == 3
        assert it.mirror.swept == [set(), set()]


@virtual
async def test_w34_a_list_that_is_empty_twice_is_believed() -> None:
    it = Followed()
    it.put("a")
    async with it.running():
        await it.in_step()
        async with it.away():
            it.drop("a")
            it.store.compact()
        await it.in_step()
        assert it.mirror.names == set()
        assert [query["limit"] for query in it.asked("list")] == ["25", "1", "25", "25"]


@virtual
async def test_w35_a_namespace_that_goes_and_comes_back_is_followed_again() -> None:
    it = Followed(namespace="team-a")
    it.put("a")
    it.put("other", "team-b")
    exists = True
    it.api.access = Access(allows=lambda *_: exists)  # a Role goes with its namespace
    async with it.running():
        await it.in_step()
        assert it.mirror.names == {"a"}
        it.drop("a")
        exists = False
        await it.until(lambda: it.reflector.state == "refused")
        assert it.mirror.names == set()
        exists = True
        it.put("b")
        await it.in_step(within=34)
        assert it.mirror.names == {"b"}


AGGREGATED: dict[str, Any] = {"aggregated": [POLICY_REPORTS.group]}


@virtual
async def test_w36_an_aggregated_server_is_listed_again_every_five_minutes() -> None:
    it = Followed(server=AGGREGATED)
    it.put("a")
    it.put("b")
    it.api.faults.add(faults.Lose(), it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        it.drop("a")  # by another replica, whose watchers alone are told
        await it.passes(200)
        assert it.mirror.names == {"a", "b"}
        await it.passes(100)
        assert it.mirror.names == {"b"}
        assert it.counts.relists == {"reconcile": 1}
        await it.passes(900)
        assert it.reflector.version == "", "its versions name no moment to resume at"
        assert gaps(it.times("list")) == pytest.approx([270] * 4, abs=1)


@virtual
async def test_w36_an_aggregated_server_that_pages_is_not_asked_to_stream() -> None:
    it = Followed()
    body = b'{"metadata":{"resourceVersion":"1","continue":"%s"},"items":[]}'
    rest = body.replace(b',"continue":"%s"', b"")
    first = body % Token(1, "", 2).encoded().encode()
    for number, page in enumerate((first, rest), 1):
        answer = faults.Answer(200, body=page)
        it.api.faults.add(answer, it.resource.name, "list", when=faults.page_is(number))
    async with it.running():
        await it.until(lambda: it.reflector.up)
        assert "sendInitialEvents" not in it.asked("watch")[0]


@virtual
async def test_w36_an_aggregated_server_that_starts_over_is_followed_all_the_same() -> None:
    it = Followed(server=AGGREGATED)
    it.put("a")
    it.put("a", failed=1)
    async with it.running():
        await it.in_step()
        async with it.away():
            it.restore_backup()
            it.put("a", failed=1)
        await it.in_step()
        assert it.counts.relists == {"reconnect": 1}
        assert {query.get("sendInitialEvents") for query in it.asked("watch")} == {None}


@virtual
async def test_w36_an_aggregated_server_that_tells_of_other_namespaces_is_filtered_here() -> None:
    it = Followed(server=AGGREGATED, namespace="team-a")
    async with it.running():
        await it.until(lambda: it.reflector.up)
        it.put("other", "team-b")
        it.put("a")
        await it.in_step(within=1)
        assert it.mirror.kinds() == ["Init", "InitDone", "Applied a"]


@virtual
async def test_w38_a_burst_beyond_the_server_s_memory_is_caught_up_by_a_list() -> None:
    it = Followed()
    it.store = it.api.store = Store(it.wall, history=100)
    async with it.running():
        await it.in_step()
        it.fill(2_000)
        await it.in_step()
        assert it.counts.relists == {"expired": 1}


@virtual
async def test_w38_ten_thousand_events_at_once_all_arrive() -> None:
    it = Followed()
    async with it.running():
        await it.in_step()
        it.fill(10_000)
        await it.in_step()
        assert it.counts.changes["added"] == 10_000
        assert it.counts.restarts == {}


@virtual
async def test_w39_compressed_lists_and_watches_are_read() -> None:
    it = Followed(stream=False)
    it.fill(400)
    it.api.faults.add(faults.Gzip(), it.resource.name, "watch")
    async with it.running():
        await it.in_step()
        it.put("a")
        await it.in_step(within=1)
        assert it.counts.restarts == {}
