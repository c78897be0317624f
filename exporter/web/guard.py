"""Stands before every route: rate limit, credentials, and the headers of every response."""

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from exporter.web.auth import Overloaded, Passwords
from exporter.web.webconfig import Headers, WebConfig

# The kubelet has no password, and must not be turned away because others ask too often.
OPEN_PATHS = frozenset({"/-/healthy", "/livez", "/-/ready", "/readyz"})
_ALWAYS = {"X-Content-Type-Options": "nosniff", hdrs.SERVER: "policy-report-exporter"}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Bucket:
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
        self._bucket = Bucket(clock)

    async def dress(self, _: web.Request, response: web.StreamResponse) -> None:
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
