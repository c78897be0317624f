"""Everything that one configuration makes, over a client that outlives it."""

import asyncio
import time
from functools import partial
from typing import Final

import msgspec

from exporter.alerting.settings import AlertingSettings
from exporter.app.exporter import CheckpointTarget, Exporter
from exporter.app.pushing import Pushing
from exporter.app.status import About, BlockFeed, LiveStatus
from exporter.checkpoint.file import StateFile
from exporter.kube.client import KubeClient
from exporter.kube.discovery import cluster_id
from exporter.kube.source import KubeSource
from exporter.metrics.self_metrics import SelfMetrics
from exporter.settings.file import ConfigFile, Plan
from exporter.settings.flags import Flags
from exporter.web.page.document import Link
from exporter.web.page.handlers import PageSettings

PROJECT: Final = "https://github.com/policy-report-exporter/policy-report-exporter"
LINKS: Final = (
    Link("Documentation", PROJECT),
    Link("Runbooks", f"{PROJECT}/tree/main/docs/runbooks"),
)


class Composed:
    """An exporter, its push of alerts and its pages."""

    def __init__(
        self, exporter: Exporter, alerting: AlertingSettings, audience: BlockFeed, about: About
    ) -> None:
        page = exporter.plan.config.status_page
        self.config = exporter.plan.config
        self.exporter = exporter
        self.pushing = Pushing(exporter, alerting)
        self.status = LiveStatus(exporter, audience, about)
        grafana = alerting.grafana_url
        links = (Link("Grafana", grafana),) if grafana else ()
        self.pages = PageSettings(
            self.status if page.enabled else None, (*links, *LINKS), grafana, about.cluster
        )
        self._shown = asyncio.Event()

    def show(self) -> None:
        """Become visible: push alerts and stream blocked requests from now on."""
        self.status.activate()
        self._shown.set()

    def hide(self) -> None:
        """Stop streaming blocked requests."""
        self.status.deactivate()

    async def run(self) -> None:
        """Follow the cluster until cancelled; push alerts once visible."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._push(), name="alerts")
            tasks.create_task(self.exporter.follow(), name="following")

    async def _push(self) -> None:
        await self._shown.wait()
        await self.pushing.run()


class Composer:
    """Makes what depends on a configuration; flags and client are shared by all."""

    def __init__(self, flags: Flags, client: KubeClient, self_metrics: SelfMetrics) -> None:
        self.self_metrics = self_metrics
        self._flags = flags
        self._source = partial(KubeSource, client, self_metrics)
        self._keeping: CheckpointTarget | None = None
        if flags.state_dir is not None:
            self._keeping = CheckpointTarget(StateFile(flags.state_dir), lambda: cluster_id(client))
        self._cluster = client.credentials.cluster
        self._audience = BlockFeed()
        self._started = time.time()

    def release(self) -> None:
        """Leave the state directory to another process."""
        if self._keeping is not None:
            self._keeping.file.release()

    def compose(self, config: ConfigFile) -> Composed:
        """Join the parts.

        Raises:
            ConfigError: the address of an Alertmanager is wrong.
        """
        flags = self._flags
        alerting = msgspec.structs.replace(
            config.alerting.plus(flags.alertmanagers),
            grafana_url=flags.grafana_url or config.grafana_url,
        )
        named = flags.cluster or config.cluster
        if named:
            # Not the name of a context or host: it would change the identity of every alert.
            labels = {"cluster": named, **alerting.labels}
            alerting = msgspec.structs.replace(alerting, labels=labels)
        cluster = named or self._cluster
        plan = Plan(config, flags.namespaces, flags.shard)
        source = self._source(summaries=config.reports.detail == "summary")
        exporter = Exporter(plan, source, self.self_metrics, keeping=self._keeping)
        return Composed(exporter, alerting, self._audience, About(cluster, self._started))
