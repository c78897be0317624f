"""How to reach an API server now, and as whom."""

import ssl
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from exporter.errors import Refused

EXPIRY_LEEWAY_SECONDS: Final = 60.0
"""Credentials are renewed this long before they expire."""


class Access(NamedTuple):
    """How to reach the API server now.

    ``authorization`` is a whole header value, a secret. ``impersonation`` are further headers,
    some of which repeat. ``proxy`` is the URL of an HTTP proxy, "" for none.
    """

    server: str
    authorization: str = ""
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    proxy: str = ""
    impersonation: tuple[tuple[str, str], ...] = ()


class Credentials(Protocol):
    """Access to one API server.

    ``name`` is the name of this access in messages; ``cluster`` that of the cluster for users: the
    kubeconfig's context, else the API server's host.
    """

    name: str
    cluster: str

    async def access(self) -> Access:
        """Return access as it is now, renewed if it is known to have expired.

        Raises:
            Refused: the credentials cannot be read or made at the moment.
        """
        ...

    async def renewed(self, refused: Access) -> Access:
        """Return access after *refused* was not accepted; the same if there is no other.

        Raises:
            Refused: the credentials cannot be read or made at the moment.
        """
        ...


def is_header_value(text: str) -> bool:
    """Check that a header can carry a text: ASCII without control characters."""
    return text.isascii() and text.isprintable()


def bearer(token: str, origin: str) -> str:
    """Make a header value of a token, without the white space around it.

    Raises:
        Refused: no header can carry the token; *origin* is its source, for the message.
    """
    token = token.strip()
    if not token:
        raise Refused(f"{origin} is empty")
    if not is_header_value(token):
        raise Refused(f"{origin}: expected one line of ASCII without control characters")
    return f"Bearer {token}"


def bearer_of_file(token_file: Path) -> str:
    """Read a token file as a header value.

    Raises:
        Refused: the file cannot be read, or no header can carry what is in it.
    """
    try:
        text = token_file.read_text(encoding="ascii")
    except OSError as error:
        raise Refused(f"token file {token_file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Refused(f"token file {token_file}: expected ASCII") from error
    return bearer(text, f"token file {token_file}")
