"""The checkpoint in an object of the cluster: small, written seldom, and by one process."""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

from exporter.checkpoint.format import Checkpoint, Fitted, fit
from exporter.errors import ApiError, ExporterError, Malformed, StateError, Unavailable
from exporter.watch.pace import Backoff

log = logging.getLogger(__name__)

LIMIT_BYTES: Final = 900_000
"""Kubernetes refuses a ConfigMap of more than 1 MiB."""

BYTES_PER_SECOND: Final = 1_000_000 / 60
"""What an exporter writes to etcd on average, at most."""

REFRESH_SECONDS: Final = 600.0
"""A checkpoint is renewed this often even when only the resourceVersion has moved on."""

PATIENCE_SECONDS: Final = 30.0
"""How long a permission or an object may be missing at the start."""

PREFIX: Final = "policy-report-exporter/"
_TRIES: Final = 3


class ObjectState(Protocol):
    """What an object held at a resourceVersion."""

    @property
    def version(self) -> str:
        """The resourceVersion."""
        ...

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations."""
        ...

    @property
    def content(self) -> bytes:
        """Its content; empty where only its metadata was read."""
        ...


class ObjectApi(Protocol):
    """How an object is read and written; see exporter.kube.configmap."""

    name: str

    async def head(self) -> ObjectState:
        """Read all but the content."""
        ...

    async def get(self) -> ObjectState:
        """Read it all."""
        ...

    async def replace(
        self, version: str, annotations: Mapping[str, str], content: bytes | None = None
    ) -> ObjectState:
        """Write it, unless it is no longer at *version*: an ApiError of status 409."""
        ...


class OvertakenError(StateError):
    """Another process has written the checkpoint since this one did."""


class Look(NamedTuple):
    """What a process that does not write sees: a new checkpoint, and who writes."""

    content: bytes
    writer: str
    active: bool


class ObjectStore:
    """A checkpoint in an object. Of several processes that share it, one writes.

    Every write is based on the resourceVersion that was read or written last, so no process
    overwrites what it has not seen. ``following``: another process writes, ``other`` is
    the last checkpoint that was read of one.
    """

    refresh_seconds = REFRESH_SECONDS

    def __init__(
        self,
        api: ObjectApi,
        writer: str,
        clock: Callable[[], float] = time.time,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.name = f"ConfigMap {api.name}"
        self.following = False
        self.bytes_written = 0
        self._api = api
        self._writer = writer
        self._clock = clock
        self._limit_bytes = limit_bytes
        self.other: Checkpoint | None = None
        self._version = ""
        self._ours: set[bytes] = set()
        self._next = 0.0
        self._delays = Backoff(random.random)

    @property
    def pause_of_last_write(self) -> float:
        """How long a writer waits after a checkpoint of the size of the last one, in seconds."""
        return self.bytes_written / BYTES_PER_SECOND

    @property
    def pause_seconds(self) -> float:
        """How long to wait before the next write."""
        return max(self._next - asyncio.get_running_loop().time(), 0.0)

    async def open(self) -> bytes | None:
        """Read the checkpoint; wait while the API server does not respond, or refuses all (401).

        Nothing else can be read then, either. To begin without the checkpoint would let counters
        fall, and the next start would count everything in it again.

        Raises:
            StateError: the object is not there, or must not be read.
        """
        delays, loop = Backoff(random.random), asyncio.get_running_loop()
        until, said = loop.time() + PATIENCE_SECONDS, ""
        while True:
            try:
                found = await self._api.get()
            except (ApiError, Malformed) as error:
                waits = isinstance(error, Unavailable) or getattr(error, "status", 0) == 401
                if not waits and loop.time() > until:
                    raise StateError(f"{self.name}: {_advice(error)}") from error
                if (text := _advice(error)) != said:
                    log.warning("%s: cannot be read yet: %s", self.name, text)
                said = text
                await asyncio.sleep(delays.after(0.0, 0.0))
                continue
            self._seen(found)
            writer = found.annotations.get(f"{PREFIX}writer", "")
            active = found.annotations.get(f"{PREFIX}active") == "true"
            self.following = bool(found.content) and active and writer not in ("", self._writer)
            if self.following:
                log.info("%s: %s writes it; this process only reads it", self.name, writer)
            return found.content or None

    async def save(self, checkpoint: Checkpoint) -> Checkpoint:
        """Write a checkpoint; return what of it is durable now.

        Raises:
            OvertakenError: another process has written one meanwhile.
            StateError: the old one stays, or this one did arrive: the next write finds out.
        """
        fitted = await asyncio.to_thread(fit, checkpoint, self._limit_bytes)
        self._next = asyncio.get_running_loop().time() + len(fitted.content) / BYTES_PER_SECOND
        self._ours.add(_digest(fitted.content))
        notes = self._notes(fitted)
        for _ in range(_TRIES):
            try:
                written = await self._api.replace(self._version, notes, fitted.content)
            except (ApiError, Malformed) as error:
                if getattr(error, "status", 0) != 409:
                    raise self._failure(error) from error
                await self._resolve()
            else:
                self._version, self._ours = written.version, {_digest(fitted.content)}
                self._delays = Backoff(random.random)
                self.bytes_written = len(fitted.content)
                return fitted.checkpoint
        raise StateError(f"{self.name}: other writers change it before each write")

    async def look(self) -> Look:
        """Read the checkpoint if it is another one than before, and who writes.

        Raises:
            StateError: it cannot be read.
        """
        try:
            found, content = await self._api.head(), b""
            if found.version != self._version:
                found = await self._api.get()
                if _digest(found.content) not in self._ours:
                    content = found.content
                self._seen(found)
        except (ApiError, Malformed) as error:
            raise self._failure(error) from error
        active = found.annotations.get(f"{PREFIX}active") == "true"
        return Look(content, found.annotations.get(f"{PREFIX}writer", ""), active)

    async def set_aside(self, reason: str) -> str:  # noqa: ARG002 - the port's
        """Name what happens to a checkpoint that cannot be used: there is room for one."""
        self.following = False
        return f"{self.name} until the next checkpoint replaces it"

    async def close(self) -> None:
        """Let another process write without waiting."""
        if self.following or not self._ours:
            return
        try:
            await self._api.replace(self._version, {f"{PREFIX}active": "false"})
        except ExporterError as error:
            log.warning("%s: cannot be released for another replica: %s", self.name, error)

    def release(self) -> None:
        """Nothing is held beyond ``close``."""

    def _seen(self, found: ObjectState) -> None:
        self._version, self._ours = found.version, {_digest(found.content)}
        self.bytes_written = len(found.content)

    async def _resolve(self) -> None:
        """Find out after a conflict whether only labels changed, or an earlier write arrived."""
        try:
            found = await self._api.get()
        except (ApiError, Malformed) as error:
            raise self._failure(error) from error
        if found.content and _digest(found.content) not in self._ours:
            self.following, self._ours = True, set()  # what did not arrive by now never will
            writer = found.annotations.get(f"{PREFIX}writer") or "another process"
            raise OvertakenError(f"{self.name}: {writer} wrote it in the meantime")
        self._version = found.version

    def _failure(self, error: ExporterError) -> StateError:
        delay = self._delays.after(0.0, getattr(error, "retry_after", 0.0))
        self._next = max(self._next, asyncio.get_running_loop().time() + delay)
        return StateError(f"{self.name}: {_advice(error)}")

    def _notes(self, fitted: Fitted) -> dict[str, str]:
        """Describe a checkpoint to people, in annotations."""
        failures, counters = fitted.checkpoint.failures, fitted.checkpoint.counters
        saved_at = datetime.fromtimestamp(fitted.checkpoint.saved_at, UTC)
        notes = {
            "active": "true",
            "writer": self._writer,
            "written-at": saved_at.isoformat(timespec="seconds"),
            "failures": str(len(failures)),
            "failures-left-out": str(sum(failures.cut.values())),
            "counters": str(sum(map(len, counters.values()))),
            "counters-left-out": str(fitted.checkpoint.counters_cut),
        }
        return {PREFIX + name: value for name, value in notes.items()}


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _advice(error: ExporterError) -> str:
    if getattr(error, "status", 0) == 404:
        return f"{error}: create it as the chart does; the exporter has no permission to create it"
    return str(error)
