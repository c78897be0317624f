"""Routes, methods, listeners, limits and stopping, over real connections."""

import asyncio
import logging
from contextlib import AsyncExitStack

import aiohttp
import pytest

from exporter.errors import ConfigError
from exporter.web import connections
from exporter.web.routes import Site
from exporter.web.server import serving
from tests.web.fakes import FakeHealth, FakeScraper, Served, ask, connected, served


@pytest.mark.parametrize("path", ["/-/healthy", "/livez", "/-/ready", "/readyz"])
async def test_health_answers_get_and_head(path: str) -> None:
    async with served() as server:
        async with server.client.get(server.url + path) as answer:
            assert answer.status == 200
        async with server.client.head(server.url + path) as answer:
            assert answer.status == 200
            assert await answer.read() == b""


@pytest.mark.parametrize("path", ["/-/ready", "/readyz"])
async def test_readiness_says_what_is_missing(path: str) -> None:
    health = FakeHealth(missing="policyreports.wgpolicyk8s.io: not listed yet")
    async with served(health=health) as server:
        async with server.client.get(server.url + path) as answer:
            assert answer.status == 503
            assert await answer.text() == "policyreports.wgpolicyk8s.io: not listed yet\n"
        async with server.client.get(f"{server.url}/livez") as answer:
            assert answer.status == 200


async def test_reload_says_how_it_went() -> None:
    health = FakeHealth()
    async with served(health=health) as server:
        async with server.client.post(f"{server.url}/-/reload") as answer:
            assert answer.status == 200
        health.complaint = "config.yaml:3: sorces: unknown key"
        async with server.client.post(f"{server.url}/-/reload") as answer:
            assert answer.status == 500
            assert "config.yaml:3: sorces" in await answer.text()
    assert health.reloads == 2


async def test_a_reload_goes_on_when_its_client_hangs_up() -> None:
    began, ended, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Slow(FakeHealth):
        async def reload(self) -> str | None:
            began.set()
            await go_on.wait()
            ended.set()
            return None

    async with served(health=Slow()) as server:
        async with connected(server.address) as (_, writer):
            writer.write(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            await began.wait()
        await scraped(server)  # by now the server knows that the client is gone
        go_on.set()
        await asyncio.wait_for(ended.wait(), 5)


async def test_another_site_cannot_make_a_browser_reload() -> None:
    health = FakeHealth()
    headers = {"Sec-Fetch-Site": "cross-site"}
    async with (
        served(health=health) as server,
        server.client.post(f"{server.url}/-/reload", headers=headers) as answer,
    ):
        assert answer.status == 403
    assert health.reloads == 0


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/metrics", {"GET", "HEAD"}),
        ("DELETE", "/livez", {"GET", "HEAD"}),
        ("GET", "/-/reload", {"POST"}),
    ],
)
async def test_another_method_is_told_which_are_allowed(
    method: str, path: str, allowed: set[str]
) -> None:
    async with served() as server, server.client.request(method, server.url + path) as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(",")) == allowed


async def test_an_unknown_path_is_plainly_not_found() -> None:
    async with served() as server, server.client.get(f"{server.url}/metric") as answer:
        assert answer.status == 404
        assert answer.headers["Content-Type"].startswith("text/plain")


async def test_every_answer_forbids_sniffing_and_hides_versions() -> None:
    async with served() as server:
        for path in ("/metrics", "/livez", "/nowhere"):
            async with server.client.get(server.url + path) as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Server"] == "policy-report-exporter"


@pytest.mark.parametrize("path", ["metrics", "/", "/-/ready", "/api/v1/status", "/{name}"])
async def test_a_telemetry_path_cannot_hide_a_route(path: str) -> None:
    site = Site(FakeScraper(), FakeHealth(), path)
    with pytest.raises(ConfigError, match=r"--web\.telemetry-path"):
        async with serving(site, ["127.0.0.1:0"]):
            pass


async def test_several_addresses_serve_the_same() -> None:
    site = Site(FakeScraper(), FakeHealth(), "/telemetry")
    async with (
        serving(site, ["127.0.0.1:0", "localhost:0"]) as urls,
        aiohttp.ClientSession() as client,
    ):
        assert len(set(urls)) == 2
        for url in urls:
            async with client.get(f"{url}/telemetry") as answer:
                assert answer.status == 200


