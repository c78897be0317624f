"""The HTTP client against a server of its own."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from exporter.alerting.ports import PostAnswer
from exporter.alerting.settings import AlertmanagerTarget, BasicAuth, ClientTls
from exporter.errors import ConfigError, Unavailable
from exporter.notify.client import AlertmanagerClient
from tests.pki import Authority

HEADERS = {"Content-Type": "application/json"}
Respond = Callable[[web.BaseRequest], Awaitable[web.Response]]


@asynccontextmanager
async def served(respond: Respond, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve on a free loopback port; give the URL."""
    runner = web.ServerRunner(web.Server(respond))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"http{'s' if context else ''}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def post(client: AlertmanagerClient, url: str, body: bytes = b"[]") -> PostAnswer:
    return await client(url, body, HEADERS)


@asynccontextmanager
async def client(target: AlertmanagerTarget) -> AsyncIterator[AlertmanagerClient]:
    made = AlertmanagerClient(target)
    try:
        yield made
    finally:
        await made.close()


async def test_a_body_arrives_with_its_headers_and_the_answer_comes_back() -> None:
    seen: list[tuple[bytes, str, str]] = []

    async def respond(request: web.BaseRequest) -> web.Response:
        body = await request.content.read()
        seen.append((body, request.headers["Content-Type"], request.headers["User-Agent"]))
        return web.Response(status=400, text="bad\n  label")

    async with served(respond) as url, client(AlertmanagerTarget(url)) as sending:
        large = b"[" + b" " * 3_000_000 + b"]"
        answer = await post(sending, url, large)
    assert answer.status == 400
    assert answer.text == "bad label"
    assert abs(answer.date - datetime.now(UTC).timestamp()) < 60
    assert seen[0][:2] == (large, "application/json")
    assert seen[0][2].startswith("policy-report-exporter/")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("17", 17.0),
        ("Mon, 23 Nov 2026 10:02:00 GMT", 120.0),
        ("Mon, 23 Nov 2026 18:00:00 GMT", 300.0),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("-1", 0.0),
        ("9" * 400, 300.0),
    ],
)
async def test_retry_after_is_seconds_or_an_instant_by_the_servers_clock(
    said: str, seconds: float
) -> None:
    async def respond(_: web.BaseRequest) -> web.Response:
        date = "Mon, 23 Nov 2026 10:00:00 GMT"
        return web.Response(status=429, headers={"Retry-After": said, "Date": date})

    async with served(respond) as url, client(AlertmanagerTarget(url)) as sending:
        answer = await post(sending, url)
    assert (answer.status, answer.retry_after) == (429, seconds)
    assert answer.date == datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()


async def test_redirects_are_not_followed() -> None:
    seen: list[str] = []

    async def respond(request: web.BaseRequest) -> web.Response:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with served(respond) as url, client(AlertmanagerTarget(url)) as sending:
        answer = await post(sending, f"{url}/api/v2/alerts")
    assert (answer.status, seen) == (307, ["/api/v2/alerts"])


async def test_a_refused_connection_is_no_answer(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with client(AlertmanagerTarget(url)) as sending:
        with pytest.raises(Unavailable, match=r"no response: connection refused"):
            await post(sending, url)


async def test_a_connection_that_breaks_is_no_answer() -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    server = await asyncio.start_server(slam, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with client(AlertmanagerTarget(url)) as sending:
            with pytest.raises(Unavailable):
                await post(sending, url)


async def test_credentials_are_read_anew_for_each_post(tmp_path: Path) -> None:
    seen: list[str] = []

    async def respond(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return web.Response()

    secret = tmp_path / "secret"
    async with served(respond) as url:
        basic = AlertmanagerTarget(url, basic_auth=BasicAuth("user", str(secret)))
        bearer = AlertmanagerTarget(url, bearer_token_file=str(secret))
        async with client(basic) as first, client(bearer) as second:
            for text in ("one\n", "two ü\n"):
                secret.write_text(text, encoding="utf-8")
                await post(first, url)
            secret.write_text("token\n")
            await post(second, url)
    pairs = [base64.b64decode(s.removeprefix("Basic ")).decode() for s in seen[:2]]
    assert pairs == ["user:one", "user:two ü"]
    assert seen[2] == "Bearer token"


@pytest.mark.parametrize("content", [None, "", "two\nlines", b"\xff"])
async def test_a_secret_that_cannot_be_used_is_named(
    tmp_path: Path, content: str | bytes | None
) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content.encode() if isinstance(content, str) else content)
    target = AlertmanagerTarget("http://127.0.0.1:9", bearer_token_file=str(secret))
    async with client(target) as sending:
        with pytest.raises(ConfigError, match="secret: "):
            await post(sending, target.url)


def server_context(files: tuple[Path, Path], clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def ok(_: web.BaseRequest) -> web.Response:
    return web.Response()


async def test_a_server_is_trusted_by_its_authority_only(tmp_path: Path) -> None:
    authority = Authority()
    ca = tmp_path / "ca.crt"
    ca.write_text(authority.pem)
    files = authority.server().write(tmp_path, "server")
    async with served(ok, server_context(files)) as url:
        async with client(AlertmanagerTarget(url)) as sending:
            with pytest.raises(Unavailable, match=r"(?i)certificate"):
                await post(sending, url)
        async with client(AlertmanagerTarget(url, tls=ClientTls(ca_file=str(ca)))) as sending:
            assert (await post(sending, url)).status == 200
        async with client(
            AlertmanagerTarget(url, tls=ClientTls(insecure_skip_verify=True))
        ) as sending:
            assert (await post(sending, url)).status == 200


async def test_an_authority_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    authority = Authority()
    files = authority.server().write(tmp_path, "server")
    ca = tmp_path / "ca.crt"
    ca.write_text(Authority("another").pem)
    async with (
        served(ok, server_context(files)) as url,
        client(AlertmanagerTarget(url, tls=ClientTls(ca_file=str(ca)))) as sending,
    ):
        with pytest.raises(Unavailable):
            await post(sending, url)
        replacement = tmp_path / "new.crt"
        replacement.write_text(authority.pem)
        replacement.rename(ca)
        assert (await post(sending, url)).status == 200


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    authority = Authority()
    ca = tmp_path / "ca.crt"
    ca.write_text(authority.pem)
    files = authority.server().write(tmp_path, "server")
    cert, key = map(str, authority.issue("exporter").write(tmp_path, "exporter"))
    async with served(ok, server_context(files, ca)) as url:
        async with client(AlertmanagerTarget(url, tls=ClientTls(str(ca), cert, key))) as sending:
            assert (await post(sending, url)).status == 200
        async with client(AlertmanagerTarget(url, tls=ClientTls(str(ca)))) as sending:
            with pytest.raises(Unavailable):
                await post(sending, url)


async def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.crt")
    target = AlertmanagerTarget("https://127.0.0.1:9", tls=ClientTls(ca_file=missing))
    async with client(target) as sending:
        with pytest.raises(ConfigError, match=r"missing\.crt"):
            await post(sending, target.url)
