"""The present exporter, and at times its successor under another configuration."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterable

from exporter.app.composed import Composed, Composer
from exporter.app.handover import captured, take_over
from exporter.app.memory import settle_down
from exporter.errors import ConfigError
from exporter.settings.file import ConfigFile
from exporter.web.page.handlers import PageSettings
from exporter.web.ports import BodyPart

log = logging.getLogger(__name__)


class Reloading:
    """What is served, under the configuration that is in force; see exporter.web.ports.

    A new configuration makes a successor beside the present exporter, which is followed and shown
    as ever until the successor has brought all that there is. So a reload shows no hole, and one
    that cannot be completed changes nothing. There is one successor at most: the latest.
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
        """Read the configuration again and take it; the text says what is wrong with it."""
        if self._life is not None and self._life.cancelling():
            return "it is stopping"
        try:
            config = self._read()
            self._take(config)
        except ConfigError as error:
            self._self_metrics.gauge("config_last_reload_successful").set(0)
            log.error("configuration not taken, the old one stays: %s", error)  # noqa: TRY400 - no bug
            return str(error)
        self._self_metrics.gauge("config_last_reload_successful").set(1)
        return None

    async def scrape(self, openmetrics: bool, names: frozenset[str]) -> Iterable[BodyPart]:  # noqa: FBT001 - the web's port
        """Render what the present exporter shows."""
        return await self.present.exporter.scrapes.scrape(openmetrics, names)

    def ready(self) -> tuple[bool, str]:
        """Say whether the present exporter is ready, and what is missing."""
        complete, text = self.present.exporter.health.ready()
        if self._succession is not None:
            text += "another configuration was accepted, and is in force once it is synced\n"
        return complete, text

    def pages(self) -> PageSettings:
        """Give the pages that are configured now."""
        return self.present.pages

    def _take(self, config: ConfigFile) -> None:
        """Let *config* be in force as soon as possible.

        Raises:
            ConfigError: an Alertmanager cannot be told as configured.
        """
        if config == self._wanted:
            if self._succession is None:
                self._note_in_force()
            return
        new = None if config == self.present.config else self._composer.compose(config)
        self._wanted = config
        if self._succession is not None:
            log.info("the configuration that was not in force yet is dropped")
            self._succession.cancel()
            self._succession = None
        if new is None:
            self.present.exporter.heard = None
            self._note_in_force()
        elif self._tasks is None or not self.present.exporter.began:
            self._replace(new)
        else:
            log.info("configuration accepted: synced beside the old one, which is shown until then")
            work = self._succeed(self._tasks, new)
            self._succession = self._tasks.create_task(work, name="reload")

    def _replace(self, new: Composed) -> None:
        """Put *new* in the place of what has not begun: it has nothing to hand over."""
        self.present = new
        if self._life is not None:
            self._life.cancel()
        if self._tasks is not None:
            self._begin(self._tasks)
        self._note_in_force()

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        self._life = tasks.create_task(self.present.run(), name="exporter")
        self.present.show()

    async def _succeed(self, tasks: asyncio.TaskGroup, new: Composed) -> None:
        old = self.present.exporter
        new.exporter.inherit(await captured(old), old.checkpoint_writer.file)
        life = tasks.create_task(new.run(), name="successor")
        try:
            await take_over(new.exporter, old, lambda: self._switch(tasks, new, life))
        finally:
            if self.present is not new:
                life.cancel()

    def _switch(self, tasks: asyncio.TaskGroup, new: Composed, life: asyncio.Task[None]) -> None:
        """Show *new* from now on."""
        old, ending = self.present, self._life
        self.present, self._life, self._succession = new, life, None
        old.hide()
        new.exporter.about.expose(old.exporter.about)
        new.pushing.succeed(old.pushing)
        new.show()
        self._note_in_force()
        log.info("the new configuration is in force")
        if ending is not None:
            ending.cancel()
            tasks.create_task(_bury(ending), name="end of the former exporter")

    def _note_in_force(self) -> None:
        self._self_metrics.gauge("config_last_reload_success_timestamp_seconds").set(time.time())


async def _bury(ending: asyncio.Task[None]) -> None:
    """Wait for the end, and let the memory go: what was frozen with it holds on to itself."""
    await asyncio.wait([ending])
    del ending  # a task that was cancelled knows where it was, and so all that was there
    gc.unfreeze()
    settle_down()
