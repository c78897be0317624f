"""What the status page and /api/v1 answer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from html.parser import HTMLParser

import pytest

from exporter.view.values import ClusterConnection, Counts, Ignored, LeftOut, Unrenewed
from exporter.web import live
from exporter.web.page.document import CONTENT_SECURITY_POLICY
from exporter.web.page.html import ago, percent, render, tag
from tests.web.fake_status import EVIL, FakeStatus
from tests.web.fakes import Served, ask, connected, served

NOW = 1_800_000_000.0


@pytest.fixture
def status() -> FakeStatus:
    return FakeStatus(time.time())


class Elements(HTMLParser):
    """All elements of a page, their attributes, and the text in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data


async def page(server: Served, query: str = "") -> str:
    async with server.client.get(f"{server.url}/{query}") as answer:
        assert answer.status == 200
        return await answer.text()


async def test_the_page_shows_the_worst_first(status: FakeStatus) -> None:
    async with served(status=status) as server:
        words = Elements(await page(server)).words
    for said in (
        "89.9 %",
        "14,033 of 98,036 resources have a failing check",
        "critical 12",
        "prod",
    ):
        assert said in words
    assert words.index("carts") < words.index("catalog") < words.index("kube-system")


async def test_what_is_not_read_is_said_and_not_shown_as_nothing(status: FakeStatus) -> None:
    status.whole = False
    async with served(status=status) as server:
        words = Elements(await page(server)).words
    assert words.count("Not read: reports.detail is summary.") == 2
    assert "severities are not read" in words
    assert "100,040 failing checks" in words
    assert "No failing" not in words


async def test_markup_in_names_and_messages_is_text(status: FakeStatus) -> None:
    status.block(EVIL, EVIL)
    async with served(status=status) as server:
        html = await page(server, "?search=%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    found = Elements(html)
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]
    assert EVIL in found.words
    assert ("value", '"><img src=x onerror=alert(1)>') in found.attributes


async def test_the_page_forbids_all_but_its_own_files(status: FakeStatus) -> None:
    async with served(status=status) as server:
        async with server.client.get(server.url) as answer:
            assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.headers["Cache-Control"] == "no-store"
            html = await answer.text()
        files = [
            value
            for name, value in Elements(html).attributes
            if name in {"src", "href"} and value and value.startswith("/static/")
        ]
        assert len(files) == 3
        for file in files:
            async with server.client.get(server.url + file) as answer:
                assert answer.status == 200
                assert "immutable" in answer.headers["Cache-Control"]
    assert "unsafe" not in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("file", ["nothing.css", "status.css", "..%2f..%2fserver.py", "%00"])
async def test_no_other_file_is_served(file: str) -> None:
    async with served() as server, server.client.get(f"{server.url}/static/{file}") as answer:
        assert answer.status == 404


async def test_a_hundred_thousand_failures_cost_a_page_of_them(status: FakeStatus) -> None:
    for number in range(150):
        status.block(f"pod-{number}", "x" * 5000)
    async with served(status=status) as server:
        started = time.thread_time()
        html = await page(server, "?offset=99950")
        took = time.thread_time() - started
    assert status.made == 50
    assert "99,951 to 100,000 of 100,000" in html
    assert len(html.encode()) < 220_000
    assert took < 0.1


async def test_the_query_is_kept_from_page_to_page(status: FakeStatus) -> None:
    async with served(status=status) as server:
        html = await page(server, "?search=a%26b&namespace=(cluster)&severity=high&offset=50")
    links = [value for name, value in Elements(html).attributes if name == "href"]
    kept = "/?search=a%26b&severity=high&namespace=%28cluster%29"
    assert f"{kept}&offset=100#failing" in links
    assert f"{kept}#failing" in links


async def test_a_query_that_makes_no_sense_shows_everything_and_names_it(
    status: FakeStatus,
) -> None:
    async with served(status=status) as server:
        words = Elements(await page(server, "?offset=-1&severity=crit&namespce=a")).words
    assert "1 to 50 of 100,000" in words
    assert "severity 'crit': expected one of critical" in words
    assert "did you mean critical?; the filter is ignored." in words
    assert "offset '-1': expected 0 to" in words
    assert "unknown parameter 'namespce': expected one of search" in words
    assert "did you mean namespace?" in words


