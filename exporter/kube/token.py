"""When a bearer token expires, where it says so itself."""

import binascii
from base64 import urlsafe_b64decode
from datetime import UTC, datetime

import msgspec


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
