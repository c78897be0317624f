"""Whether what is served is complete, and how fresh it is."""

from collections.abc import Iterable, Sequence
from typing import Final

import aiohttp

from exporter.model.changes import Scope
from exporter.model.resource import EVENTS, NAMESPACES, REPORT_RESOURCES
from exporter.watch.reflector import Reflector

GIVEN_UP: Final = ("not served", "refused")
_REPORTS: Final = frozenset(r.name for r in REPORT_RESOURCES)


def kinds_of(scope: Scope) -> str:
    """Say which of the catalogue's kinds a scope brings."""
    name = scope.resource.name
    if name in _REPORTS:
        return "reports"
    if name == EVENTS.name:
        return "events"
    return "namespaces" if name == NAMESPACES.name else "policies"


def settled(reflector: Reflector) -> bool:
    """Say whether a follower has brought all it can, for now."""
    return reflector.synced or reflector.state in GIVEN_UP


def _told(reflectors: Sequence[Reflector]) -> bool:
    """Say whether followers are settled, and not because all that they ask is refused."""
    if not all(map(settled, reflectors)):
        return False
    return any(f.synced for f in reflectors) or all(f.state != "refused" for f in reflectors)


class Readiness:
    """Readiness over all followers.

    Once ready, always ready: that data is stale later is a metric and an alert, and taking the
    exporter out of the Service would only hide it.
    """

    def __init__(self, reflectors: Sequence[Reflector]) -> None:
        self._reflectors = reflectors
        self._complete: set[str] = set()
        self._ready = False

    def complete(self, kinds: str) -> bool:
        """Say whether every resource of some kind was listed once, or cannot be.

        Where all that is served is refused nothing is known, and that is not complete.
        """
        if kinds not in self._complete:
            wanted = [f for f in self._reflectors if kinds_of(f.scope) == kinds]
            if not wanted or not _told(wanted):
                return False
            self._complete.add(kinds)
        return True

    def ready(self) -> tuple[bool, str]:
        """Say whether all was listed once, and what is missing."""
        missing = [f for f in self._reflectors if not settled(f)]
        self._ready = self._ready or (_told(self._reflectors) and not missing)
        if self._ready:
            return True, "ready\n" + "".join(_lines(self._reflectors))
        refused = [f for f in self._reflectors if f.state == "refused"]
        return False, "not ready, waiting for:\n" + "".join(_lines(missing or refused))


def _lines(reflectors: Iterable[Reflector]) -> list[str]:
    return [f"{reflector}: {reflector.state}\n" for reflector in reflectors]


async def healthcheck(url: str, timeout_seconds: float) -> tuple[bool, str]:
    """Return whether it is ready, and what it said. TLS certificates are not verified.

    Only the answer of a process beside this one matters here, and readiness is no secret.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, ssl=False) as response,
        ):
            return response.status == 200, await response.text()
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        return False, f"{url}: expected http://host:port/path or https://host:port/path"
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return False, f"{url}: {str(error) or type(error).__name__}"
