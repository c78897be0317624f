"""The exporter as its users run it: the command, over a real API server, scraped."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import yaml

from tests.app.commands import Command
from tests.app.running import Samples, parse
from tests.tools import eventually, fetch, own_directory

# The exporter looks again for what was refused or absent every half minute.
WITHIN_SECONDS = 90.0
SUMMARY = "policyreport_summary"
CONFIG: dict[str, object] = {"birth_hold": 0}


class Running(NamedTuple):
    """A running exporter; ``url`` has no trailing slash."""

    url: str
    process: Command

    def scrape(self, *names: str) -> Samples:
        """Scrape the families named, or all."""
        query = urlencode([("name[]", name) for name in names])
        return parse(fetch(f"{self.url}/metrics?{query}").decode())

    def until(self, done: Callable[[Samples], object], *names: str) -> Samples:
        """Scrape until *done*."""

        def look() -> Samples | None:
            samples = self.scrape(*names)
            return samples if done(samples) else None

        return eventually(look, within=WITHIN_SECONDS, what="the metrics say so")

    def states(self) -> dict[str, str]:
        """Say what each follower does, by resource, as /-/ready tells."""
        text = fetch(f"{self.url}/-/ready").decode()
        return dict(re.findall(r"^(\S+(?: in \S+)?): ([^:\n]+)", text, re.MULTILINE))


@contextmanager
def exporter(
    kubeconfig: Path, *flags: str, config: Mapping[str, object] = CONFIG
) -> Iterator[Running]:
    """Run the command until ready, stop it at the end."""
    with own_directory({"config.yaml": yaml.safe_dump(dict(config))}) as home:
        where = (f"--kubeconfig={kubeconfig}", f"--config.file={home / 'config.yaml'}")
        process = Command(home, "serve", *where, *flags)
        process.within = WITHIN_SECONDS
        with process:
            yield Running(process.url, process)


@contextmanager
def scraping(running: Running, *names: str) -> Iterator[list[Samples]]:
    """Scrape all the time; yield all that was seen. Nothing but 200 will do, for health too."""
    seen: list[Samples] = []
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(0.05):
            seen.append(running.scrape(*names))
            for health in ("livez", "readyz"):
                fetch(f"{running.url}/{health}")

    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(scrape)
        try:
            yield seen
        finally:
            over.set()
        task.result()
