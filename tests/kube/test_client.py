"""Requests as they leave, and everything that may come back."""

import asyncio
import base64
import gc
import json as jsonlib
import resource
import ssl
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from itertools import chain
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509

from exporter.errors import ApiError, Malformed, Refused, Unavailable
from exporter.kube import transport
from exporter.kube.access import Access
from exporter.kube.client import KubeClient, Request
from exporter.kube.credentials import Anonymous
from exporter.kube.kubeconfig import Kubeconfig
from tests.kube.kubeconfigs import kubeconfig
from tests.kube.serving import json, never, server_side, serving
from tests.pki import Authority
from tests.tools import free_port
from tests.watch.recording import Counts

REQUEST = Request("/apis/x", {"limit": "2"}, resource="things", verb="list")


class Tokens:
    """Credentials whose token is what the test says, and another one once it was refused."""

    name = "kubeconfig k, context c"
    cluster = "c"

    def __init__(self, server: str, *tokens: str) -> None:
        self._accesses = [Access(server, f"Bearer {token}") for token in tokens]

    async def access(self) -> Access:
        return self._accesses[0]

    async def renewed(self, refused: Access) -> Access:
        assert refused == self._accesses[0]
        if len(self._accesses) > 1:
            self._accesses.pop(0)
        return self._accesses[0]


async def ok(request: web.BaseRequest) -> web.StreamResponse:
    return json()


async def lines_of(client: KubeClient, request: Request = REQUEST) -> list[list[bytes]]:
    async with aclosing(client.lines(request)) as batches:
        return [batch async for batch in batches]


async def test_a_request_says_what_it_wants_and_who_asks() -> None:
    seen: list[web.BaseRequest] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        return json('{"a":1}')

    counts = Counts()
    async with serving(answer) as url, KubeClient(Tokens(f"{url}/prefix", "t"), counts) as client:
        assert await client.get(REQUEST._replace(query={"continue": "a+b/=&"})) == b'{"a":1}'
    assert str(seen[0].rel_url.path) == "/prefix/apis/x"
    assert seen[0].query["continue"] == "a+b/=&"
    assert seen[0].headers["Authorization"] == "Bearer t"
    assert seen[0].headers["Accept-Encoding"] == "gzip"
    assert seen[0].headers["User-Agent"].startswith("policy-report-exporter/")
    assert counts.requests == {("things", "list", 200): 1}


def test_without_a_fast_inflater_plain_json_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert transport.accepted_encoding() == "gzip"
    monkeypatch.setitem(__import__("sys").modules, "isal", None)
    assert transport.accepted_encoding() == "identity"


async def test_a_refused_token_is_renewed_and_the_request_made_once_more() -> None:
    seen: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.headers["Authorization"])
        return json(status=200 if seen[-1] == "Bearer new" else 401)

    counts = Counts()
    async with serving(answer) as url, KubeClient(Tokens(url, "old", "new"), counts) as client:
        await client.get(REQUEST)
        assert seen == ["Bearer old", "Bearer new"]
    async with serving(answer) as url, KubeClient(Tokens(url, "old"), counts) as client:
        with pytest.raises(Refused):
            await client.get(REQUEST)
        assert seen[2:] == ["Bearer old"], "there is no other token"


async def test_an_expired_token_is_named_with_its_file_and_context() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return json('{"kind":"Status","message":"Unauthorized"}', 401)

    claims = base64.urlsafe_b64encode(jsonlib.dumps({"exp": 1_600_000_000}).encode()).decode()
    token = f"e30.{claims.rstrip('=')}.sig"
    async with serving(answer) as url, KubeClient(Tokens(url, token), Counts()) as client:
        with pytest.raises(Refused) as caught:
            await client.get(REQUEST)
    assert str(caught.value) == (
        "kubeconfig k, context c: Unauthorized (401); "
        "the token expired at 2020-09-13 12:26:40+00:00"
    )
    assert "sig" not in str(caught.value)


