"""What is before every route: rate limit, credentials, and the headers of every response."""

import asyncio
import base64
import binascii
import hashlib
import secrets
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from ipaddress import IPv6Address, IPv6Network
from typing import Final

import bcrypt
from aiohttp import hdrs, web

from exporter.web.webconfig import Headers, WebConfig

REMEMBERED: Final = 100
MAX_WAITING: Final = 32
STOP_SECONDS: Final = 2.0
"""How long a request waits for its comparison once the server stops."""

_DEFAULT_COST: Final = 10
_BCRYPT_BYTES: Final = 72


class Overloaded(Exception):  # noqa: N818 - says what the checker is
    """Too many passwords wait to be compared; the client should come back."""


class FairTurns:
    """One turn at a time, given to the clients that wait in rotation.

    A client with many requests in line delays another by one comparison a round, and when
    MAX_WAITING are in line the newest of the longest line makes room for a client that has fewer.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        self.waiting = 0
        self._taken = False
        self._closed = False

    async def take(self, client: str) -> None:
        """Wait for a turn; who got it calls ``end``.

        Raises:
            Overloaded: too many wait, or the server stops.
        """
        if self._closed:
            raise Overloaded
        if not self._taken:
            self._taken = True
            return
        if self.waiting >= MAX_WAITING:
            self._make_room(client)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(client, deque()).append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._lines.get(client, ()):
                self._lines[client].remove(turn)
                self._left(client)
            elif not turn.cancelled() and turn.exception() is None:
                self.end()
            raise

    def end(self) -> None:
        """End a turn: the next client in rotation has the next one."""
        while self._lines:
            client = next(iter(self._lines))
            line = self._lines.pop(client)
            turn = line.popleft()
            self.waiting -= 1
            if line:
                self._lines[client] = line  # behind all the others
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False

    def close(self) -> None:
        """Refuse those that wait, and all that come."""
        self._closed = True
        for line in self._lines.values():
            for turn in line:
                _refuse(turn)
        self._lines.clear()
        self.waiting = 0

    def _make_room(self, client: str) -> None:
        longest = max(self._lines, key=lambda each: len(self._lines[each]), default=client)
        if len(self._lines.get(longest, ())) <= len(self._lines.get(client, ())) + 1:
            raise Overloaded
        _refuse(self._lines[longest].pop())
        self._left(longest)

    def _left(self, client: str) -> None:
        self.waiting -= 1
        if not self._lines[client]:
            del self._lines[client]


def _refuse(turn: asyncio.Future[None]) -> None:
    if not turn.done():  # its request may have been cancelled just now
        turn.set_exception(Overloaded())


class Passwords:
    """Compares one password at a time, and remembers which were right.

    Only right ones are remembered, so guesses cannot push a scraper's password out. Nothing of
    them is written anywhere: after a restart a scraper waits for its turn among the guessers,
    and turns rotate between the clients' addresses.
    """

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}
        self._turns = FairTurns()
        self._comparison: asyncio.Future[bool] | None = None

    async def accept(self, authorization: str, users: Mapping[str, str], client: str = "") -> bool:
        """Whether an Authorization header names one of these users and its password.

        Raises:
            Overloaded: too many passwords wait to be compared, or the server stops.
        """
        credentials = _credentials(authorization)
        if credentials is None:
            return False
        user, password = credentials
        # An unknown user costs as much as a known one: time does not distinguish them.
        hashed = users.get(user, "") or _hash_of_nothing(users)
        digest = self._digest(user, password, hashed)
        if digest in self._right:
            return True
        await self._turns.take(client)
        comparison = self._comparison = _compare(password, hashed)

        def done(outcome: asyncio.Future[bool]) -> None:
            # The client may be gone; when it comes again its password is known.
            failed = outcome.cancelled() or outcome.exception()
            if not failed and outcome.result() and user in users:
                self._remember(digest)
            self._turns.end()

        comparison.add_done_callback(done)
        return await asyncio.shield(comparison) and user in users

    async def stop(self) -> None:
        """Refuse what waits; give the comparison that runs STOP_SECONDS, then leave it behind."""
        self._turns.close()
        running = self._comparison
        if running is not None and not running.done():
            await asyncio.wait({running}, timeout=STOP_SECONDS)
            if not running.done():
                running.set_exception(Overloaded())

    def _remember(self, digest: bytes) -> None:
        self._right[digest] = None
        if len(self._right) > REMEMBERED:
            del self._right[next(iter(self._right))]

    def _digest(self, user: str, password: bytes, hashed: str) -> bytes:
        keyed = hashlib.blake2b(key=self._salt)
        for part in (user.encode(), hashed.encode(), password):
            keyed.update(len(part).to_bytes(4, "big") + part)
        return keyed.digest()


def _compare(password: bytes, hashed: str) -> asyncio.Future[bool]:
    """Compare in a thread of its own: the end of the process waits for that one comparison.

    Python would end a daemon thread inside of bcrypt, which aborts the process.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[bool] = loop.create_future()

    def settle(right: bool | Exception) -> None:  # noqa: FBT001 - an outcome
        if outcome.done():
            return
        if isinstance(right, Exception):
            outcome.set_exception(right)
        else:
            outcome.set_result(right)

    def compare() -> None:
        right: bool | Exception
        try:
            # bcrypt reads no more than 72 bytes, and refuses longer ones instead of saying so.
            right = bcrypt.checkpw(password[:_BCRYPT_BYTES], hashed.encode())
        except Exception as error:  # noqa: BLE001 - raised where the outcome is awaited
            right = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, right)

    threading.Thread(target=compare, name="bcrypt").start()
    return outcome


