"""Whether what is served is complete and current, and what is logged when it is not."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, NoReturn

import aiohttp

from exporter.errors import ConfigError, Unavailable
from exporter.model.changes import Scope
from exporter.model.resource import EVENTS, NAMESPACES, OWNED_RESOURCES, REPORT_RESOURCES
from exporter.state.cluster import ClusterState
from exporter.view.connection import connection
from exporter.view.values import Watched
from exporter.watch.reflector import Reflector

log = logging.getLogger(__name__)

GIVEN_UP: Final = ("not served", "refused")
REMIND_SECONDS: Final = 600.0
_MISSING: Final = {
    "not kubernetes": "not a Kubernetes API server, or a wrong path: it serves no API at all",
    "no report api": "no policy report API is served by this cluster; checking again regularly",
}
"""What is logged in states of the connection in which no reports can be read."""
_LOOK_SECONDS: Final = 1.0
_CALM_SECONDS: Final = 5.0
"""Between two looks while every watch is up: each wakes up an idle process."""

_REPORTS: Final = frozenset(r.name for r in REPORT_RESOURCES)
_OWNED: Final = frozenset(r.name for r in OWNED_RESOURCES)


def kinds_of(scope: Scope) -> str:
    """Name which of the catalogue's kinds a scope has, or "owned" for what has owners."""
    name = scope.resource.name
    if name in _OWNED:
        return "owned"
    if name in _REPORTS:
        return "reports"
    if name == EVENTS.name:
        return "events"
    return "namespaces" if name == NAMESPACES.name else "policies"


def settled(reflector: Reflector) -> bool:
    """Whether a reflector has listed all it can, for now."""
    return reflector.synced or reflector.state in GIVEN_UP


def _is_known(reflectors: Sequence[Reflector]) -> bool:
    """Whether reflectors are settled, and not because all that they ask for is refused."""
    if not all(map(settled, reflectors)):
        return False
    return any(f.synced for f in reflectors) or all(f.state != "refused" for f in reflectors)


def _is_awaited(reflector: Reflector) -> bool:
    """Whether a reflector is to list owners, and has not failed to."""
    is_tried = settled(reflector) or reflector.last_error is not None
    return not is_tried and kinds_of(reflector.scope) == "owned"


def watched(reflectors: Iterable[Reflector], objects: Mapping[str, int]) -> list[Watched]:
    """Describe reflectors; *objects* are the numbers of known objects by resource."""
    return [_watched(each, objects.get(each.scope.resource.name, 0)) for each in reflectors]


def _watched(reflector: Reflector, objects: int) -> Watched:
    error = reflector.last_error
    return Watched(
        resource=reflector.scope.resource.name,
        state="synced" if reflector.state == "watching" else reflector.state,
        synced=reflector.synced,
        objects=objects,
        last_sync=reflector.last_sync,
        last_change=reflector.last_change,
        up=reflector.up,
        since=reflector.since,
        error="" if error is None else str(error),
        status=getattr(error, "status", 0),
    )


class Readiness:
    """Readiness over all reflectors.

    Once ready, always ready: that data is stale later is a metric and an alert, and taking the
    exporter out of the Service would only hide it.
    """

    def __init__(self, reflectors: Sequence[Reflector]) -> None:
        self._reflectors = reflectors
        self._complete: set[str] = set()
        self._ready = False

    def complete(self, kinds: str) -> bool:
        """Whether every resource of some kind was listed once, or cannot be.

        Where all that is served is refused nothing is known, and that is not complete. Reports wait
        for the first attempt to list who owns what they are about, so that nothing moves later.
        """
        if kinds not in self._complete:
            wanted = [f for f in self._reflectors if kinds_of(f.scope) == kinds]
            if not wanted or not _is_known(wanted):
                return False
            if kinds == "reports" and any(map(_is_awaited, self._reflectors)):
                return False
            self._complete.add(kinds)
        return True

    def ready(self) -> tuple[bool, str]:
        """Whether all was listed once, and what is missing, each with its reason.

        A server on which nothing is served is no API server, and reports that are refused are not
        known: neither is ready.
        """
        missing = [f for f in self._reflectors if not settled(f)]
        if not self._ready:
            link = connection(watched(self._reflectors, {}))
            reports = [f for f in self._reflectors if kinds_of(f.scope) == "reports"]
            self._ready = (
                not missing
                and _is_known(self._reflectors)
                and _is_known(reports)
                and link.state != "not kubernetes"
            )
            if not self._ready:
                refused = [f for f in self._reflectors if f.state == "refused"]
                head = f"not ready: {link.message}\nwaiting for:\n"
                return False, head + "".join(_lines(missing or refused or self._reflectors))
        return True, "ready\n" + "".join(_lines(self._reflectors))


