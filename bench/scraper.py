"""``python -m bench.scraper URL PID [SECONDS]``: scrape in its own process until stdin ends."""

import asyncio
import json
import select
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.client import HTTPConnection
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from bench.command import ROOT
from bench.measure import Waiting

ACCEPT: Final = {
    "openmetrics": "application/openmetrics-text;version=1.0.0",
    "text": "text/plain;version=0.0.4",
}
_WORDS: Final = (sys.executable, "-m", "bench.scraper")


class Scrape(NamedTuple):
    """One scrape: its status, the seconds to the end of its body, and that body's size.

    Of the seconds, ``waited`` is how long exporter and scraper waited for a core.
    """

    status: int
    seconds: float
    size: int
    waited: float = 0.0

    @property
    def alone_ms(self) -> float:
        """What it would have taken with cores to spare, in milliseconds."""
        return max(self.seconds - self.waited, 0.0) * 1e3


Ask = Callable[[str, str], Awaitable[Scrape]]
"""Scrapes once, given a format and a coding."""


class Scraper:
    """Scrapes one address, served by a process, over one connection."""

    def __init__(self, url: str, pid: int) -> None:
        self._waiting = (Waiting(pid), Waiting())
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def scrape(self, form: str = "text", coding: str = "gzip") -> Scrape:
        """Scrape once."""
        before = sum(each.seconds() for each in self._waiting)
        done = self._scrape(form, coding)
        waited = sum(each.seconds() for each in self._waiting) - before
        return done._replace(waited=waited)

    def _scrape(self, form: str, coding: str) -> Scrape:
        """Scrape; a connection that is refused or breaks counts as status 0."""
        headers = {"Accept": ACCEPT[form], "Accept-Encoding": coding}
        began = time.perf_counter()
        try:
            self._connection.request("GET", self._path, headers=headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except OSError:
            self._connection.close()
            return Scrape(0, time.perf_counter() - began, 0)
        return Scrape(answer.status, time.perf_counter() - began, len(body))


@contextmanager
def scraping(url: str, pid: int, every_seconds: float) -> Iterator[list[Scrape]]:
    """Scrape in another process while the block runs; the list fills at its end."""
    process = subprocess.Popen(
        [*_WORDS, url, str(pid), str(every_seconds)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    taken: list[Scrape] = []
    try:
        yield taken
        out, _ = process.communicate(timeout=90)
        taken += (Scrape(*row) for row in json.loads(out))
    finally:
        process.kill()
        process.communicate()


@asynccontextmanager
async def asking(url: str, pid: int) -> AsyncIterator[Ask]:
    """Scrape in another process whenever told to."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *_WORDS, url, str(pid), cwd=ROOT, stdin=pipe, stdout=pipe
    )
    into, out = process.stdin, process.stdout
    if into is None or out is None:
        raise RuntimeError("a scraper without pipes")

    async def ask(form: str, coding: str) -> Scrape:
        into.write(f"{form} {coding}\n".encode())
        return Scrape(*json.loads(await out.readline()))

    try:
        yield ask
    finally:
        into.close()
        await process.wait()


def _on_demand(scraper: Scraper) -> None:
    for words in sys.stdin:
        print(json.dumps(scraper.scrape(*words.split())), flush=True)


def _paced(scraper: Scraper, every_seconds: float) -> None:
    """Scrape at a steady pace; a scrape that takes longer delays the next one."""
    taken, due = list[Scrape](), time.perf_counter()
    while not select.select([sys.stdin], [], [], max(due - time.perf_counter(), 0))[0]:
        taken.append(scraper.scrape())
        due = max(due + every_seconds, time.perf_counter())
    print(json.dumps(taken))


if __name__ == "__main__":
    asked = Scraper(sys.argv[1], int(sys.argv[2]))
    if sys.argv[3:]:
        _paced(asked, float(sys.argv[3]))
    else:
        _on_demand(asked)
