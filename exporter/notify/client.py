"""Post to one Alertmanager, with credentials and certificates that follow their files."""

import io
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import aiohttp

from exporter import __version__
from exporter.alerting.ports import PostAnswer
from exporter.alerting.settings import AlertmanagerTarget
from exporter.clienttls import ClientTlsContext, TlsFiles
from exporter.connection import FAILURES, failure_reason
from exporter.errors import MAX_RETRY_AFTER_SECONDS, ConfigError, Unavailable

LONGEST_ANSWER_BYTES: Final = 4096
_HEADERS: Final = {"User-Agent": f"policy-report-exporter/{__version__}", "Accept": "*/*"}
_NO_LIMIT: Final = aiohttp.ClientTimeout(total=None)  # the sender limits the time


class AlertmanagerClient:
    """Posts to one Alertmanager; implements exporter.alerting.ports.Post.

    Files of certificates, passwords and tokens may be replaced at any time: each post uses what
    they hold then.
    """

    def __init__(self, target: AlertmanagerTarget) -> None:
        self._target = target
        self._session: aiohttp.ClientSession | None = None
        tls = target.tls
        self._tls = ClientTlsContext(
            TlsFiles(tls.ca_file, tls.cert_file, tls.key_file, not tls.insecure_skip_verify)
        )

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> PostAnswer:
        """Post once.

        Raises:
            Unavailable: there was no answer.
            ConfigError: a file of credentials or certificates cannot be used now.
        """
        sent = {**_HEADERS, **headers, **self._authorization()}
        context = self._tls.context() if url.startswith("https:") else True
        session = self._session = self._session or aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), timeout=_NO_LIMIT
        )
        try:
            async with session.post(
                url, data=io.BytesIO(body), headers=sent, ssl=context, allow_redirects=False
            ) as response:
                text = await response.content.read(LONGEST_ANSWER_BYTES)
                return _answer(response, text)
        except FAILURES as error:
            raise Unavailable(f"no response: {failure_reason(error)}") from error

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


def _answer(response: aiohttp.ClientResponse, text: bytes) -> PostAnswer:
    date = _http_date(response.headers.get("Date", ""))
    return PostAnswer(
        response.status,
        _retry_after(response.headers.get("Retry-After", ""), date),
        date.timestamp() if date else 0.0,
        " ".join(text.decode(errors="replace").split()),
    )


def _retry_after(text: str, date: datetime | None) -> float:
    """Read seconds, or an instant by the server's clock, and bound the pause."""
    if text.isascii() and text.isdecimal():
        return min(float(text), MAX_RETRY_AFTER_SECONDS)
    until = _http_date(text)
    if until is None or date is None:
        return 0.0
    return min(max((until - date).total_seconds(), 0.0), MAX_RETRY_AFTER_SECONDS)


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # The obsolete formats name no zone; HTTP dates are always GMT.
    return date if date.tzinfo else None


def _secret(path: str) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: {reason}") from error
    if not secret or not secret.isprintable():
        raise ConfigError(f"{path}: expected a secret on one line")
    return secret
