"""What a scraper gets from the telemetry path, over a real connection."""

import asyncio
import gzip
import random
import time

import pytest

from exporter.view.values import FailingPage, Query
from exporter.web import respond
from tests.web.fake_status import FakeStatus
from tests.web.fakes import EXPOSITION, FakeScraper, ask, connected, served

BODY = b"".join(EXPOSITION)


async def test_the_body_is_the_segments_with_an_exact_length_and_type() -> None:
    async with served() as server, server.client.get(f"{server.url}/metrics") as answer:
        assert await answer.read() == BODY
        assert answer.status == 200
        assert answer.headers["Content-Length"] == str(len(BODY))
        assert "Transfer-Encoding" not in answer.headers
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"


async def test_the_accept_header_reaches_the_scraper_and_the_content_type() -> None:
    scraper = FakeScraper()
    accept = {"Accept": "application/openmetrics-text"}
    async with served(scraper) as server:
        async with server.client.get(f"{server.url}/metrics", headers=accept) as answer:
            assert answer.headers["Content-Type"] == (
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            )
        async with server.client.get(f"{server.url}/metrics") as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert [openmetrics for openmetrics, _ in scraper.asked] == [True, False]


async def test_accept_in_several_headers_is_one_list() -> None:
    scraper = FakeScraper()
    async with served(scraper) as server:
        reply = await ask(
            server.address,
            "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: text/plain;q=0.1\r\n"
            "Accept: application/openmetrics-text\r\n\r\n",
        )
    assert b"application/openmetrics-text" in reply
    assert scraper.asked == [(True, frozenset())]


async def test_gzip_is_one_member_with_an_exact_length() -> None:
    headers = {"Accept-Encoding": "gzip"}
    async with (
        served() as server,
        server.client.get(f"{server.url}/metrics", headers=headers) as answer,
    ):
        packed = await answer.read()
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Content-Length"] == str(len(packed))
        assert gzip.decompress(packed) == BODY


async def test_head_says_what_get_would_and_sends_nothing() -> None:
    async with served() as server:
        reply = await ask(
            server.address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"Content-Length: {len(BODY)}".encode() in head
    assert body == b""


async def test_repeated_names_reach_the_scraper() -> None:
    scraper = FakeScraper()
    async with served(scraper) as server:
        url = f"{server.url}/metrics?name[]=a&name%5B%5D=b"
        async with server.client.get(url) as answer:
            assert answer.status == 200
    assert scraper.asked == [(False, frozenset({"a", "b"}))]


async def test_one_scrape_too_many_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "MAX_SCRAPES", 2)
    scraper = FakeScraper()
    scraper.gate.clear()
    async with served(scraper) as server:
        url = f"{server.url}/metrics"
        running = [asyncio.create_task(server.client.get(url)) for _ in range(2)]
        for _ in running:
            await scraper.arrivals.acquire()
        async with server.client.get(url) as refused:
            assert refused.status == 503
            assert refused.headers["Retry-After"] == "1"
        scraper.gate.set()
        assert [(await task).status for task in running] == [200, 200]
        async with server.client.get(url) as again:
            assert again.status == 200


async def test_a_scrape_ends_when_its_client_hangs_up() -> None:
    scraper = FakeScraper()
    scraper.gate.clear()
    async with served(scraper) as server:
        async with connected(server.address) as (_, writer):
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            await scraper.arrivals.acquire()
        async with asyncio.timeout(10):
            while scraper.running:
                await asyncio.sleep(0)


class HeldStatus(FakeStatus):
    """A list of failing results that is searched until ``gate`` opens."""

    def __init__(self) -> None:
        super().__init__(time.time())
        self.gate = asyncio.Event()
        self.arrivals = asyncio.Semaphore(0)
        self.running = 0

    async def failing(self, query: Query) -> FailingPage:
        self.running += 1
        self.arrivals.release()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return await super().failing(query)


async def test_one_page_too_many_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "MAX_PAGES", 2)
    status = HeldStatus()
    async with served(status=status) as server:
        pages = [server.url + path for path in ("/", "/api/v1/status")]
        running = [asyncio.create_task(server.client.get(url)) for url in pages]
        for _ in running:
            await status.arrivals.acquire()
        for url in (*pages, f"{server.url}/api/v1/blocks"):
            async with server.client.get(url) as refused:
                assert refused.status == 503
                assert refused.headers["Retry-After"] == "1"
        async with server.client.get(f"{server.url}/metrics") as scrape:
            assert scrape.status == 200
        status.gate.set()
        assert [(await task).status for task in running] == [200, 200]


