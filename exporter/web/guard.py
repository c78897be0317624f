"""Stands before every route: rate limit, credentials, and the headers of every response."""

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping

import bcrypt
from aiohttp import hdrs, web

from exporter.web.webconfig import Headers, WebConfig

REMEMBERED = 100
MAX_WAITING = 32
_DEFAULT_COST = 10
_BCRYPT_BYTES = 72


class Overloaded(Exception):  # noqa: N818 - says what the checker is
    """Too many passwords wait to be compared; the client should come back."""


class Passwords:
    """Compares one password at a time, and remembers which were right.

    Only right ones are remembered, so that guessing cannot push a scraper's password out.
    """

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def accept(self, authorization: str, users: Mapping[str, str]) -> bool:
        """Tell whether an Authorization header names one of these users and its password."""
        credentials = _credentials(authorization)
        if credentials is None:
            return False
        user, password = credentials
        # An unknown user costs as much as a known one, so that time does not tell them apart.
        hashed = users.get(user, "") or _nobody(users)
        digest = self._digest(user, password, hashed)
        if digest in self._right:
            return True
        right = await self._compare(password, hashed)
        if right and user in users:
            self._remember(digest)
            return True
        return False

    async def _compare(self, password: bytes, hashed: str) -> bool:
        if self._waiting >= MAX_WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            async with self._turn:
                # bcrypt reads no more than 72 bytes, and refuses longer ones instead of saying so.
                shortened = password[:_BCRYPT_BYTES]
                return await asyncio.to_thread(bcrypt.checkpw, shortened, hashed.encode())
        finally:
            self._waiting -= 1

    def _remember(self, digest: bytes) -> None:
        self._right[digest] = None
        if len(self._right) > REMEMBERED:
            del self._right[next(iter(self._right))]

    def _digest(self, user: str, password: bytes, hashed: str) -> bytes:
        keyed = hashlib.blake2b(key=self._salt)
        for part in (user.encode(), hashed.encode(), password):
            keyed.update(len(part).to_bytes(4, "big") + part)
        return keyed.digest()


def _credentials(authorization: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _nobody(users: Mapping[str, str]) -> str:
    """Make a hash that no password has, as expensive as the dearest of the users'."""
    cost = max((int(hashed[4:6]) for hashed in users.values()), default=_DEFAULT_COST)
    return f"$2b${cost:02}${'.' * 53}"


# The kubelet has no password, and must not be turned away because others ask too often.
OPEN_PATHS = frozenset({"/-/healthy", "/livez", "/-/ready", "/readyz"})
_ALWAYS = {"X-Content-Type-Options": "nosniff", hdrs.SERVER: "policy-report-exporter"}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TokenBucket:
    """A token bucket: ``burst`` requests at once, then one each ``interval`` seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._full_at = clock()

    def take(self, interval: float, burst: int) -> bool:
        """Take a token, if there is one."""
        now = self._clock()
        full_at = max(self._full_at, now) + interval
        if full_at - now > burst * interval:
            return False
        self._full_at = full_at
        return True


class Guard:
    """Applies the web configuration that is current when a request comes in."""

    def __init__(self, config: Callable[[], WebConfig], clock: Callable[[], float]) -> None:
        self._config = config
        self._passwords = Passwords()
        self._bucket = TokenBucket(clock)

    async def add_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """Add the headers that every response has; those of the file come last, and win."""
        response.headers.update(_ALWAYS)
        for name, value in _said(self._config().http_server_config.headers):
            response.headers[name] = value

    async def __call__(self, request: web.Request, handler: Answer) -> web.StreamResponse:
        """Let a request through to its handler, or refuse it; aiohttp calls this a middleware."""
        if request.path in OPEN_PATHS:
            return await handler(request)
        config = self._config()
        interval = config.seconds_per_request
        if interval and not self._bucket.take(interval, config.rate_limit.burst):
            return web.Response(status=429, text="too many requests\n", headers=_later(interval))
        refusal = await self._refuse(request, config)
        return await handler(request) if refusal is None else refusal

    async def _refuse(self, request: web.Request, config: WebConfig) -> web.Response | None:
        """Refuse whoever does not show the credentials that the file asks for."""
        if not config.basic_auth_users:
            return None
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        try:
            if await self._passwords.accept(authorization, config.basic_auth_users):
                return None
        except Overloaded:
            return web.Response(status=503, text="too many logins at once\n", headers=_later(1))
        challenge = {hdrs.WWW_AUTHENTICATE: 'Basic realm="policy-report-exporter", charset="UTF-8"'}
        return web.Response(status=401, text="credentials, please\n", headers=challenge)


def _later(seconds: float) -> dict[str, str]:
    return {hdrs.RETRY_AFTER: str(max(1, round(seconds)))}


def _said(headers: Headers) -> list[tuple[str, str]]:
    names = zip(headers.__struct_fields__, headers.__struct_encode_fields__, strict=True)
    return [(name, value) for field, name in names if (value := getattr(headers, field))]