async def test_credentials_are_sent_to_nobody_else() -> None:
    seen: list[str] = []

    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.path)
        return json()

    async with serving(elsewhere) as other:

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": other})

        async with serving(answer) as url, KubeClient(Tokens(url, "t"), Counts()) as client:
            with pytest.raises(Unavailable, match="Found"):
                await client.get(REQUEST)
    assert seen == []


async def test_a_page_of_a_proxy_is_not_an_answer() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="<html>", content_type="text/html")

    async with serving(answer) as url, KubeClient(Anonymous(url), Counts()) as client:
        with pytest.raises(Unavailable, match="responds with text/html, not JSON"):
            await client.get(REQUEST)
        with pytest.raises(Unavailable, match="text/html"):
            await lines_of(client)


async def test_nobody_listening_is_unavailable_and_counted_without_a_status() -> None:
    counts = Counts()
    async with KubeClient(Anonymous(f"http://127.0.0.1:{free_port()}"), counts) as client:
        with pytest.raises(Unavailable, match="connection refused"):
            await client.get(REQUEST)
    assert counts.requests == {("things", "list", 0): 1}


async def test_an_unknown_host_is_unavailable() -> None:
    async with KubeClient(Anonymous("http://nowhere.invalid"), Counts()) as client:
        with pytest.raises(Unavailable, match=r"http://nowhere\.invalid: "):
            await client.get(REQUEST)


async def test_when_no_more_files_can_be_opened_a_request_fails_and_later_ones_do_not() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(ok) as url, KubeClient(Anonymous(url), Counts()) as client:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(Unavailable, match="too many open files"):
                await client.get(REQUEST)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await client.get(REQUEST) == b"{}"


async def test_a_body_that_stalls_is_given_up() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"a":')
        await never()
        return response

    async with (
        serving(answer) as url,
        KubeClient(Anonymous(url), Counts(), idle_seconds=0.1) as client,
    ):
        with pytest.raises(Unavailable, match="no response in time"):
            await client.get(REQUEST)


async def test_a_body_cut_short_is_unavailable() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 100
        await response.prepare(request)
        await response.write(b'{"a":')
        assert request.transport
        request.transport.close()
        return response

    async with serving(answer) as url, KubeClient(Anonymous(url), Counts()) as client:
        with pytest.raises(Unavailable):
            await client.get(REQUEST)


async def test_a_body_beyond_the_limit_is_not_held() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return json("x" * 10_000)

    async with (
        serving(answer) as url,
        KubeClient(Anonymous(url), Counts(), body_bytes=1000) as client,
    ):
        with pytest.raises(Malformed, match="exceeds 1000 bytes"):
            await client.get(REQUEST)


async def test_a_stream_begins_with_an_empty_batch_and_shows_every_sign_of_life() -> None:
    go_on = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b"")
        for part in (b'{"a"', b':1}\n{"b":2}\n', b'{"c"'):
            await go_on.wait()
            go_on.clear()
            await response.write(part)
        return response

    seen = []
    async with serving(answer) as url, KubeClient(Anonymous(url), Counts()) as client:
        async for batch in client.lines(REQUEST):
            seen.append(batch)
            go_on.set()
    assert seen == [[], [], [b'{"a":1}', b'{"b":2}'], []]


async def test_lines_that_are_too_long_are_counted() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return json("1\n" + "x" * 100 + "\n2\n")

    counts = Counts()
    async with serving(answer) as url, KubeClient(Anonymous(url), counts, line_bytes=10) as client:
        assert list(chain(*await lines_of(client))) == [b"1", b"2"]
    assert counts.skips == {"too_large": 1}


async def test_a_stream_that_is_left_closes_its_connection() -> None:
    left = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        try:
            await never()
        finally:
            left.set()
        return response

    async with serving(answer) as url, KubeClient(Anonymous(url), Counts()) as client:
        async with aclosing(client.lines(REQUEST)) as batches:
            assert await anext(batches) == []
        async with asyncio.timeout(5):
            await left.wait()


