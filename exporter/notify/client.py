"""HTTP to one Alertmanager: TLS, credentials read anew from their files, no redirects."""

import io
import ssl
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import aiohttp

from exporter import __version__
from exporter.alerting.ports import PostAnswer
from exporter.alerting.settings import AlertmanagerTarget, ClientTls
from exporter.errors import ConfigError, Unavailable

LONGEST_ANSWER_BYTES: Final = 4096
_HEADERS: Final = {"User-Agent": f"policy-report-exporter/{__version__}", "Accept": "*/*"}
_NO_LIMIT: Final = aiohttp.ClientTimeout(total=None)  # the sender limits the time


class AlertmanagerClient:
    """Posts to one Alertmanager; implements exporter.alerting.ports.Post.

    Files of certificates, passwords and tokens may be replaced at any time: each post reads them.
    """

    def __init__(self, target: AlertmanagerTarget) -> None:
        self._target = target
        self._session: aiohttp.ClientSession | None = None
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[tuple[int, int, int], ...] = ()

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> PostAnswer:
        """Post once.

        Raises:
            Unavailable: there was no answer.
            ConfigError: a file of credentials or certificates cannot be used now.
        """
        sent = {**_HEADERS, **headers, **self._authorization()}
        context = self._trust() if url.startswith("https:") else True
        session = self._session = self._session or aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), timeout=_NO_LIMIT
        )
        try:
            async with session.post(
                url, data=io.BytesIO(body), headers=sent, ssl=context, allow_redirects=False
            ) as response:
                text = await response.content.read(LONGEST_ANSWER_BYTES)
                return _answer(response, text)
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"no answer: {_reason(error)}") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _authorization(self) -> dict[str, str]:
        basic = self._target.basic_auth
        if basic is not None:
            password = _secret(basic.password_file)
            pair = f"{basic.username}:{password}".encode()
            return {"Authorization": f"Basic {b64encode(pair).decode()}"}
        if self._target.bearer_token_file:
            return {"Authorization": f"Bearer {_secret(self._target.bearer_token_file)}"}
        return {}

    def _trust(self) -> ssl.SSLContext:
        """Give the TLS context, made anew when one of its files was replaced."""
        tls = self._target.tls
        try:
            stamp = _stamps(tls)
            if self._context is None or stamp != self._stamp:
                self._context, self._stamp = _context(tls), stamp
        except OSError as error:  # SSLError is one
            raise ConfigError(f"TLS: {_reason(error)}") from error
        return self._context


def _answer(response: aiohttp.ClientResponse, text: bytes) -> PostAnswer:
    date = _http_date(response.headers.get("Date", ""))
    return PostAnswer(
        response.status,
        _retry_after(response.headers.get("Retry-After", ""), date),
        date.timestamp() if date else 0.0,
        " ".join(text.decode(errors="replace").split()),
    )


def _retry_after(text: str, date: datetime | None) -> float:
    """Read seconds, or an instant by the server's clock."""
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    until = _http_date(text)
    if until is None or date is None:
        return 0.0
    return max((until - date).total_seconds(), 0.0)


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    # The obsolete formats name no zone; HTTP dates are always GMT.
    return date if date.tzinfo else None


def _secret(path: str) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: {reason}") from error
    if not secret or not secret.isprintable():
        raise ConfigError(f"{path}: expected a secret on one line")
    return secret


def _stamps(tls: ClientTls) -> tuple[tuple[int, int, int], ...]:
    files = [Path(name).stat() for name in (tls.ca_file, tls.cert_file, tls.key_file) if name]
    return tuple((file.st_ino, file.st_size, file.st_mtime_ns) for file in files)


def _context(tls: ClientTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file or None)
    # Python 3.13 asks for extensions that many private authorities lack.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: BaseException) -> str:
    named = getattr(error, "filename", None)
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{named}: {said}" if isinstance(named, str) else str(said)