def client_of(remote: str | None) -> str:
    """Give what counts as one client: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        address = IPv6Address((remote or "").partition("%")[0])
    except ValueError:
        return remote or ""
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, 64), strict=False))


def _credentials(authorization: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _hash_of_nothing(users: Mapping[str, str]) -> str:
    """Make a hash that no password has, as expensive as the dearest of the users'."""
    cost = max((int(hashed[4:6]) for hashed in users.values()), default=_DEFAULT_COST)
    return f"$2b${cost:02}${'.' * 53}"


# The kubelet has no password, and is not refused because others ask too often.
OPEN_PATHS: Final = frozenset({"/-/healthy", "/livez", "/-/ready", "/readyz"})
_ALWAYS: Final = {"X-Content-Type-Options": "nosniff", hdrs.SERVER: "policy-report-exporter"}

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
        for name, value in _configured(self._config().http_server_config.headers):
            response.headers[name] = value

    async def stop(self, _: web.Application) -> None:
        """Refuse the logins that wait: the server stops."""
        await self._passwords.stop()

    async def __call__(self, request: web.Request, handler: Answer) -> web.StreamResponse:
        """Call the handler, or refuse the request: an aiohttp middleware."""
        if request.path in OPEN_PATHS:
            return await handler(request)
        config = self._config()
        interval = config.seconds_per_request
        if interval and not self._bucket.take(interval, config.rate_limit.burst):
            return web.Response(status=429, text="too many requests\n", headers=_later(interval))
        refusal = await self._refuse(request, config)
        return await handler(request) if refusal is None else refusal

    async def _refuse(self, request: web.Request, config: WebConfig) -> web.Response | None:
        """Refuse a request without the credentials that the file asks for."""
        if not config.basic_auth_users:
            return None
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        try:
            client = client_of(request.remote)
            if await self._passwords.accept(authorization, config.basic_auth_users, client):
                return None
        except Overloaded:
            return web.Response(status=503, text="too many concurrent logins\n", headers=_later(1))
        challenge = {hdrs.WWW_AUTHENTICATE: 'Basic realm="policy-report-exporter", charset="UTF-8"'}
        return web.Response(status=401, text="credentials, please\n", headers=challenge)


def _later(seconds: float) -> dict[str, str]:
    return {hdrs.RETRY_AFTER: str(max(1, round(seconds)))}


def _configured(headers: Headers) -> list[tuple[str, str]]:
    names = zip(headers.__struct_fields__, headers.__struct_encode_fields__, strict=True)
    return [(name, value) for field, name in names if (value := getattr(headers, field))]