async def test_what_does_not_fail_is_not_among_the_worst(status: FakeStatus) -> None:
    status.policies = {"all-pass": Counts(passed=3), "one-error": Counts(passed=3, error=1)}
    async with served(status=status) as server:
        html = await page(server)
    links = [value for name, value in Elements(html).attributes if name == "href"]
    row = html[html.index(">one-error</a>") :]
    assert ">75.0 %<" in row[: row.index("</tr>")]
    assert "/?policy=one-error#failing" in links
    assert "/?policy=all-pass#failing" not in links


async def test_an_empty_cluster_says_so(status: FakeStatus) -> None:
    status.failures = 0
    async with served(status=status) as server:
        found = await page(server)
        assert "No failing checks in 900,123 checks of 98,036 resources." in found
        assert "None in the last hour." in found
        found = await page(server, "?policy=other")
        assert "No failing resources match these filters." in found


async def test_before_the_first_sync_nothing_is_counted(status: FakeStatus) -> None:
    status.connection = ClusterConnection(
        "unreachable", "Not connected to the API server", NOW, counted=False, error="no route"
    )
    async with served(status=status) as server:
        found = await page(server)
    words = Elements(found).words
    assert "Not connected to the API server since 2027-01-15 08:00:00 UTC" in words
    assert "Last error: no route" in words
    assert "failing checks" not in words
    assert "No failing" not in words
    assert " %" not in words
    assert 'class="chip bad" role="status"' in found
    assert words.count("Not known yet.") == 5


async def test_a_lost_connection_is_red_and_its_numbers_are_dated(status: FakeStatus) -> None:
    status.connection = ClusterConnection(
        "lost", "Not connected", NOW, counted=True, error="refused", as_of=NOW
    )
    status.failures = 0
    async with served(status=status) as server:
        found = await page(server)
    assert 'class="chip bad" role="status"' in found
    assert "The numbers below are from" in found
    assert "No failing checks among the 900,123 that are known." in found


async def test_no_reports_is_no_share_and_names_what_to_check(status: FakeStatus) -> None:
    status.reports = 0
    async with served(status=status) as server:
        words = Elements(await page(server)).words
    assert "No policy reports found" in words
    assert "background scan" in words
    assert "of checks comply" not in words


async def test_a_source_that_is_left_out_is_named_with_the_line_that_lets_it_in(
    status: FakeStatus,
) -> None:
    status.left_out = (LeftOut("source", "Falco", 4),)
    async with served(status=status) as server:
        words = Elements(await page(server)).words
    expected = '4 results of source Falco are left out; to count them, add "Falco" to sources:'
    assert expected in words


async def test_where_no_result_counts_nothing_is_counted_and_the_reason_comes_first(
    status: FakeStatus,
) -> None:
    status.nothing_counts, status.left_out = True, (LeftOut("source", "Falco", 4),)
    async with served(status=status) as server:
        words = Elements(await page(server)).words
    assert "No results count4 results of source Falco are left out" in words
    assert words.count("source Falco") == 1
    assert "failing checks" not in words


async def test_results_that_no_scan_renews_are_on_the_page_with_their_policies(
    status: FakeStatus,
) -> None:
    old = [Unrenewed(f"p{n}", "kyverno", status.now - 40 * 86_400 + n) for n in range(5)]
    status.unrenewed = tuple(old)
    async with served(status=status) as server:
        words = Elements(await page(server)).words
    assert (
        "No scan has renewed some results of 5 policies for a day: p0, p1, p2 and 2 more" in words
    )
    assert "the oldest from 40 d ago" in words


async def test_a_cluster_that_is_scanned_no_more_is_named_before_all_else(
    status: FakeStatus,
) -> None:
    status.newest_age, status.left_out = 2 * 86_400, (LeftOut("source", "Falco", 4),)
    async with served(status=status) as server:
        words = Elements(await page(server)).words
    assert "About these numbersOld results: the newest is from 2 d ago." in words


async def test_nothing_is_said_to_pass_that_was_skipped(status: FakeStatus) -> None:
    status.failures, status.policies = 0, {"p": Counts(9)}
    status.ignored = (Ignored("policyreports.wgpolicyk8s.io", "malformed", 1),)
    async with served(status=status) as server:
        words = Elements(await page(server)).words
    assert "No failing checks among the 900,123 that are known." in words
    assert "No failing checks in" not in words


async def test_one_cause_is_shown_once(status: FakeStatus) -> None:
    status.connection = ClusterConnection("unreachable", "Not connected", NOW, False, error=EVIL)
    async with served(status=status) as server:
        words = Elements(await page(server)).words
    assert words.count(f"Last error: {EVIL}") == 1
    rows = words[words.index("Watched") :]
    assert EVIL not in rows


