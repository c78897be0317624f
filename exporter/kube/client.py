"""Ask one API server: bodies and lines as bytes, all else as errors grouped by what to do next."""

import asyncio
import binascii
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, NamedTuple, Self

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from exporter import __version__
from exporter.connection import translated
from exporter.errors import ApiError, Malformed, Refused, Unavailable
from exporter.kube.access import Access, Credentials
from exporter.kube.transport import CONNECT_SECONDS, accepted_encoding, drop, new_session, refusal
from exporter.watch.ports import WatchObserver


class Lines:
    """Cuts chunks into lines. Holds at most ``limit`` bytes of a line that has not ended.

    What follows the last newline of a stream is never a line: its end was lost.
    """

    def __init__(self, limit: int) -> None:
        self.too_long = 0
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk; return the lines that ended in it, without newlines and empty ones."""
        start = chunk.find(b"\n") + 1
        if not start:
            self._hold(chunk)
            return []
        self._hold(chunk[: start - 1])
        lines = [self._release()]
        while end := chunk.find(b"\n", start) + 1:  # split() looks at each byte by itself
            lines.append(chunk[start : end - 1])
            start = end
        self._hold(chunk[start:])
        return [line for line in lines if line and self._is_short(line)]

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > self._limit:
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _release(self) -> bytes:
        self.too_long += self._held > self._limit
        line = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return line

    def _is_short(self, line: bytes) -> bool:
        self.too_long += len(line) > self._limit
        return len(line) <= self._limit


class _Claims(msgspec.Struct):
    exp: float = 0


def expiry(authorization: str) -> datetime | None:
    """Read the expiry of a JSON web token; None where the token is none, or has none."""
    parts = authorization.rpartition(" ")[2].split(".")
    if len(parts) != 3:
        return None
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = msgspec.json.decode(urlsafe_b64decode(padded), type=_Claims)
        return datetime.fromtimestamp(claims.exp, UTC) if claims.exp else None
    except (binascii.Error, ValueError, msgspec.MsgspecError, OverflowError, OSError):
        return None


USER_AGENT: Final = f"policy-report-exporter/{__version__}"
JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
IDLE_SECONDS: Final = 90.0
LINE_BYTES: Final = 16 * 2**20
BODY_BYTES: Final = 64 * 2**20
REFUSAL_BYTES: Final = 2**16


class Request(NamedTuple):
    """A GET, or a PATCH where there is a body. ``resource`` and ``verb`` are for metrics."""

    path: str
    query: Mapping[str, str] = {}
    accept: str = JSON
    resource: str = ""
    verb: str = "get"
    merge_patch: bytes = b""


class KubeClient:
    """A session with one API server; use it as an async context manager.

    No request has a total timeout. A body that stalls for ``idle_seconds`` is given up; how long
    a stream may be silent is up to its reader.
    """

    def __init__(
        self,
        credentials: Credentials,
        observer: WatchObserver,
        *,
        idle_seconds: float = IDLE_SECONDS,
        line_bytes: int = LINE_BYTES,
        body_bytes: int = BODY_BYTES,
    ) -> None:
        self.credentials = credentials
        self._observer = observer
        self._idle_seconds = idle_seconds
        self._line_bytes = line_bytes
        self._body_bytes = body_bytes
        self._encoding = accepted_encoding()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = new_session()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # a socket is closed in the turn after its transport

    async def get(self, request: Request) -> bytes:
        """Read a whole body.

        Raises:
            ApiError: by what is to be done next.
            Malformed: the body is larger than ``body_bytes``.
        """
        async with self._answer(request, self._idle_seconds) as response:
            return await self._body(response, request)

    async def lines(self, request: Request) -> AsyncGenerator[list[bytes], None]:
        """Stream an answer by lines. The first batch is empty; whatever arrives makes a batch.

        Lines longer than ``line_bytes`` are left out and counted as skipped objects.
        """
        framing = Lines(self._line_bytes)
        async with self._answer(request, None) as response:
            yield []
            async for chunk in response.content.iter_any():
                skipped = framing.too_long
                yield framing.feed(chunk)
                for _ in range(framing.too_long - skipped):
                    self._observer.skipped(request.resource, "too_large")

    @asynccontextmanager
    async def _answer(
        self, request: Request, idle_seconds: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        response = await self._accepted(request, idle_seconds)
        with translated(str(response.url.origin())):
            try:
                yield response
            finally:
                drop(response)

    async def _accepted(
        self, request: Request, idle_seconds: float | None
    ) -> aiohttp.ClientResponse:
        """Send a request, again with other credentials where there are some; want JSON."""
        access = await self.credentials.access()
        response = await self._sent(access, request, idle_seconds)
        if response.status == 401:
            fresh = await self.credentials.renewed(access)
            if fresh != access:
                drop(response)
                access, response = fresh, await self._sent(fresh, request, idle_seconds)
        if response.status == 200 and response.content_type == JSON:
            return response
        with translated(access.server):
            try:
                raise await self._refusal(access, response)
            finally:
                drop(response)

    async def _sent(
        self, access: Access, request: Request, idle_seconds: float | None
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("KubeClient: use it in an async with block")
        headers = CIMultiDict(access.impersonation)
        headers["Accept"] = request.accept
        headers["Accept-Encoding"] = self._encoding
        headers["User-Agent"] = USER_AGENT
        if access.authorization:
            headers["Authorization"] = access.authorization
        if request.merge_patch:
            headers["Content-Type"] = MERGE_PATCH
        began, code = time.monotonic(), 0
        try:
            with translated(access.server):
                response = await self._session.request(
                    "PATCH" if request.merge_patch else "GET",
                    URL(access.server + request.path).with_query(request.query),
                    data=request.merge_patch or None,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(
                        sock_connect=CONNECT_SECONDS, sock_read=idle_seconds
                    ),
                    allow_redirects=False,  # credentials go to nobody else
                    ssl=access.tls or True,
                    server_hostname=access.server_name or None,
                    proxy=access.proxy or None,
                )
            code = response.status
        finally:
            seconds = time.monotonic() - began
            self._observer.request(request.resource, request.verb, code, seconds)
        return response

    async def _refusal(self, access: Access, response: aiohttp.ClientResponse) -> ApiError:
        if response.status == 200:
            kind = response.content_type
            return Unavailable(f"{access.server} responds with {kind}, not JSON; is this a proxy?")
        body = await response.content.read(REFUSAL_BYTES)
        error = refusal(response.status, body, response.headers)
        if response.status != 401:
            return error
        expires = expiry(access.authorization)
        until = (
            f"; the token expired at {expires}" if expires and expires < datetime.now(UTC) else ""
        )
        return Refused(f"{self.credentials.name}: {error}{until}", 401)

    async def _body(self, response: aiohttp.ClientResponse, request: Request) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > self._body_bytes:
                raise Malformed(f"{request.path}: the response exceeds {self._body_bytes} bytes")
        return b"".join(parts)
