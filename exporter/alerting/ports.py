"""Ports of alerting: a way to post, an observer, time and randomness."""

import random
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol


class PostAnswer(NamedTuple):
    """An HTTP answer; ``retry_after`` in seconds, ``date`` in Unix seconds, 0 where absent."""

    status: int
    retry_after: float = 0.0
    date: float = 0.0
    text: str = ""


class Post(Protocol):
    """Posts to one server, with its credentials."""

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> PostAnswer:
        """Post once, following no redirect; the caller limits the time.

        Raises:
            Unavailable: there was no answer.
            ConfigError: a file of credentials cannot be read now.
        """
        ...


class DeliveryObserver(Protocol):
    """Counts deliveries. ``target`` is the Alertmanager's address."""

    def active(self, count: int) -> None:
        """Set the number of firing alerts."""
        ...

    def sent(self, target: str, count: int) -> None:
        """Count accepted alerts."""
        ...

    def failed(self, target: str, reason: str, count: int) -> None:
        """Count alerts that were not accepted, by reason."""
        ...

    def dropped(self, reason: str, count: int) -> None:
        """Count alerts that are not sent: over the limit, or refused as invalid."""
        ...

    def up(self, target: str, up: bool) -> None:  # noqa: FBT001 - it is the value of a gauge
        """Set whether the last delivery succeeded."""
        ...

    def success(self, target: str, unix: float) -> None:
        """Set when a delivery last succeeded (Unix seconds)."""
        ...

    def skew(self, target: str, seconds: float) -> None:
        """Set how far the Alertmanager's clock is ahead of ours, in seconds."""
        ...


class PushClock(NamedTuple):
    """Clocks in seconds and a source of randomness; ``jitter`` is between 0 and 1."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random


class Completeness(NamedTuple):
    """Whether the state is complete: every served resource is synced and watched now.

    ``reports`` and ``events`` include the kinds that give their alerts labels: namespaces and
    policies.
    """

    reports: Callable[[], bool]
    events: Callable[[], bool]
