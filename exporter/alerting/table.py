"""The alerts that fire and those that were resolved: what is sent to every Alertmanager."""

from collections.abc import Callable, Mapping
from typing import Final

from exporter.alerting.alert import Alert, Labels, Origin, namespace_of
from exporter.alerting.settings import AlertingSettings
from exporter.alerting.shares import Shares

RESOLVED_SECONDS: Final = 900.0


class AlertEntry:
    """One alert.

    ``gone`` is when its cause ended (steady time, None while it lasts), ``resolved`` when the alert
    was resolved because of that (Unix seconds); ``turn`` grows whenever it fires or is resolved.
    """

    __slots__ = ("alert", "gone", "resolved", "turn")

    def __init__(self, alert: Alert, turn: int) -> None:
        self.alert = alert
        self.turn = turn
        self.gone: float | None = None
        self.resolved: float | None = None

    @property
    def doubtful(self) -> bool:
        """Whether its cause is gone, but not for long enough to resolve it; it is not sent."""
        return self.gone is not None and self.resolved is None


class AlertTable:
    """All alerts that Alertmanagers should know of, at most twice the configured maximum.

    An alert whose cause is gone is resolved after ``resolve_delay``: Kyverno deletes reports and
    writes them again, and each time would be a new incident. Resolved alerts are sent for 15
    minutes; by then an Alertmanager that never received one has let the alert expire.
    """

    def __init__(self, settings: AlertingSettings, dropped: Callable[[str, int], None]) -> None:
        self.entries: dict[Labels, AlertEntry] = {}
        self._delay = settings.resolve_delay
        self._most = settings.max_alerts
        self._kept = max(RESOLVED_SECONDS, 8 * settings.interval)
        self._dropped = dropped
        self._turn = 0

    @property
    def firing(self) -> int:
        """How many alerts are not resolved."""
        return sum(entry.resolved is None for entry in self.entries.values())

    def adopt(self, other: "AlertTable") -> None:
        """Take over the alerts of *other*, which keeps none."""
        self.entries, other.entries = other.entries, {}
        self._turn = other._turn  # noqa: SLF001 - one of the same class

    def end_all(self, steady: float, wall: float) -> None:
        """Resolve everything now."""
        for entry in self.entries.values():
            if entry.resolved is None:
                entry.gone, entry.resolved, entry.turn = steady, wall, self._next()

    def update(
        self,
        desired: Mapping[Labels, Alert],
        resolvable: Callable[[Origin], bool],
        steady: float,
        wall: float,
    ) -> None:
        """Fire *desired*; end every other alert whose origin is *resolvable* now."""
        for labels, alert in desired.items():
            self._fire(labels, alert)
        for labels, entry in list(self.entries.items()):
            if labels not in desired:
                self._end(labels, entry, resolvable, steady, wall)
        self._bound()

    def _fire(self, labels: Labels, alert: Alert) -> None:
        entry = self.entries.get(labels)
        if entry is None or entry.resolved is not None:
            self.entries[labels] = AlertEntry(alert, self._next())
            return
        # The incident began when its first violation did, though that one may be fixed by now.
        entry.alert = alert._replace(starts=min(alert.starts, entry.alert.starts))
        entry.gone = None

    def _end(
        self,
        labels: Labels,
        entry: AlertEntry,
        resolvable: Callable[[Origin], bool],
        steady: float,
        wall: float,
    ) -> None:
        if entry.resolved is None and not resolvable(entry.alert.origin):
            entry.gone = None
            return
        if entry.gone is None:
            entry.gone = steady
        if entry.resolved is None and steady - entry.gone >= self._delay:
            entry.resolved, entry.turn = wall, self._next()
        if steady - entry.gone >= self._delay + self._kept:
            del self.entries[labels]

    def _bound(self) -> None:
        """Forget the earliest resolved beyond the maximum: they expire in minutes by themselves.

        The maximum is shared by namespace, so that a flood in one hides no other's resolutions.
        """
        over = [labels for labels, entry in self.entries.items() if entry.gone is not None]
        if len(over) <= self._most:
            return
        shares = Shares[Labels](self._most)
        over.sort(key=lambda labels: self.entries[labels].turn, reverse=True)
        refused = [labels for labels in over if not shares.offer(namespace_of(labels), labels)]
        for labels in (*refused, *shares.split()[1]):
            del self.entries[labels]
        self._dropped("resolved", len(over) - self._most)

    def _next(self) -> int:
        self._turn += 1
        return self._turn
