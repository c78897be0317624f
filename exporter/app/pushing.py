"""Join the push of alerts to the exporter."""

from collections.abc import Set as AbstractSet
from typing import Final

from exporter.alerting.ports import Completeness
from exporter.alerting.push import Push
from exporter.alerting.settings import AlertingSettings
from exporter.app.exporter import Exporter
from exporter.app.health import GIVEN_UP, kinds_of, settled
from exporter.app.supervision import Supervisor
from exporter.metrics.self_metrics import SelfMetrics
from exporter.notify.client import AlertmanagerClient

FLUSH_SECONDS: Final = 5.0
_STATES: Final = (
    "alertmanager_up",
    "alertmanager_last_success_timestamp_seconds",
    "alertmanager_clock_skew_seconds",
)


class AlertMetrics:
    """Counts what becomes of alerts; a DeliveryObserver of exporter.alerting.ports."""

    def __init__(self, self_metrics: SelfMetrics) -> None:
        self._self_metrics = self_metrics

    def active(self, count: int) -> None:
        """Set the number of firing alerts."""
        self._self_metrics.gauge("alerts_active").set(count)

    def sent(self, target: str, count: int) -> None:
        """Count accepted alerts."""
        self._self_metrics.counter("alerts_sent_total", target).inc(count)

    def failed(self, target: str, reason: str, count: int) -> None:
        """Count alerts that were not accepted."""
        self._self_metrics.counter("alerts_failed_total", target, reason).inc(count)

    def dropped(self, reason: str, count: int) -> None:
        """Count alerts that are not sent."""
        self._self_metrics.counter("alerts_dropped_total", reason).inc(count)

    def up(self, target: str, up: bool) -> None:  # noqa: FBT001 - as the port has it
        """Set whether the last delivery succeeded."""
        self._self_metrics.gauge("alertmanager_up", target).set(up)

    def success(self, target: str, unix: float) -> None:
        """Set when a delivery last succeeded (Unix seconds)."""
        self._self_metrics.gauge("alertmanager_last_success_timestamp_seconds", target).set(unix)

    def forget(self, target: str) -> None:
        """Remove the series of an Alertmanager that is no longer configured."""
        for name in _STATES:
            self._self_metrics.forget(name, target)

    def skew(self, target: str, seconds: float) -> None:
        """Set how far the Alertmanager's clock is ahead of ours, in seconds."""
        self._self_metrics.gauge("alertmanager_clock_skew_seconds", target).set(seconds)


class Pushing:
    """The push of one exporter's alerts; idle where no Alertmanager is configured."""

    def __init__(self, exporter: Exporter, settings: AlertingSettings) -> None:
        self._metrics = AlertMetrics(exporter.self_metrics)
        self._clients = {
            target.name: AlertmanagerClient(target) for target in settings.alertmanagers
        }
        self._supervised = Supervisor(exporter.self_metrics)
        self._left: AbstractSet[str] = frozenset()
        completeness = Completeness(
            reports=lambda: _whole(exporter, "reports", "policies", "namespaces"),
            events=lambda: _whole(exporter, "events", "policies", "namespaces"),
        )
        self._push: Push | None = None
        if settings.alertmanagers:
            self._push = Push(
                settings,
                exporter.state,
                completeness,
                lambda target: self._clients[target.name],
                self._metrics,
                namespace_labels=exporter.exposition.settings.namespace_labels,
            )

    async def run(self) -> None:
        """Push until cancelled, then send all firing alerts once more."""
        if self._push is None:
            return
        try:
            await self._push.run(self._supervised)
        finally:
            await self._push.flush(FLUSH_SECONDS)
            for client in self._clients.values():
                await client.close()
            for name in self._left:
                self._metrics.forget(name)

    def succeed(self, former: "Pushing") -> None:
        """Continue the alerts of *former*, which is about to end; call it before ``run``.

        Alerts at an Alertmanager that is no longer configured expire, as they do when the exporter
        is gone: it may be the same Alertmanager under another address. Only where none is
        configured any more is everything resolved.
        """
        if former._push is None:  # noqa: SLF001 - one of the same class
            return
        if self._push is None:
            former._push.end_all()  # noqa: SLF001
        else:
            self._push.adopt(former._push)  # noqa: SLF001
        former._left = former._clients.keys() - self._clients.keys()  # noqa: SLF001


def _whole(exporter: Exporter, kinds: str, *beside: str) -> bool:
    """Return whether some kinds were listed and everything served of them is watched now.

    Kinds *beside* them (policies, namespaces) only add labels: they may be refused.
    """
    wanted = [f for f in exporter.reflectors if kinds_of(f.scope) in (kinds, *beside)]
    return exporter.health.complete(kinds) and all(
        settled(f) and (f.up or f.state in GIVEN_UP) for f in wanted
    )
