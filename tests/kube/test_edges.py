"""No exception of a library leaves the edge: each becomes one of the exporter's own."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from exporter.alerting.settings import AlertmanagerTarget
from exporter.connection import check_url, failure_reason, translated
from exporter.errors import (
    MAX_RETRY_AFTER_SECONDS,
    ApiError,
    ConfigError,
    Gone,
    NotServed,
    Refused,
    Unavailable,
    Unsupported,
    error_of_status,
)
from exporter.kube.access import Access
from exporter.kube.client import KubeClient, Request
from exporter.notify.client import AlertmanagerClient
from tests.watch.recording import Counts

KEY = ConnectionKey("api.example", 443, True, True, None, None, None)
REFUSED_CONNECTION = ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)")
UNTRUSTED = ssl.SSLCertVerificationError(1, "[SSL] failed (_ssl.c:1006)")
UNTRUSTED.verify_message = "certificate has expired"


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:1006)")
    error.reason = reason
    return error


def of(work: Callable[[], object]) -> BaseException:
    """Return what a library raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        work()
    return caught.value


RAISED: dict[str, BaseException] = {
    "no response in time": TimeoutError(),
    "connection refused": aiohttp.ClientConnectorError(KEY, REFUSED_CONNECTION),
    "connection reset by peer": ConnectionResetError(104, "Connection reset by peer"),
    "no such file or directory": OSError("Multiple exceptions: [Errno 2] a, [Errno 3] b"),
    "its certificate is not trusted: certificate has expired": (
        aiohttp.ClientConnectorCertificateError(KEY, UNTRUSTED)
    ),
    "the response is not TLS; is this a plain HTTP port?": (
        aiohttp.ClientConnectorSSLError(KEY, tls_error("WRONG_VERSION_NUMBER"))
    ),
    "TLS failed: tlsv1 alert unknown ca": tls_error("TLSV1_ALERT_UNKNOWN_CA"),
    "the connection broke in the middle of a response": aiohttp.ClientPayloadError("x"),
    "the connection was closed without a response": aiohttp.ServerDisconnectedError(),
    "the URL is invalid": aiohttp.InvalidURL("http://"),
    "the host name is invalid": of(lambda: "a..b".encode("idna")),
    "signed integer is greater than maximum": OverflowError(
        "signed integer is greater than maximum"
    ),
    "control character": ValueError("Forbidden control character detected in headers."),
    "Port": of(lambda: URL("http://a:99999")),
    "Exceeds the limit": of(lambda: int("9" * 5000)),
}


@pytest.mark.parametrize("reason", RAISED)
def test_every_exception_of_a_request_becomes_unavailable_with_a_reason(reason: str) -> None:
    with pytest.raises(Unavailable) as caught, translated("https://api.example"):
        raise RAISED[reason]
    message = str(caught.value)
    assert message.startswith("https://api.example: ")
    assert reason in message
    for jargon in ("_ssl.c", "Errno", "Connect call", "ssl:", "[SSL"):
        assert jargon not in message


def test_a_reason_is_never_empty() -> None:
    assert failure_reason(aiohttp.ClientError()) == "ClientError"


class Odd:
    """Credentials whose access no request can be made with."""

    name = "odd"
    cluster = "odd"

    def __init__(self, access: Access) -> None:
        self._access = access

    async def access(self) -> Access:
        return self._access

    async def renewed(self, refused: Access) -> Access:
        return refused


ODD = {
    "empty label": Access("http://a..b"),
    "long label": Access(f"http://{'a' * 64}.example"),
    "port": Access("http://127.0.0.1:99999"),
    "no host": Access("http://"),
    "no scheme": Access("nonsense"),
    "control characters": Access("http://127.0.0.1:9", "Bearer two\r\nlines"),
    "NUL": Access("http://127.0.0.1:9", "Bearer a\0b"),
    "impersonation": Access("http://127.0.0.1:9", impersonation=(("Impersonate-User", "a\nb"),)),
    "proxy": Access("http://127.0.0.1:9", proxy="http://a..b"),
    "odd proxy": Access("http://127.0.0.1:9", proxy="socks5://127.0.0.1:9"),
    "server name": Access("https://127.0.0.1:9", server_name="."),
}


@pytest.mark.parametrize("odd", ODD)
async def test_no_access_ends_the_process(odd: str) -> None:
    async with KubeClient(Odd(ODD[odd]), Counts()) as client:
        with pytest.raises(ApiError):
            await client.get(Request("/apis"))


@pytest.mark.parametrize(
    "url", ["http://a..b", f"http://{'a' * 64}.example", "http://127.0.0.1:65536", "http://[::1%0]"]
)
async def test_no_address_of_an_alertmanager_ends_the_process(url: str) -> None:
    client = AlertmanagerClient(AlertmanagerTarget("http://127.0.0.1:9"))
    try:
        with pytest.raises(Unavailable, match="no response: "):
            await client(url, b"[]", {})
    finally:
        await client.close()


@pytest.mark.parametrize(
    "url",
    [
        "api.example",
        "ftp://api.example",
        "http://",
        "http://a..b",
        "http://.b",
        f"http://{'a' * 64}",
        f"http://{'a.' * 140}b",
        "http://a:0",
        "http://a:65536",
        "http://a:" + "9" * 5000,
        "http://a:b",
        "http://a b",
        "http://[::1",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        check_url(url)


@pytest.mark.parametrize("url", ["http://a", "https://a.b.:6443/p", "http://[::1]:1", "http://a_b"])
def test_any_other_address_is_accepted(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Unsupported),
        (401, Refused),
        (403, Refused),
        (404, NotServed),
        (405, Unsupported),
        (406, Unsupported),
        (410, Gone),
        (422, Unsupported),
        (429, Unavailable),
        (500, Unavailable),
        (504, Unavailable),
        (999, Unavailable),
        (0, Unavailable),
    ],
)
def test_a_status_says_what_to_do_next(status: int, kind: type[ApiError]) -> None:
    error = error_of_status(status, "m")
    assert (type(error), error.status, str(error)) == (kind, status, "m")


@pytest.mark.parametrize(
    ("asked", "believed"), [(0.0, 0.0), (17.0, 17.0), (1e9, MAX_RETRY_AFTER_SECONDS), (-5.0, 0.0)]
)
def test_a_pause_is_believed_for_five_minutes_at_most(asked: float, believed: float) -> None:
    error = error_of_status(429, "m", asked)
    assert isinstance(error, Unavailable)
    assert error.retry_after == believed


async def test_a_cancelled_request_stays_cancelled() -> None:
    async def waiting() -> None:
        with translated("x"):
            await asyncio.Event().wait()

    work: Awaitable[None] = asyncio.ensure_future(waiting())
    await asyncio.sleep(0)
    assert isinstance(work, asyncio.Task)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
