"""Keeping one Alertmanager told, whatever it or the network does."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

from exporter.alerting.alert import Labels, PostedAlert, encode
from exporter.alerting.ports import DeliveryObserver, Post, PostAnswer, PushClock
from exporter.alerting.settings import AlertmanagerTarget
from exporter.alerting.table import AlertEntry, AlertTable
from exporter.errors import ConfigError, Unavailable

log = logging.getLogger(__name__)

INTERVALS: Final = 4
"""How many intervals an alert lasts when it is not told again."""
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
LONGEST_RETRY_AFTER_SECONDS: Final = 300.0
MARGIN_SECONDS: Final = 2.0
"""How exactly a Date header of whole seconds, on an answer that took time, tells the time."""
REFUSED_SECONDS: Final = 3600.0
_HEADERS: Final = {"Content-Type": "application/json"}
_REASONS: Final = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 429: "throttled"}
_TOO_MUCH_OR_WRONG: Final = frozenset({400, 413, 422})


class Delivery(NamedTuple):
    """Which turn of an alert was told, and when (steady time) it is to be told again."""

    turn: int
    again: float


class Failed(Exception):  # noqa: N818 - it never leaves this module
    """A delivery failed as a whole; *retry_after* in seconds."""

    def __init__(self, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class Sender:
    """Tells one Alertmanager the table, over and over.

    Nothing is queued: what is sent is what the table says at that moment, so that a delivery that
    was late can never bring back what is over.
    """

    def __init__(
        self,
        target: AlertmanagerTarget,
        post: Post,
        table: AlertTable,
        interval: float,
        observer: DeliveryObserver,
        clock: PushClock,
    ) -> None:
        self.told: dict[Labels, Delivery] = {}
        self.skew: float | None = None
        self._target = target
        self._post = post
        self._table = table
        self._interval = interval
        self._observer = observer
        self._clock = clock
        self._news = asyncio.Event()
        self._heartbeat = 0.0
        self._failures = 0
        self._said = ""

    def wake(self) -> None:
        """Look at the table now."""
        self._news.set()

    async def run(self) -> None:
        """Deliver whenever woken, and after failures again, until cancelled."""
        while True:
            try:
                await self.deliver()
            except Failed as failure:
                await asyncio.sleep(self._pause(failure))
            else:
                await self._news.wait()
                self._news.clear()

    async def deliver(self, *, all_firing: bool = False) -> None:
        """Tell what is due; with *all_firing* whatever fires, due or not.

        Raises:
            Failed: the Alertmanager did not take a batch; what follows it waits.
        """
        entries = self._table.entries
        self.told = {key: told for key, told in self.told.items() if key in entries}
        due = [k for k, e in entries.items() if self._due(k, e) or (all_firing and _fires(e))]
        if self.skew is None or (not due and self._clock.steady() >= self._heartbeat):
            await self._greet(len(due))
        size = self._target.batch
        for start in range(0, len(due), size):
            await self._tell(due[start : start + size])

    async def _greet(self, waiting: int) -> None:
        """Ask whether alerts would be taken, and what time it is there, by sending none."""
        answer = await self._exchange(encode(()), waiting)
        if answer.status >= 300:
            self._fail(answer, waiting)
        self.skew = self.skew or 0.0
        self._accepted({})

    def _due(self, key: Labels, entry: AlertEntry) -> bool:
        told = self.told.get(key)
        return told is None or told.turn != entry.turn or self._clock.steady() >= told.again

    async def _tell(self, keys: Sequence[Labels]) -> None:
        """Tell a batch; halve it when there is something wrong with it, to find out with what."""
        entries = self._table.entries
        batch = [(key, entries[key]) for key in keys if key in entries]
        batch = [(key, entry) for key, entry in batch if not entry.doubtful]
        if not batch:
            return
        turns = {key: entry.turn for key, entry in batch}
        body = encode(self._posting(entry) for _, entry in batch)
        answer = await self._exchange(body, len(batch))
        if answer.status < 300:
            self._accepted(turns)
        elif len(batch) == 1:
            self._refused(turns, answer)
        else:
            half = len(keys) // 2
            await self._tell(keys[:half])
            await self._tell(keys[half:])

    def _posting(self, entry: AlertEntry) -> PostedAlert:
        """Say until when, by the Alertmanager's clock.

        Left out, the end would be up to the Alertmanager's resolve_timeout. A resolution must end
        in its past: an end in its future that is earlier than the former one is ignored.
        """
        if entry.resolved is not None:
            return PostedAlert(entry.alert, entry.resolved + (self.skew or 0.0) - MARGIN_SECONDS)
        lasting = INTERVALS * self._interval
        return PostedAlert(entry.alert, self._clock.wall() + (self.skew or 0.0) + lasting)

    async def _exchange(self, body: bytes, count: int) -> PostAnswer:
        """Post a body; return an answer that settles what becomes of it."""
        began = self._clock.wall()
        try:
            async with asyncio.timeout(self._target.timeout):
                answer = await self._post(self._target.endpoint, body, _HEADERS)
        except TimeoutError:
            self._give_up("timeout", f"no answer within {self._target.timeout:g} s", count)
        except Unavailable as error:
            self._give_up("connection", str(error), count)
        except ConfigError as error:
            self._give_up("credentials", str(error), count)
        else:
            self._measure(answer, began)
            if answer.status >= 300 and answer.status not in _TOO_MUCH_OR_WRONG:
                self._fail(answer, count)
            return answer

    def _measure(self, answer: PostAnswer, began: float) -> None:
        if answer.date:
            now = (began + self._clock.wall()) / 2
            self.skew = answer.date + 0.5 - now  # Date is cut to whole seconds
            self._observer.skew(self._target.name, self.skew)

    def _accepted(self, turns: dict[Labels, int]) -> None:
        # A little early, as the table is looked at a few times in an interval only.
        again = self._clock.steady() + self._interval * 0.9
        self.told |= {key: Delivery(turn, again) for key, turn in turns.items()}
        self._heartbeat = again
        name = self._target.name
        self._observer.sent(name, len(turns))
        self._observer.up(name, True)
        self._observer.success(name, self._clock.wall())
        if self._failures:
            log.info(
                "Alertmanager %s: accepts alerts again after %d failures", name, self._failures
            )
        self._failures, self._said = 0, ""

    def _refused(self, turns: dict[Labels, int], answer: PostAnswer) -> None:
        """Give up an alert that is wrong by itself, until it changes its turn or an hour later."""
        again = self._clock.steady() + REFUSED_SECONDS
        self.told |= {key: Delivery(turn, again) for key, turn in turns.items()}
        self._observer.failed(self._target.name, "rejected", 1)
        self._observer.dropped("rejected", 1)
        self._say(f"alert refused: {answer.status} {answer.text[:200]}", "rejected")

    def _fail(self, answer: PostAnswer, count: int) -> NoReturn:
        reason = _REASONS.get(answer.status, "server_error" if answer.status >= 500 else "refused")
        message = f"{answer.status} {answer.text[:200]}".strip()
        self._give_up(reason, message, count, answer.retry_after)

    def _give_up(self, reason: str, message: str, count: int, retry_after: float = 0.0) -> NoReturn:
        self._observer.failed(self._target.name, reason, count)
        self._observer.up(self._target.name, False)
        self._failures += 1
        self._say(message, reason)
        raise Failed(reason, message, retry_after)

    def _say(self, message: str, reason: str) -> None:
        """Log a failure, aloud unless the last one was the same."""
        level = logging.DEBUG if reason == self._said else logging.WARNING
        log.log(level, "Alertmanager %s: %s", self._target.name, message)
        self._said = reason

    def _pause(self, failure: Failed) -> float:
        """Double the pause with each failure, vary it, and wait at least as long as was asked."""
        grown = FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 10)
        pause = min(grown, LONGEST_PAUSE_SECONDS) * (0.5 + 0.5 * self._clock.jitter())
        asked = min(failure.retry_after, LONGEST_RETRY_AFTER_SECONDS)
        return max(pause, asked * (1 + 0.1 * self._clock.jitter()))


def _fires(entry: AlertEntry) -> bool:
    return entry.gone is None
