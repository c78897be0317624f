"""Each fault does to the wire what it says."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from exporter.model.resource import CLUSTER_POLICY_REPORTS, POLICY_REPORTS
from tests.apiserver import Simulator, Store, faults
from tests.apiserver.access import Access

pytestmark = [pytest.mark.tier("simulator"), pytest.mark.usefixtures("world")]

PATH, NAME = POLICY_REPORTS.path(), POLICY_REPORTS.name
BLINK = 0.15


async def status_of(client: aiohttp.ClientSession, path: str = PATH, **query: str) -> int:
    async with client.get(path, params=query) as answer:
        await answer.read()
        return answer.status


async def watched(client: aiohttp.ClientSession, **query: str) -> bytes:
    """All that a watch of one second says; it begins with everything there is."""
    query = {"watch": "1", "timeoutSeconds": "1", **query}
    async with asyncio.timeout(5), client.get(PATH, params=query) as answer:
        return await answer.read()


def types(raw: bytes) -> list[str]:
    return [json.loads(line)["type"] for line in raw.splitlines()]


@pytest.mark.parametrize("code", [401, 403, 404, 410, 429, 500, 502, 503, 504])
async def test_an_answer_replaces_the_ordered_request_and_no_other(
    api: Simulator, client: aiohttp.ClientSession, code: int
) -> None:
    answer = faults.Answer(code, headers={"Retry-After": "7"})
    api.faults.add(answer, NAME, "list", first=2, times=2)
    assert [await status_of(client) for _ in range(4)] == [200, code, code, 200]
    assert await status_of(client, CLUSTER_POLICY_REPORTS.path()) == 200
    assert api.faults.count(NAME, "list") == 4
    api.faults.add(answer, NAME, "list")
    async with client.get(PATH) as refused:
        assert refused.headers["Retry-After"] == "7"
        assert (await refused.json())["code"] == code


async def test_a_fault_for_ever_lasts_until_it_is_taken_back(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.Answer(503), times=None)
    assert [await status_of(client, path) for path in ("/apis", PATH, "/livez")] == [503] * 3
    api.faults.clear()
    assert await status_of(client) == 200


@pytest.mark.parametrize(("times", "expected"), [(1, [410, 200]), (None, [410, 410])])
async def test_a_page_can_expire_once_or_always(
    api: Simulator, client: aiohttp.ClientSession, times: int | None, expected: list[int]
) -> None:
    api.faults.add(faults.expired(), NAME, "list", when=faults.page_is(3), times=times)
    token = ""
    for _ in range(2):
        async with client.get(PATH, params={"limit": "5", "continue": token}) as answer:
            token = (await answer.json())["metadata"]["continue"]
    third = {"limit": "5", "continue": token}
    assert [await status_of(client, **third) for _ in range(2)] == expected
    assert [call.page for call in api.faults.calls] == [1, 2, 3, 3]


async def test_html_is_served_with_200(api: Simulator, client: aiohttp.ClientSession) -> None:
    api.faults.add(faults.html())
    async with client.get(PATH) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")


async def test_an_empty_list_has_a_version_and_no_items(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.EmptyList())
    async with client.get(PATH) as answer:
        found = await answer.json()
    assert found["items"] == []
    assert found["metadata"]["resourceVersion"] == str(api.store.version)


async def test_a_hanging_request_gets_nothing_and_is_not_closed(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.Hang())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(BLINK):
            await status_of(client)


async def test_a_delay_comes_before_a_proper_answer(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.Delay(BLINK))
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await status_of(client) == 200
    assert loop.time() - began >= BLINK


@pytest.mark.parametrize("reset", [False, True])
async def test_a_body_cut_short_is_an_error_for_the_client(
    api: Simulator, client: aiohttp.ClientSession, *, reset: bool
) -> None:
    api.faults.add(faults.CutBody(100, reset=reset))
    with pytest.raises(aiohttp.ClientError):
        await status_of(client)


async def test_a_reset_request_is_an_error_for_the_client(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.Reset(), times=None)
    with pytest.raises(aiohttp.ClientConnectionError):
        await status_of(client)


async def test_a_watch_ends_cleanly_after_so_many_lines(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.End(after=3), NAME, "watch")
    assert types(await watched(client)) == ["ADDED"] * 3


async def test_a_watch_can_end_before_its_first_line(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.End(), NAME, "watch")
    assert await watched(client) == b""


async def test_a_watch_can_be_reset(api: Simulator, client: aiohttp.ClientSession) -> None:
    api.faults.add(faults.End(after=2, reset=True), NAME, "watch")
    with pytest.raises(aiohttp.ClientError):
        await watched(client)


async def test_a_line_cut_in_the_middle_ends_without_a_newline(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.CutLine(after=2), NAME, "watch")
    lines = (await watched(client)).split(b"\n")
    assert len(lines) == 3
    assert lines[2].startswith(b'{"type":"ADDED"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[2])


async def test_a_line_cut_by_reset_is_an_error_for_the_client(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.CutLine(reset=True), NAME, "watch")
    with pytest.raises(aiohttp.ClientError):
        await watched(client)


async def test_a_stalled_watch_stays_open_and_says_nothing_more(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.Stall(after=1), NAME, "watch")
    async with client.get(PATH, params={"watch": "1"}) as answer:
        assert types(await answer.content.readline()) == ["ADDED"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(BLINK):
                await answer.content.readline()
        assert not answer.content.at_eof()


async def test_lines_are_injected_where_they_were_ordered(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    lines = (
        faults.error_event(410, reason="Expired"),
        faults.event("SHINY", POLICY_REPORTS, "x"),
        faults.event("DELETED", POLICY_REPORTS, "ghost", "carts"),
        faults.event("ADDED", POLICY_REPORTS, "huge", "carts", note="x" * 5_000_000),
        faults.GARBAGE,
    )
    api.faults.add(faults.Inject(lines, after=1), NAME, "watch")
    api.faults.add(faults.End(after=2), NAME, "watch")
    found = (await watched(client)).splitlines()
    assert types(b"\n".join(found[:5])) == ["ADDED", "ERROR", "SHINY", "DELETED", "ADDED"]
    assert len(found[4]) > 5_000_000
    assert found[5] + b"\n" == faults.GARBAGE
    assert types(found[6]) == ["ADDED"]


async def test_a_line_can_come_twice(api: Simulator, client: aiohttp.ClientSession) -> None:
    api.faults.add(faults.Repeat(after=1), NAME, "watch")
    api.faults.add(faults.End(after=2), NAME, "watch")
    first, second, third = (await watched(client)).splitlines()
    assert first != second == third


def touch(store: Store, **labels: str) -> dict[str, Any]:
    """Change the report on default/nginx."""
    stored = store.get(NAME, "default", "ea02cd57-8684-43ad-8e8f-c0140beeec2b")
    assert stored
    metadata = stored.data["metadata"] | {"labels": labels}
    return store.replace(NAME, stored.data | {"metadata": without_version(metadata)}).data


def without_version(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key != "resourceVersion"}


async def test_a_late_event_has_the_older_version(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    version = str(api.store.version)
    touch(api.store, a="1")
    touch(api.store, a="2")
    api.faults.add(faults.Late(), NAME, "watch")
    lines = (await watched(client, resourceVersion=version)).splitlines()
    assert [json.loads(line)["object"]["metadata"]["labels"]["a"] for line in lines] == list("121")
    assert lines[0] == lines[2]


async def test_one_deletion_can_be_lost(api: Simulator, client: aiohttp.ClientSession) -> None:
    version = str(api.store.version)
    for name in ("7c37b6cb-08e6-4ad3-adb3-df5f52bfb767", "ea02cd57-8684-43ad-8e8f-c0140beeec2b"):
        api.store.delete(NAME, "default", name)
    api.faults.add(faults.Lose(), NAME, "watch")
    (line,) = (await watched(client, resourceVersion=version)).splitlines()
    assert json.loads(line)["object"]["metadata"]["name"].startswith("ea02")


async def test_tables_can_come_where_json_was_asked_for(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.AsTable())
    async with client.get(PATH) as answer:
        assert (await answer.json())["kind"] == "Table"


async def test_a_compressed_watch_is_readable_line_by_line(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.faults.add(faults.Gzip(), NAME, "watch")
    async with client.get(PATH, params={"watch": "1"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert types(await answer.content.readline()) == ["ADDED"]


async def test_requests_are_recorded_with_their_query_and_time(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    await status_of(client, limit="5")
    await status_of(client, POLICY_REPORTS.path("carts") + "/x")
    await status_of(client, "/version")
    calls = list(api.faults.calls)
    assert [call.verb for call in calls] == ["list", "get", "discover"]
    assert calls[0].query == {"limit": "5"}
    assert calls[1].namespace == "carts"
    assert calls[0].at <= calls[1].at <= calls[2].at


async def test_a_restarted_server_drops_its_watches_and_keeps_its_objects(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    port = int(api.url.rpartition(":")[2])
    async with client.get(PATH, params={"watch": "1", "resourceVersion": "1060"}) as answer:
        await api.stop()
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()
    await api.start(port=port)
    assert await status_of(client) == 200


async def test_a_reports_server_lists_at_version_1_and_replays_at_each_watch(
    client: aiohttp.ClientSession, api: Simulator
) -> None:
    api.aggregated = frozenset({"wgpolicyk8s.io"})
    async with client.get(POLICY_REPORTS.path("carts"), params={"limit": "2"}) as answer:
        found = await answer.json()
    assert found["metadata"] == {"resourceVersion": "1"}
    assert len(found["items"]) == 8
    served_by = {"kyverno.reports-server.io/served-by": "reports-server"}
    assert found["items"][0]["metadata"]["annotations"] == served_by
    path, query = POLICY_REPORTS.path("carts"), {"watch": "1", "resourceVersion": "1"}
    async with client.get(path, params=query) as answer:
        replayed = b"".join([await answer.content.readline() for _ in range(8)])
        touch(api.store, a="1")
        live = json.loads(await answer.content.readline())
    assert types(replayed) == ["ADDED"] * 8
    assert (live["type"], live["object"]["metadata"]["namespace"]) == ("MODIFIED", "default")
    async with client.get(path, params={"watch": "1"}) as answer:
        touch(api.store, a="2")
        first = json.loads(await answer.content.readline())
    assert first["type"] == "MODIFIED"


async def test_a_token_is_asked_for_and_a_right_is_checked(store: Store) -> None:
    tokens = {"old": "system:serviceaccount:monitoring:exporter"}
    allowed = {"list"}
    access = Access(tokens, lambda _user, verb, _resource, _namespace: verb in allowed)
    async with Simulator(store, access=access) as api:
        async with aiohttp.ClientSession(base_url=api.url) as nobody:
            assert await status_of(nobody) == 401
            assert await status_of(nobody, "/livez") == 200
        headers = {"Authorization": "Bearer old"}
        async with aiohttp.ClientSession(base_url=api.url, headers=headers) as client:
            assert await status_of(client) == 200
            async with client.get(PATH, params={"watch": "1"}) as answer:
                refused = await answer.json()
            assert (answer.status, refused["reason"]) == (403, "Forbidden")
            assert (
                'User "system:serviceaccount:monitoring:exporter" cannot watch resource '
                '"policyreports" in API group "wgpolicyk8s.io" at the cluster scope'
            ) in refused["message"]
            tokens.clear()
            assert await status_of(client) == 401