async def test_a_filter_that_occurs_nowhere_is_named(status: FakeStatus) -> None:
    status.unknown = ("namespace",)
    async with served(status=status) as server:
        words = Elements(await page(server, "?namespace=prodd")).words
    assert "No report has the namespace 'prodd'." in words


async def test_the_cluster_is_in_title_header_and_json(status: FakeStatus) -> None:
    async with served(status=status) as server:
        found = await page(server)
        assert "<title>prod · Policy Report Exporter</title>" in found
        assert "<h1>prod</h1>" in found
        async with server.client.get(f"{server.url}/api/v1/status") as answer:
            overview = json.loads(await answer.read())["overview"]
    assert (overview["cluster"], overview["version"]) == ("prod", "1.0.0")
    assert overview["time"] == status.now


async def test_a_capped_list_of_blocks_is_a_lower_bound(status: FakeStatus) -> None:
    for number in range(150):
        status.block(f"pod-{number}")
    async with served(status=status) as server:
        assert (
            "at least 100 requests blocked in the last hour" in Elements(await page(server)).words
        )
        async with server.client.get(f"{server.url}/api/v1/status") as answer:
            overview = json.loads(await answer.read())["overview"]
    assert (overview["blocked"], overview["blocked_capped"]) == (100, True)


async def test_what_the_stored_state_has_no_room_for_is_on_the_page(status: FakeStatus) -> None:
    async with served(status=status) as server:
        assert "The stored state" not in Elements(await page(server)).words
        status.not_stored = {"failures": 120, "counters": 7}
        words = Elements(await page(server)).words
    assert "The stored state has no room for 120 failures and 7 counters" in words


async def test_rows_link_to_their_failures(status: FakeStatus) -> None:
    status.block()
    async with served(status=status) as server:
        html = await page(server)
    links = {value for name, value in Elements(html).attributes if name == "href"}
    for key in ("namespace=carts", "policy=baseline-policy", "severity=high"):
        assert f"/?{key}#failing" in links


async def test_the_api_has_an_index(status: FakeStatus) -> None:
    async with served(status=status) as server:
        async with server.client.get(f"{server.url}/api/v1") as answer:
            index = json.loads(await answer.read())
        for path in index["resources"]:
            async with server.client.get(server.url + path) as answer:
                assert answer.status == 200


async def test_without_a_view_there_is_a_page_of_links_and_no_api() -> None:
    async with served() as server:
        assert 'href="/metrics"' in await page(server)
        async with server.client.get(f"{server.url}/api/v1/status") as answer:
            assert answer.status == 404


async def test_the_api_says_what_the_page_shows(status: FakeStatus) -> None:
    async with served(status=status) as server:
        url = f"{server.url}/api/v1/status?namespace=(cluster)&policy=p&limit=2&offset=4"
        async with server.client.get(url) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            said = json.loads(await answer.read())
    assert said["overview"]["resources"]["pass"] == 81_203
    assert said["query"] == {
        "search": "", "namespace": "", "policy": "p", "severity": "", "kind": "",
        "count": "workloads", "offset": 4, "limit": 2,
    }  # fmt: skip
    assert said["failing"]["matching"] == 100_000
    assert [row["kind"] for row in said["failing"]["rows"]] == ["Pod", "ReplicaSet"]


@pytest.mark.parametrize(
    "query",
    ["status?offset=-1", "status?offset=9" + "9" * 30, "status?limit=0", "status?limit=201",
     "status?limit=%D9%A3", "status?severity=awful", "status?count=all",
     "status?namespce=a", "blocks?after=x", "blocks?after=-1"],
)  # fmt: skip
async def test_the_api_refuses_what_it_cannot_answer(status: FakeStatus, query: str) -> None:
    async with (
        served(status=status) as server,
        server.client.get(f"{server.url}/api/v1/{query}") as answer,
    ):
        assert answer.status == 400
        assert "expected" in json.loads(await answer.read())["error"]


async def test_blocks_are_listed_newest_first_and_after_an_id(status: FakeStatus) -> None:
    for name in ("a", "b", "c"):
        status.block(name)
    async with served(status=status) as server:
        for query, names in (("", ["c", "b", "a"]), ("?after=2", ["c"])):
            async with server.client.get(f"{server.url}/api/v1/blocks{query}") as answer:
                said = json.loads(await answer.read())
            assert [each["name"] for each in said["blocked"]] == names


