"""What credentials give: how to reach an API server now, and as whom."""

import ssl
from pathlib import Path
from typing import NamedTuple, Protocol

from exporter.errors import Refused


class Access(NamedTuple):
    """How to reach the API server now. ``authorization`` is a whole header value, a secret."""

    server: str
    authorization: str = ""
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    proxy: str = ""


class Credentials(Protocol):
    """Keeps access to one API server. ``name`` says in messages whose access it is."""

    name: str

    async def access(self) -> Access:
        """Return access as it is now, renewed if it is known to have expired.

        Raises Refused where the credentials cannot be had at the moment.
        """
        ...

    async def renewed(self, refused: Access) -> Access:
        """Return access after *refused* was not accepted; the same if there is no other."""
        ...


def bearer(token_file: Path) -> str:
    """Read a token file as a header value. Raises Refused."""
    try:
        token = token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"token file {token_file}: {error}") from error
    if not token:
        raise Refused(f"token file {token_file} is empty")
    return f"Bearer {token}"
