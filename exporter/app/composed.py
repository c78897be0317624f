"""Everything that one configuration makes, over a client that outlives it."""

import asyncio
import logging
import os
import socket
import time
from functools import partial
from typing import Final

import msgspec

from exporter.alerting.settings import AlertingSettings
from exporter.app.exporter import CheckpointTarget, Exporter
from exporter.app.pushing import Pushing
from exporter.app.status import About, BlockFeed, LiveStatus
from exporter.checkpoint.file import CheckpointStore, StateFile
from exporter.checkpoint.format import Checkpoint
from exporter.checkpoint.object import ObjectStore
from exporter.errors import ConfigError, StateError
from exporter.journal.queue import Journal
from exporter.journal.recorder import JournalSettings, Place, Recorder
from exporter.journal.writer import STANDARD_OUTPUT, Target, open_target
from exporter.kube.client import KubeClient
from exporter.kube.configmap import ConfigMap
from exporter.kube.credentials import own_namespace
from exporter.kube.discovery import cluster_id
from exporter.kube.source import KubeSource
from exporter.metrics.self_metrics import Row, SelfMetrics
from exporter.settings.file import ConfigFile, Plan
from exporter.settings.flags import Flags
from exporter.web.page.document import Link
from exporter.web.page.handlers import PageSettings

log = logging.getLogger(__name__)

PROJECT: Final = "https://github.com/policy-report-exporter/policy-report-exporter"
LINKS: Final = (
    Link("Documentation", PROJECT),
    Link("Runbooks", f"{PROJECT}/tree/main/docs/runbooks"),
)


class CopyingStore:
    """A checkpoint in a file, and a copy of the last one in an object: to move between both.

    The file counts. Where there is none, the copy is what this begins with; it is written when
    the process ends.
    """

    def __init__(self, file: StateFile, copy: ObjectStore) -> None:
        self.name = file.name
        self.bytes_written = 0
        self.pause_seconds = file.pause_seconds
        self.refresh_seconds = file.refresh_seconds
        self._file = file
        self._copy = copy
        self._last: Checkpoint | None = None

    async def open(self) -> bytes | None:
        """Read the file, else the copy.

        Raises:
            StateError: the directory cannot be used.
        """
        body = await self._file.open()
        if body is not None:
            return body
        try:
            body = await self._copy.open()
        except StateError as error:
            log.warning("%s: no copy to start from: %s", self.name, error)
            return None
        if body is not None:
            log.info("%s is empty; starting from the copy in %s", self.name, self._copy.name)
        return body

    async def save(self, checkpoint: Checkpoint) -> Checkpoint:
        """Write the file.

        Raises:
            StateError: the old one stays.
        """
        self._last = await self._file.save(checkpoint)
        self.bytes_written = self._file.bytes_written
        return self._last

    async def set_aside(self, reason: str) -> str:
        """Keep a file that cannot be used.

        Raises:
            StateError: it cannot be renamed.
        """
        return await self._file.set_aside(reason)

    async def close(self) -> None:
        """Write the copy."""
        if self._last is None:
            return
        try:
            await self._copy.look()
            self._copy.following = False
            await self._copy.save(self._last)
        except StateError as error:
            log.warning("%s: the state could not be copied to the ConfigMap: %s", self.name, error)
        else:
            log.info("%s: the state was copied to %s", self.name, self._copy.name)
            await self._copy.close()

    def release(self) -> None:
        """Leave the directory to another process."""
        self._file.release()


class JournalCounts:
    """Counts the journal's lines; a JournalMetrics of exporter.journal."""

    def __init__(self, self_metrics: SelfMetrics) -> None:
        self._self_metrics = self_metrics

    def written(self, event_name: str, count: int) -> None:
        """Count lines that are written."""
        self._self_metrics.counter("journal_lines_total", event_name).inc(count)

    def dropped(self, reason: str, count: int) -> None:
        """Count lines that are not."""
        self._self_metrics.counter("journal_dropped_total", reason).inc(count)


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


def store_of(flags: Flags, client: KubeClient) -> CheckpointStore | None:
    """Choose where checkpoints are kept: a directory, an object, or nowhere.

    Raises:
        ConfigError: the namespace of the object is not known.
    """
    file = StateFile(flags.state_dir) if flags.state_dir is not None else None
    if not flags.state_configmap:
        return file
    namespace, _, name = flags.state_configmap.rpartition("/")
    configmap = ConfigMap(client, namespace or own_namespace(), name)
    pod = os.environ.get("HOSTNAME") or socket.gethostname()
    store = ObjectStore(configmap, pod)
    return store if file is None else CopyingStore(file, store)


class Composer:
    """Makes what depends on a configuration; flags and client are shared by all."""

    def __init__(self, flags: Flags, client: KubeClient, self_metrics: SelfMetrics) -> None:
        self.self_metrics = self_metrics
        self._flags = flags
        self._source = partial(KubeSource, client, self_metrics)
        self._keeping: CheckpointTarget | None = None
        if (store := store_of(flags, client)) is not None:
            self._keeping = CheckpointTarget(store, lambda: cluster_id(client))
        self._cluster = client.credentials.cluster
        self._audience = BlockFeed()
        self._started = time.time()
        self.journal = Journal(JournalCounts(self_metrics))
        self_metrics.readings.on("journal_pending_bytes", self._journal_pending)

    def switch_journal(self, new: Exporter, old: Exporter | None = None) -> None:
        """Write the journal of *new* from now on, instead of that of *old*."""
        former = None if old is None else old.journal
        recorder = new.journal
        if recorder is not None:
            self.journal.on_gap = lambda lines: recorder.gap("journal_full", lines=lines)
            self.journal.open(self._target(recorder.settings))
            recorder.outbox.take_over()
        elif former is not None:
            former.outbox.release_all()
            self.journal.open(None)
        if former is not None:
            former.outbox.discard()

    def keep_journal(self, present: Exporter, dropped: Exporter) -> None:
        """Keep the journal of *present*: *dropped* is not going to succeed it."""
        if present.journal is not None:
            present.journal.outbox.end_record()
        if dropped.journal is not None:
            dropped.journal.outbox.discard()

    def _target(self, settings: JournalSettings) -> Target:
        return Target(settings.file, settings.rotate, sync=self._keeping is not None)

    def _journal_pending(self) -> list[Row]:
        self.journal.reap()
        return [((), float(self.journal.pending_bytes))]

    def release(self) -> None:
        """Leave the checkpoint to another process."""
        if self._keeping is not None:
            self._keeping.store.release()

    def compose(self, config: ConfigFile) -> Composed:
        """Join the parts.

        Raises:
            ConfigError: the address of an Alertmanager is wrong, or the journal cannot be opened.
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
        source = self._source(
            summaries=config.reports.detail == "summary", limits=config.limits.report
        )
        exporter = Exporter(plan, source, self.self_metrics, keeping=self._keeping)
        settings = config.journal
        if flags.journal:
            settings = msgspec.structs.replace(settings, file=flags.journal)
        if settings.file:
            _check_journal(settings.file)
            place = Place(cluster, exporter.exposition.settings.namespace_labels)
            recorder = Recorder(settings, exporter.state, self.journal, place, exporter.clock)
            exporter.keep_journal(recorder)
        return Composed(exporter, alerting, self._audience, About(cluster, self._started))


def _check_journal(file: str) -> None:
    """Prove that a journal can be written.

    Raises:
        ConfigError: it cannot.
    """
    try:
        os.close(open_target(file))
    except OSError as error:
        name = "standard output" if file == STANDARD_OUTPUT else file
        raise ConfigError(f"journal: {name}: {error.strerror}") from error
