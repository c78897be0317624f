"""Parts whose failure must not end the exporter: each is restarted with back-off."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from exporter.metrics.self_metrics import SelfMetrics
from exporter.watch.pace import Backoff

log = logging.getLogger(__name__)


class Supervisor:
    """Runs parts that serve the exporter: delivery of alerts, checkpoints, measurements.

    Watches and state are not among them: when they fail, what is exposed would be wrong, and the
    process ends.
    """

    def __init__(self, self_metrics: SelfMetrics) -> None:
        self._self_metrics = self_metrics

    async def __call__(self, part: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run *part* to its end; whenever it fails, log and count that, wait, and run it again."""
        delays = Backoff(random.random)
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                await run()
            except Exception:
                pause = delays.after(clock() - began, 0.0)
                self._self_metrics.counter("part_restarts_total", part).inc()
                log.exception("%s failed, restarting in %.0f seconds", part, pause)
            else:
                return
            await asyncio.sleep(pause)
