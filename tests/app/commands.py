"""The real command in a process of its own, its scrapes and its end."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.app.running import Samples, parse
from tests.kube.kubeconfigs import kubeconfig
from tests.tools import Process, free_port

COMMAND = (sys.executable, "-m", "exporter")
ROOT = Path(__file__).parents[2]


class Command(Process):
    """``serve`` or ``demo``, listening on a free port; ``url`` has no trailing slash."""

    def __init__(
        self,
        directory: Path,
        command: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        port: int = 0,
        ready: str = "/-/ready",
    ) -> None:
        self.url = f"http://127.0.0.1:{port or free_port()}"
        address = self.url.removeprefix("http://")
        super().__init__(
            [*COMMAND, command, f"--web.listen-address={address}", *arguments],
            cwd=directory,
            env={"PYTHONPATH": str(ROOT), **(env or {})},
            ready=f"{self.url}{ready}",
        )

    def begin(self) -> None:
        """Start it and do not wait."""
        ready, self._ready = self._ready, lambda: True
        try:
            self.start()
        finally:
            self._ready = ready

    def get(self, path: str = "/metrics", *, within: float = 10) -> str:
        with urlopen(self.url + path, timeout=within) as answer:
            text: str = answer.read().decode()
            return text

    def scrape(self) -> Samples | None:
        """Scrape as Prometheus does: a scrape that fails leaves no samples."""
        try:
            return parse(self.get())
        except (URLError, OSError):
            return None


def serving(directory: Path, api: str, *arguments: str) -> Command:
    """``serve`` on an API server that takes any token; started when it serves, ready or not."""
    config = kubeconfig(directory, api, {"token": "t"})
    return Command(directory, "serve", f"--kubeconfig={config}", *arguments, ready="/metrics")


def words(*arguments: str) -> Sequence[str]:
    return [*COMMAND, *arguments]