async def asked(
    tmp_path: Path, url: str, user: dict[str, str], cluster: dict[str, object]
) -> bytes:
    credentials = Kubeconfig(kubeconfig(tmp_path, url, user, cluster))
    async with KubeClient(credentials, Counts()) as client:
        return await client.get(REQUEST)


async def test_a_certificate_of_the_cluster_s_authority_is_trusted_and_no_other(
    tmp_path: Path,
) -> None:
    authority, stranger = Authority(), Authority("stranger")
    (tmp_path / "ca.crt").write_text(authority.pem)
    trusted: dict[str, object] = {"certificate-authority": "ca.crt"}
    async with serving(ok, server_side(tmp_path, authority.server())) as url:
        assert await asked(tmp_path, url, {}, trusted) == b"{}"
    async with serving(ok, server_side(tmp_path, stranger.server())) as url:
        with pytest.raises(Unavailable, match="certificate is not trusted"):
            await asked(tmp_path, url, {}, trusted)
        assert await asked(tmp_path, url, {}, {"insecure-skip-tls-verify": True}) == b"{}"


async def test_a_server_may_go_by_another_name(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.crt").write_text(authority.pem)
    named = authority.issue("api", x509.DNSName("api.example"))
    cluster: dict[str, object] = {"certificate-authority": "ca.crt"}
    async with serving(ok, server_side(tmp_path, named)) as url:
        with pytest.raises(Unavailable, match="not trusted"):
            await asked(tmp_path, url, {}, cluster)
        cluster["tls-server-name"] = "api.example"
        assert await asked(tmp_path, url, {}, cluster) == b"{}"


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.crt").write_text(authority.pem)
    authority.issue("exporter").write(tmp_path, "client")
    user = {"client-certificate": "client.crt", "client-key": "client.key"}
    cluster: dict[str, object] = {"certificate-authority": "ca.crt"}
    async with serving(ok, server_side(tmp_path, authority.server(), authority)) as url:
        assert await asked(tmp_path, url, user, cluster) == b"{}"
        with pytest.raises(ApiError):
            await asked(tmp_path, url, {}, cluster)


def test_no_socket_outlives_a_client_though_its_streams_stand(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.crt").write_text(authority.pem)
    cluster: dict[str, object] = {"certificate-authority": "ca.crt"}

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = json_stream()
        await response.prepare(request)
        await never()
        return response

    async def follow(url: str) -> None:
        async with KubeClient(
            Kubeconfig(kubeconfig(tmp_path, url, {}, cluster)), Counts()
        ) as client:
            watches = [client.lines(REQUEST) for _ in range(8)]
            assert [await anext(each) for each in watches] == [[]] * 8
            for each in watches:
                await each.aclose()

    with (
        served_beside(stream, server_side(tmp_path, authority.server())) as url,
        warnings.catch_warnings(record=True) as said,
    ):
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(follow(url))
        gc.collect()
    assert [str(each.message) for each in said if "unclosed" in str(each.message)] == []


def json_stream() -> web.StreamResponse:
    return web.StreamResponse(headers={"Content-Type": "application/json"})


@contextmanager
def served_beside(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], tls: ssl.SSLContext
) -> Iterator[str]:
    """Serve from another thread, whose loop goes on when the test's has ended."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = AsyncExitStack()
    try:
        entering = stack.enter_async_context(serving(answer, tls))
        yield asyncio.run_coroutine_threadsafe(entering, loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def test_a_proxy_is_asked_where_the_kubeconfig_names_one(tmp_path: Path) -> None:
    seen: list[str] = []

    async def proxy(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(str(request.url.host))
        return json('{"from":"proxy"}')

    async with serving(proxy) as url:
        found = await asked(tmp_path, "http://api.example", {}, {"proxy-url": url})
    assert (found, seen) == (b'{"from":"proxy"}', ["api.example"])