async def test_a_taken_address_leaves_no_other_bound() -> None:
    site = Site(FakeScraper(), FakeHealth())
    async with serving(site, ["127.0.0.1:0"]) as (url,):
        taken = url.removeprefix("http://")
        with pytest.raises(ConfigError, match=f"{taken}: Address already in use"):
            async with serving(site, ["127.0.0.1:0", taken]):
                pass


async def test_a_scrape_in_flight_completes_and_new_ones_are_refused() -> None:
    scraper = FakeScraper()
    scraper.gate.clear()
    stop = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    site = Site(scraper, FakeHealth())

    async def serve() -> None:
        async with serving(site, ["127.0.0.1:0"]) as (url,):
            ready.set_result(url)
            await stop.wait()

    serving_task = asyncio.create_task(serve())
    url = f"{await ready}/metrics"
    async with aiohttp.ClientSession() as client:
        scrape = asyncio.create_task(client.get(url))
        await scraper.arrivals.acquire()
        stop.set()
        await refused(url)
        assert not serving_task.done()
        scraper.gate.set()
        answer = await scrape
        assert answer.status == 200
        assert (await answer.read()).endswith(b"b 2\n")
    await serving_task


async def refused(url: str) -> None:
    """Wait until nobody listens any more; each try is a real connection."""
    async with aiohttp.ClientSession() as other:
        for _ in range(1000):
            try:
                await asyncio.wait_for(other.get(url), 0.05)
            except aiohttp.ClientConnectorError:
                return
            except TimeoutError:
                continue
    pytest.fail("still listening")


async def test_a_stop_does_not_wait_for_idle_connections() -> None:
    async with AsyncExitStack() as stack:
        async with served(grace_seconds=30) as server:
            reader, writer = await stack.enter_async_context(connected(server.address))
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"ok\n")
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < 5
        assert await reader.read() == b""


async def test_idle_connections_do_not_keep_a_scraper_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 100)
    async with served() as server, AsyncExitStack() as stack:
        await scraped(server)
        opened = [connected(server.address) for _ in range(1000)]
        crowd = [await stack.enter_async_context(each) for each in opened]
        await scraped(server)
        gone = [reader for reader, _ in crowd if reader.at_eof() or reader.exception()]
        assert len(gone) >= 900


async def scraped(server: Served) -> None:
    async with server.client.get(f"{server.url}/metrics") as answer:
        assert answer.status == 200


async def test_a_connection_that_is_answered_is_never_the_one_to_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    scraper = FakeScraper()
    scraper.gate.clear()
    async with served(scraper) as server:
        first = asyncio.create_task(scraped(server))
        second = asyncio.create_task(scraped(server))
        for _ in range(2):
            await scraper.arrivals.acquire()
        async with connected(server.address) as (reader, _):
            assert await hung_up(reader)
        scraper.gate.set()
        await asyncio.gather(first, second)
    assert len(scraper.asked) == 2, "nobody had to ask again"


async def hung_up(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("beginning", ["", "GET /metr", "GET /metrics HTTP/1.1\r\nHost: x\r\nA"])
async def test_a_head_that_never_ends_is_cut(
    monkeypatch: pytest.MonkeyPatch, beginning: str
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    async with served() as server, connected(server.address) as (reader, writer):
        writer.write(beginning.encode())
        assert await hung_up(reader)


async def test_a_connection_that_has_asked_once_may_stay_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    async with (
        served() as server,
        connected(server.address) as (reader, writer),
        connected(server.address) as (silent, _),
    ):
        for _ in range(2):
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"ok\n")
            assert await hung_up(silent)


async def test_oversized_heads_are_refused_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        async with served() as server:
            for line in (f"X: {'a' * 60_000}\r\n", "X: a\r\n" * 5_000, "X: a\r\n" * 20_000):
                head = f"GET /metrics HTTP/1.1\r\nHost: x\r\n{line}"
                reply = await asyncio.wait_for(asyncio.shield(flood(server, head)), 10)
                assert reply == b"" or reply.startswith((b"HTTP/1.0 400", b"HTTP/1.1 431"))
            await scraped(server)
    assert not caplog.records


async def flood(server: Served, head: str) -> bytes:
    try:
        return await ask(server.address, f"{head}\r\n")
    except ConnectionError:
        return b""


async def test_what_is_not_http_is_refused_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with served() as server:
            reply = await ask(server.address, "\x16\x03\x01\x02 hello\r\n\r\n")
    assert reply.startswith(b"HTTP/1.0 400")
    assert not caplog.records
