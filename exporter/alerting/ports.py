"""What alerting needs from outside: a way to post, an observer, time and chance."""

import random
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol


class PostAnswer(NamedTuple):
    """What an HTTP server said; ``retry_after`` in seconds, ``date`` in Unix seconds, else 0."""

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
    """Counts what becomes of alerts. ``target`` is the Alertmanager's address."""

    def active(self, count: int) -> None:
        """Note how many alerts fire now."""
        ...

    def sent(self, target: str, count: int) -> None:
        """Note alerts that were accepted."""
        ...

    def failed(self, target: str, reason: str, count: int) -> None:
        """Note alerts that were not accepted, and why."""
        ...

    def dropped(self, reason: str, count: int) -> None:
        """Note alerts that nobody is told: over the limit, or refused as invalid."""
        ...

    def up(self, target: str, up: bool) -> None:  # noqa: FBT001 - it is the value of a gauge
        """Note whether the last delivery succeeded."""
        ...

    def success(self, target: str, unix: float) -> None:
        """Note when a delivery last succeeded."""
        ...

    def skew(self, target: str, seconds: float) -> None:
        """Note how far the Alertmanager's clock is ahead of ours."""
        ...


class PushClock(NamedTuple):
    """Where time and chance come from; ``jitter`` is between 0 and 1."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random


class Completeness(NamedTuple):
    """Whether what is known is all there is: every served resource synced and watched now.

    ``reports`` covers whatever labels of violations come from (namespaces, policies) as well, and
    ``events`` whatever those of blocks come from.
    """

    reports: Callable[[], bool]
    events: Callable[[], bool]
