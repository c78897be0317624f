"""What is firing and what was resolved: the state that every Alertmanager is told."""

from collections.abc import Callable, Mapping
from typing import Final

from exporter.alerting.alert import Alert, Labels, Origin
from exporter.alerting.settings import AlertingSettings

RESOLVED_SECONDS: Final = 900.0


class AlertEntry:
    """One alert. *gone* is when it stopped to stand, *resolved* when that was believed.

    ``gone`` is steady time, ``resolved`` wall time; a new *turn* begins whenever it starts to
    fire or is resolved.
    """

    __slots__ = ("alert", "gone", "resolved", "turn")

    def __init__(self, alert: Alert, turn: int) -> None:
        self.alert = alert
        self.turn = turn
        self.gone: float | None = None
        self.resolved: float | None = None

    @property
    def doubtful(self) -> bool:
        """Whether it is neither seen to stand nor believed to be over; nobody is told."""
        return self.gone is not None and self.resolved is None


class AlertTable:
    """All alerts that Alertmanagers are to know of, at most twice the configured maximum.

    An alert that stops to stand is told no more, and after ``resolve_delay`` that it is resolved:
    reports are deleted and written anew, and each time would be a new incident. The resolution is
    told for 15 minutes; by then an Alertmanager that never heard it let the alert expire.
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
        """Take over what *other* says, which then says nothing."""
        self.entries, other.entries = other.entries, {}
        self._turn = other._turn  # noqa: SLF001 - one of the same class

    def end_all(self, steady: float, wall: float) -> None:
        """Let everything be resolved now."""
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
        """Let *desired* stand, and what is not in it end where *resolvable* allows that."""
        for labels, alert in desired.items():
            self._stand(labels, alert)
        for labels, entry in list(self.entries.items()):
            if labels not in desired:
                self._end(labels, entry, resolvable, steady, wall)
        self._bound()

    def _stand(self, labels: Labels, alert: Alert) -> None:
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
        """Forget the earliest resolved beyond the maximum: they expire in minutes by themselves."""
        over = [(e.turn, labels) for labels, e in self.entries.items() if e.gone is not None]
        excess = len(over) - self._most
        if excess > 0:
            for _, labels in sorted(over)[:excess]:
                del self.entries[labels]
            self._dropped("resolved", excess)

    def _next(self) -> int:
        self._turn += 1
        return self._turn
