"""How to reach the benchmark's API server, by TLS or without."""

import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

import msgspec
import yaml

from exporter.kube.access import Access
from tests.pki import Authority


class Sent(msgspec.Struct):
    """When each change of a flow was sent, on the machine's monotonic clock, in seconds."""

    sent: list[float]
    seconds: float


class Api(NamedTuple):
    """An API server's address, and the file of the authority that signed its certificate."""

    url: str
    ca: str = ""

    def trust(self) -> ssl.SSLContext | None:
        """Make the TLS context to use, None without TLS."""
        return ssl.create_default_context(cafile=self.ca) if self.ca else None

    def flow(self, plural: str, count: int, rate: float = 0) -> Sent:
        """Let the server send changes to the watch, and wait until it has."""
        query = urlencode({"plural": plural, "count": count, "rate": rate})
        with urlopen(f"{self.url}/bench/flow?{query}", context=self.trust()) as answer:
            return msgspec.json.decode(answer.read(), type=Sent)

    def kubeconfig(self, directory: Path) -> Path:
        """Write a kubeconfig that leads here."""
        cluster = {"server": self.url} | ({"certificate-authority": self.ca} if self.ca else {})
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": cluster}],
            "users": [{"name": "bench", "user": {"token": "bench"}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        }
        path = directory / "kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path


class Trusting:
    """Access to that server for a Client in this process."""

    def __init__(self, api: Api) -> None:
        self.name = self.cluster = api.url
        self._access = Access(api.url, tls=api.trust())

    async def access(self) -> Access:
        """Return access as it is now."""
        return self._access

    async def renewed(self, refused: Access) -> Access:
        """Return what there is."""
        return refused


@contextmanager
def certificates(*, wanted: bool) -> Iterator[tuple[str, str, str]]:
    """Give the files of an authority, a certificate and its key, while the block runs."""
    if not wanted:
        yield "", "", ""
        return
    authority = Authority()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        ca = Path(name, "ca.crt")
        ca.write_text(authority.pem)
        cert, key = authority.server().write(Path(name), "server")
        yield str(ca), str(cert), str(key)
