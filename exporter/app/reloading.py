"""The exporter in force, and during a reload its successor under a new configuration."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from exporter.app.composed import Composed, Composer
from exporter.app.handover import captured, take_over
from exporter.app.memory import settle_after_reload
from exporter.errors import ConfigError
from exporter.settings.file import ConfigFile
from exporter.web.page.handlers import PageSettings

log = logging.getLogger(__name__)


class Reloading:
    """Serves the configuration in force; implements the ports of exporter.web.ports.

    A new configuration makes a successor beside the present exporter, which stays exposed until
    the successor has listed everything. So a reload leaves no gap, and one that cannot be
    completed changes nothing. There is at most one successor: the latest.
    """

    def __init__(
        self, composer: Composer, config: ConfigFile, read: Callable[[], ConfigFile]
    ) -> None:
        self.present = composer.compose(config)
        self._composer = composer
        self._read = read
        self._wanted = config
        self._self_metrics = composer.self_metrics
        self._tasks: asyncio.TaskGroup | None = None
        self._life: asyncio.Task[None] | None = None
        self._succession: asyncio.Task[None] | None = None
        self._self_metrics.gauge("config_last_reload_successful").set(1)
        self._note_in_force()

    async def run(self) -> None:
        """Follow the cluster and push alerts until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._begin(tasks)

    async def reload(self) -> str | None:
        """Re-read the configuration and apply it; return what is wrong with it, None if nothing.

        The journal's file is opened again, as logrotate asks for with SIGHUP. An error of the
        configuration is logged and returned, not raised.
        """
        if self._life is not None and self._life.cancelling():
            return "the exporter is stopping"
        self._composer.journal.reopen()
        try:
            config = self._read()
            self._take(config)
        except ConfigError as error:
            self._self_metrics.gauge("config_last_reload_successful").set(0)
            log.error("configuration not reloaded, the old one stays active: %s", error)  # noqa: TRY400 - no bug
            return str(error)
        self._self_metrics.gauge("config_last_reload_successful").set(1)
        return None

    async def scrape(self, openmetrics: bool, names: frozenset[str]) -> Iterable[bytes]:  # noqa: FBT001 - the web's port
        """Render the metrics of the present exporter."""
        return await self.present.exporter.scrapes.scrape(openmetrics, names)

    def ready(self) -> tuple[bool, str]:
        """Return whether the present exporter is ready, and what it waits for."""
        complete, text = self.present.exporter.health.ready()
        if self._succession is not None:
            text += "a new configuration was accepted, and takes effect after its sync\n"
        return complete, text

    def pages(self) -> PageSettings:
        """Return the pages of the configuration in force."""
        return self.present.pages

    def _take(self, config: ConfigFile) -> None:
        """Put *config* in force as soon as possible.

        Raises:
            ConfigError: the address of an Alertmanager is wrong, or the journal cannot be opened.
        """
        if config == self._wanted:
            if self._succession is None:
                self._note_in_force()
            return
        new = None if config == self.present.config else self._composer.compose(config)
        self._wanted = config
        if self._succession is not None:
            log.info("the previous reload is cancelled")
            self._succession.cancel()
            self._succession = None
        if new is None:
            self.present.exporter.heard = None
            self._note_in_force()
        elif self._tasks is None or not self.present.exporter.began:
            self._replace(new)
        else:
            log.info("configuration accepted; the old one stays active until it is synced")
            work = self._succeed(self._tasks, new)
            self._succession = self._tasks.create_task(work, name="reload")

    def _replace(self, new: Composed) -> None:
        """Replace an exporter that has not begun: it has nothing to hand over."""
        self.present = new
        if self._life is not None:
            self._life.cancel()
        if self._tasks is not None:
            self._begin(self._tasks)
        self._note_in_force()

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        self._composer.switch_journal(self.present.exporter)
        self._life = tasks.create_task(self.present.run(), name="exporter")
        self.present.show()

    async def _succeed(self, tasks: asyncio.TaskGroup, new: Composed) -> None:
        old = self.present.exporter
        await new.exporter.inherit(await captured(old), old.checkpoint_writer.store)
        life = tasks.create_task(new.run(), name="successor")
        try:
            await take_over(new.exporter, old, lambda: self._switch(tasks, new, life))
        finally:
            if self.present is not new:
                life.cancel()
                self._composer.keep_journal(old, new.exporter)

    def _switch(self, tasks: asyncio.TaskGroup, new: Composed, life: asyncio.Task[None]) -> None:
        """Expose *new* from now on."""
        old, ending = self.present, self._life
        self.present, self._life, self._succession = new, life, None
        old.hide()
        self._composer.switch_journal(new.exporter, old.exporter)
        new.exporter.about.expose(old.exporter.about)
        new.pushing.succeed(old.pushing)
        new.show()
        self._note_in_force()
        log.info("the new configuration is in force")
        if ending is not None:
            ending.cancel()
            tasks.create_task(_release(ending), name="end of the former exporter")

    def _note_in_force(self) -> None:
        self._self_metrics.gauge("config_last_reload_success_timestamp_seconds").set(time.time())


async def _release(ending: asyncio.Task[None]) -> None:
    """Wait for the end and release its memory, which was excluded from garbage collection."""
    await asyncio.wait([ending])
    del ending  # a cancelled task keeps its frames, and with them all its objects
    settle_after_reload()
