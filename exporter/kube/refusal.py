"""What an answer that is not a success says, as an error."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from exporter.errors import ApiError
from exporter.watch.failure import failure

MESSAGE_CHARACTERS: Final = 300


class _Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: float = 0


class _Status(msgspec.Struct):
    message: str = ""
    details: _Details | None = None


def refusal(code: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """Read the Status in a body, or say what the code means where there is none."""
    status = _status(body)
    wait = status.details.retry_after_seconds if status.details else 0.0
    message = status.message[:MESSAGE_CHARACTERS] or _phrase(code)
    return failure(code, f"{message} ({code})", _seconds(headers.get("Retry-After", "")) or wait)


def _status(body: bytes) -> _Status:
    try:
        return msgspec.json.decode(body, type=_Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Status()


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "unknown status"


def _seconds(retry_after: str) -> float:
    # API servers send seconds; a date, which a proxy may send, is as good as no answer.
    return float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else 0.0