def stream(more: str = "") -> str:
    return f"GET /api/v1/blocks HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{more}\r\n"


@asynccontextmanager
async def streaming(server: Served, more: str = "") -> AsyncIterator[asyncio.StreamReader]:
    """Open a stream of blocks and read its beginning."""
    async with connected(server.address) as (reader, writer):
        writer.write(stream(more).encode())
        head = await reader.readuntil(b"retry: 1000\n\n")
        assert b"Content-Type: text/event-stream" in head
        yield reader


async def test_a_block_is_streamed_as_it_happens(status: FakeStatus) -> None:
    async with served(status=status) as server, streaming(server) as reader:
        status.block("late", EVIL)
        event = (await reader.readuntil(b"\n\n")).strip().splitlines()
        said = json.loads(event[-1].removeprefix(b"data: "))
        assert (said["name"], said["message"]) == ("late", EVIL)
        assert b"event: blocked" in event
        assert b"id: 1" in event
    assert status.listeners == []


async def test_a_reconnecting_browser_gets_what_it_missed_in_order(status: FakeStatus) -> None:
    for name in ("seen", "missed", "missed too"):
        status.block(name)
    async with served(status=status) as server, streaming(server, "Last-Event-ID: 1\r\n") as reader:
        missed = await reader.readuntil(b'"name":"missed too"')
        assert missed.index(b'"name":"missed"') < missed.index(b'"name":"missed too"')
        assert b'"seen"' not in missed


async def test_silence_is_filled_with_beats(
    status: FakeStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BEAT_SECONDS", 0.01)
    async with served(status=status) as server, streaming(server) as reader:
        await reader.readuntil(b": still here\n\n")


async def test_one_listener_too_many_is_refused_and_the_others_stay(
    status: FakeStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_LISTENERS", 1)
    async with served(status=status) as server, streaming(server) as reader:
        reply = await ask(server.address, stream("Connection: close\r\n"))
        assert reply.startswith(b"HTTP/1.1 503")
        status.block("heard")
        await reader.readuntil(b'"name":"heard"')


async def test_a_stop_ends_the_streams(status: FakeStatus) -> None:
    stack = AsyncExitStack()
    async with served(status=status, grace_seconds=30) as server:
        reader = await stack.enter_async_context(streaming(server))
        started = time.perf_counter()
    assert time.perf_counter() - started < 5
    assert (await reader.read()).endswith(b"0\r\n\r\n")
    await stack.aclose()


async def test_a_browser_that_does_not_read_is_cut_off(
    status: FakeStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "WRITE_SECONDS", 0.1)
    async with served(status=status) as server, streaming(server) as reader:
        async with asyncio.timeout(20):
            while status.listeners:
                status.block("flood", "x" * 200_000)
                await asyncio.sleep(0)
            while not reader.at_eof():
                await reader.read(1 << 20)


async def test_a_listener_keeps_the_newest_of_too_many(status: FakeStatus) -> None:
    listener = live.Listener([])
    blocks = [status.block(str(n)) for n in range(live.MAX_QUEUED + 5)]
    for block in blocks:
        listener.hear(block)
    assert await listener.next() == blocks[5:]


async def test_head_of_a_stream_ends_at_once(status: FakeStatus) -> None:
    head = stream("Connection: close\r\n").replace("GET", "HEAD", 1)
    async with served(status=status) as server:
        reply = await ask(server.address, head)
    assert reply.startswith(b"HTTP/1.1 200")
    assert status.listeners == []


def test_only_our_own_markup_is_markup() -> None:
    assert tag("a", "<b>", tag("i", "&"), None, href='"', class_="x", hidden=True, id=None) == (
        '<a href="&quot;" class="x" hidden>&lt;b&gt;<i>&amp;</i></a>'
    )
    assert render(["a", ("<", tag("input", name="n"))]) == 'a&lt;<input name="n">'


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "just now"), (0, "just now"), (59, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"),
     (200_000, "2 d ago")],
)  # fmt: skip
def test_ages_are_rounded_down(seconds: float, said: str) -> None:
    assert ago(seconds) == said


def test_a_hundred_percent_means_all() -> None:
    assert percent(Counts(passed=9999, fail=1).compliance) == "99.9 %"
    assert percent(Counts(passed=3).compliance) == "100.0 %"
    assert percent(Counts(skip=3).compliance) == "n/a"