async def test_a_page_ends_when_its_reader_hangs_up() -> None:
    status = HeldStatus()
    async with served(status=status) as server:
        async with connected(server.address) as (_, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await status.arrivals.acquire()
        async with asyncio.timeout(10):
            while status.running:
                await asyncio.sleep(0)


async def test_a_scrape_that_cannot_be_in_time_says_so() -> None:
    scraper = FakeScraper()
    scraper.gate.clear()
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": "0.02"}
    async with (
        served(scraper) as server,
        server.client.get(f"{server.url}/metrics", headers=headers) as answer,
    ):
        assert answer.status == 503
        assert "within its timeout" in await answer.text()
    assert scraper.running == 0


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan", "1e9"])
async def test_a_timeout_that_makes_no_sense_is_not_heeded(seconds: str) -> None:
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": seconds, "Accept-Encoding": "gzip"}
    async with (
        served() as server,
        server.client.get(f"{server.url}/metrics", headers=headers) as answer,
    ):
        assert answer.status == 200


async def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "SEND_SECONDS", 0.2)
    monkeypatch.setattr(respond, "MAX_SCRAPES", 1)
    async with (
        served(FakeScraper([bytes(1 << 20)] * 64)) as server,
        connected(server.address) as (reader, writer),
    ):
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        statuses: list[int] = []
        while 200 not in statuses and len(statuses) < 10_000:
            async with server.client.head(f"{server.url}/metrics") as answer:
                statuses.append(answer.status)
        async with asyncio.timeout(10):
            assert len(await reader.read()) < 64 << 20
    assert set(statuses) == {503, 200}, "the slow client's place was freed in time"


async def test_a_reader_that_is_slow_but_reads_gets_everything() -> None:
    size = 32 << 20
    async with (
        served(FakeScraper([bytes(size)])) as server,
        connected(server.address) as (reader, writer),
    ):
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        while size:
            chunk = await reader.read(1 << 14)
            assert chunk
            size -= len(chunk)


async def test_slow_readers_hold_a_bounded_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "MAX_HELD_BYTES", 80 << 20)
    async with (
        served(FakeScraper([bytes(1 << 20)] * 64)) as server,
        connected(server.address) as (reader, writer),
    ):
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        async with server.client.get(f"{server.url}/metrics") as answer:
            assert answer.status == 503
        packed = {"Accept-Encoding": "gzip"}
        async with server.client.get(f"{server.url}/metrics", headers=packed) as answer:
            assert answer.status == 200


async def test_compressing_and_sending_never_hold_the_loop() -> None:
    segments = [random.Random(7).randbytes(8 << 20).hex().encode()]
    async with served(FakeScraper(segments)) as server:
        stalls: list[float] = []
        watching = asyncio.create_task(measure_turns(stalls))
        for coding in ("gzip", "identity"):
            headers = {"Accept-Encoding": coding}
            async with server.client.get(f"{server.url}/metrics", headers=headers) as answer:
                await answer.read()
        watching.cancel()
    # Uncut, the 16 MiB are one turn of more than 30 ms.
    assert max(stalls) < 0.02


async def measure_turns(seconds: list[float]) -> None:
    """Measure in time that this thread computed: what else the machine does is not our doing."""
    last = time.thread_time()
    while True:
        await asyncio.sleep(0)
        seconds.append(time.thread_time() - last)
        last = time.thread_time()


async def test_pieces_are_bounded_and_lose_nothing() -> None:
    segments = [bytes([n]) * size for n, size in enumerate((0, 1, respond.PIECE_BYTES, 600_000))]
    cut = list(respond.pieces(segments))
    assert max(map(len, cut)) == respond.PIECE_BYTES
    assert b"".join(cut) == b"".join(segments)


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/blocks"])
async def test_a_client_that_hangs_up_is_no_error(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    status = FakeStatus(time.time())
    big = FakeScraper([bytes(1 << 20)] * 64)
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
    async with served(big, status=status) as server:
        async with connected(server.address) as (reader, writer):
            writer.write(request.encode())
            await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(10):
            while not (path == "/metrics" or not status.listeners):
                status.block("x" * 100)
                await asyncio.sleep(0)
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []
