"""Deliver alerts to one Alertmanager, whatever it or the network does."""

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
"""How many intervals an alert lasts at the Alertmanager when it is not sent again."""
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
LONGEST_RETRY_AFTER_SECONDS: Final = 300.0
MARGIN_SECONDS: Final = 2.0
"""How exactly a Date header of whole seconds, on a response that took time, shows the time."""
REFUSED_SECONDS: Final = 3600.0
_HEADERS: Final = {"Content-Type": "application/json"}
_REASONS: Final = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 429: "throttled"}
_TOO_LARGE: Final = 413
_TOO_MUCH_OR_WRONG: Final = frozenset({400, _TOO_LARGE, 422})


class Delivery(NamedTuple):
    """Which turn of an alert was sent, and when (steady time) it is due again."""

    turn: int
    again: float


class Failed(Exception):  # noqa: N818 - it never leaves this module
    """A delivery failed as a whole; *retry_after* in seconds."""

    def __init__(self, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class Sender:
    """Sends the table to one Alertmanager, over and over.

    Nothing is queued: what is sent is the table at that moment, so that a late delivery can never
    bring back an alert that is resolved.
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
        self.sent: dict[Labels, Delivery] = {}
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
        self._logged = ""

    @property
    def name(self) -> str:
        """The address of the Alertmanager."""
        return self._target.name

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
        """Send what is due; with *all_firing* whatever fires, due or not.

        Raises:
            Failed: the Alertmanager did not take a batch, or refused every alert; what follows
                the batch waits.
        """
        entries = self._table.entries
        self.sent = {key: sent for key, sent in self.sent.items() if key in entries}
        due = [k for k, e in entries.items() if self._due(k, e) or (all_firing and _fires(e))]
        if self.skew is None or (not due and self._clock.steady() >= self._heartbeat):
            await self._greet(len(due))
        size = self._target.batch
        outcome = _Outcome()
        for start in range(0, len(due), size):
            await self._send(due[start : start + size], outcome)
        self._settle(outcome)

    async def _greet(self, waiting: int) -> None:
        """Send an empty list: learns whether alerts are accepted, and the Alertmanager's time."""
        answer = await self._exchange(encode(()), waiting)
        if answer.status >= 300:
            self._fail(answer, waiting)
        self.skew = self.skew or 0.0
        self._accepted({})

    def _due(self, key: Labels, entry: AlertEntry) -> bool:
        sent = self.sent.get(key)
        return sent is None or sent.turn != entry.turn or self._clock.steady() >= sent.again

    async def _send(self, keys: Sequence[Labels], outcome: "_Outcome") -> None:
        """Send a batch; halve it when it is refused, to find the alert that is the reason."""
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
            outcome.accepted += len(turns)
            return
        if answer.status != _TOO_LARGE and not (outcome.accepted or outcome.greeted):
            # A proxy, or HTTP where HTTPS is spoken, refuses whatever comes: that is no alert's
            # fault, and an empty list finds out.
            await self._greet(len(batch))
            outcome.greeted = True
        if len(batch) == 1:
            outcome.refused |= turns
            outcome.answer = answer
        else:
            half = len(keys) // 2
            await self._send(keys[:half], outcome)
            await self._send(keys[half:], outcome)

    def _settle(self, outcome: "_Outcome") -> None:
        """Decide whether refused alerts are wrong by themselves, or the target fails.

        Where nothing was accepted and several alerts were refused, the target is at fault.
        """
        answer = outcome.answer
        if answer is None:
            return
        if len(outcome.refused) > 1 and not outcome.accepted:
            message = f"refused all {len(outcome.refused)} alerts: {_quoted(answer)}"
            self._give_up("refused", message, len(outcome.refused))
        self._refused(outcome.refused, answer)

    def _posting(self, entry: AlertEntry) -> PostedAlert:
        """Give an alert its end, by the Alertmanager's clock.

        Left out, the end would be up to the Alertmanager's resolve_timeout. A resolution must end
        in its past: an end in its future that is earlier than the former one is ignored.
        """
        if entry.resolved is not None:
            return PostedAlert(entry.alert, entry.resolved + (self.skew or 0.0) - MARGIN_SECONDS)
        lasting = INTERVALS * self._interval
        return PostedAlert(entry.alert, self._clock.wall() + (self.skew or 0.0) + lasting)

    async def _exchange(self, body: bytes, count: int) -> PostAnswer:
        """Post a body; return a success, or a refusal that is about the body."""
        began = self._clock.wall()
        try:
            async with asyncio.timeout(self._target.timeout):
                answer = await self._post(self._target.endpoint, body, _HEADERS)
        except TimeoutError:
            self._give_up("timeout", f"no response within {self._target.timeout:g} s", count)
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
        # A little early: the table is looked at only a few times in an interval.
        again = self._clock.steady() + self._interval * 0.9
        self.sent |= {key: Delivery(turn, again) for key, turn in turns.items()}
        self._heartbeat = again
        name = self._target.name
        self._observer.sent(name, len(turns))
        self._observer.up(name, True)
        self._observer.success(name, self._clock.wall())
        if self._failures:
            log.info(
                "Alertmanager %s: accepts alerts again after %d failures", name, self._failures
            )
        self._failures, self._logged = 0, ""

    def _refused(self, turns: dict[Labels, int], answer: PostAnswer) -> None:
        """Hold back alerts that are wrong by themselves until they change, or for an hour."""
        again = self._clock.steady() + REFUSED_SECONDS
        self.sent |= {key: Delivery(turn, again) for key, turn in turns.items()}
        self._observer.failed(self._target.name, "rejected", len(turns))
        self._observer.dropped("rejected", len(turns))
        self._log(f"alert refused: {_quoted(answer)}", "rejected")

    def _fail(self, answer: PostAnswer, count: int) -> NoReturn:
        reason = _REASONS.get(answer.status, "server_error" if answer.status >= 500 else "refused")
        self._give_up(reason, _quoted(answer), count, answer.retry_after)

    def _give_up(self, reason: str, message: str, count: int, retry_after: float = 0.0) -> NoReturn:
        self._observer.failed(self._target.name, reason, count)
        self._observer.up(self._target.name, False)
        self._failures += 1
        self._log(message, reason)
        raise Failed(reason, message, retry_after)

    def _log(self, message: str, reason: str) -> None:
        """Log a failure as a warning, or for debugging where the last one was the same."""
        level = logging.DEBUG if reason == self._logged else logging.WARNING
        log.log(level, "Alertmanager %s: %s", self._target.name, message)
        self._logged = reason

    def _pause(self, failure: Failed) -> float:
        """Double the pause with each failure, vary it, and wait at least as long as was asked."""
        grown = FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 10)
        pause = min(grown, LONGEST_PAUSE_SECONDS) * (0.5 + 0.5 * self._clock.jitter())
        asked = min(failure.retry_after, LONGEST_RETRY_AFTER_SECONDS)
        return max(pause, asked * (1 + 0.1 * self._clock.jitter()))


class _Outcome:
    """What became of the alerts of one delivery; ``answer`` is the refusal of one of them."""

    def __init__(self) -> None:
        self.accepted = 0
        self.greeted = False
        self.refused: dict[Labels, int] = {}
        self.answer: PostAnswer | None = None


def _quoted(answer: PostAnswer) -> str:
    return f"{answer.status} {answer.text[:200]}".strip()


def _fires(entry: AlertEntry) -> bool:
    return entry.gone is None