def _lines(reflectors: Iterable[Reflector]) -> list[str]:
    return [f"{each}: {each.state}{_cause_of(each)}\n" for each in reflectors]


def _cause_of(reflector: Reflector) -> str:
    """Spell why a reflector does not watch, unless its state explains that already."""
    error = reflector.last_error
    if error is None or str(error) == f"{reflector.scope.resource.name} is {reflector.state}":
        return ""
    return f": {error}"


class Cause(NamedTuple):
    """What makes watches fail: all with the same state and error have one cause."""

    state: str
    error: str


class _Outage(NamedTuple):
    """Failing watches of one cause; times are Unix seconds."""

    failing: list[Reflector]
    began: float
    logged: float


class OutageLog:
    """Logs failing watches: one line for a cause, a reminder while it lasts, one when it is over.

    And once each kind of result or Event that is not counted. *clock* is in Unix seconds.
    """

    def __init__(
        self, reflectors: Sequence[Reflector], state: ClusterState, clock: Callable[[], float]
    ) -> None:
        self._reflectors = reflectors
        self._state = state
        self._clock = clock
        self._outages: dict[Cause, _Outage] = {}
        self._losses: set[tuple[str, str]] = set()

    async def run(self) -> NoReturn:
        """Look each second until cancelled, each five seconds while nothing fails."""
        while True:
            calm = all(each.up or each.state == "not served" for each in self._reflectors)
            await asyncio.sleep(_CALM_SECONDS if calm else _LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Log what began, what still lasts after ten minutes, and what is over."""
        now, present = self._clock(), self._causes()
        for cause in self._outages.keys() - present.keys():
            outage = self._outages.pop(cause)
            if all(each.up for each in outage.failing):
                seconds = round(now - outage.began)
                fields = {"resources": len(outage.failing), "seconds": seconds}
                log.info("watched again", extra=fields | {"error": cause.error})
        for cause, failing in present.items():
            outage = self._outages.get(cause) or _Outage(failing, min(f.since for f in failing), 0)
            if now - outage.logged >= REMIND_SECONDS:
                outage = outage._replace(logged=now)
                self._log(cause, outage, now)
            self._outages[cause] = outage._replace(failing=failing)
        self._look_for_losses()

    def _log(self, cause: Cause, outage: _Outage, now: float) -> None:
        names = [str(each) for each in outage.failing]
        fields: dict[str, object] = {"resources": len(names), "resource": ",".join(names)}
        if cause.state == "not served":
            missing = _MISSING.get(connection(watched(self._reflectors, {})).state)
            if missing:
                log.warning(missing, extra=fields)
            else:
                log.info("not served by the API server yet; checking again regularly", extra=fields)
            return
        error = outage.failing[0].last_error
        fields |= {"error": str(error), "status": getattr(error, "status", 0)}
        message = {"refused": "credentials or permissions refused"}.get(cause.state, "not watched")
        log.warning(message, extra=fields | {"seconds": round(now - outage.began)})

    def _causes(self) -> dict[Cause, list[Reflector]]:
        found: dict[Cause, list[Reflector]] = {}
        for each in self._reflectors:
            if each.last_error is not None and not each.up:
                found.setdefault(_cause(each.state, each.last_error), []).append(each)
        return found

    def _look_for_losses(self) -> None:
        sources = [key for key, count in self._state.ledger.left_out.by_source.items() if count]
        ignored = [("event", reason) for reason in self._state.violation_events.ignored]
        for reason, name in {*sources, *ignored} - self._losses:
            self._losses.add((reason, name))
            if reason == "event":
                log.warning("some violation Events are not counted", extra={"reason": name})
            else:
                log.warning("results are left out", extra={"reason": reason, "source": name})


def _cause(state: str, error: Exception) -> Cause:
    """Group errors: all requests that had no answer have one cause, whatever each of them met.

    A refusal names the resource, which is left out.
    """
    status = getattr(error, "status", 0)
    if state in GIVEN_UP:
        return Cause(state, f"HTTP status {status}")
    if isinstance(error, Unavailable) and not status:
        return Cause("failing", "no response")
    return Cause("failing", str(error))


async def healthcheck(url: str, timeout_seconds: float) -> tuple[bool, str]:
    """Return whether it is ready, and its answer. TLS certificates are not verified.

    Only the answer of a process beside this one matters here, and readiness is no secret.

    Raises:
        ConfigError: *url* is no URL.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, ssl=False) as response,
        ):
            return response.status == 200, await response.text()
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        expected = "expected http://host:port/path or https://host:port/path"
        raise ConfigError(f"--url {url}: {expected}") from error
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return False, f"{url}: {str(error) or type(error).__name__}"
