"""Checks basic auth against bcrypt hashes, off the event loop."""

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping

import bcrypt

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
