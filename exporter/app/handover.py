"""Hand over from one exporter to its successor without a gap in what is exposed."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from exporter.app.exporter import Exporter
from exporter.app.health import GIVEN_UP, settled
from exporter.checkpoint.format import Checkpoint
from exporter.model.metadata import version_number
from exporter.watch.reflector import Reflector

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.02
PATIENCE_SECONDS: Final = 5.0
"""How long to wait for a moment at which both have received the same objects."""

AGAIN_SECONDS: Final = 1.0
"""The pause after a checkpoint that could not be written."""


async def captured(exporter: Exporter) -> Checkpoint:
    """Capture what a successor starts from, as soon as the state can be captured.

    From then on ``heard`` records the versions that the exporter receives: its successor must
    receive them as well.
    """
    while True:
        if exporter.checkpoint_writer.checkpointer.encode_some():
            await asyncio.sleep(0)
            continue
        exporter.heard = {}
        checkpoint = exporter.checkpoint_writer.checkpointer.capture()
        if checkpoint is not None:
            if exporter.journal is not None:
                exporter.journal.outbox.begin_record()
            return checkpoint
        await asyncio.sleep(LOOK_SECONDS)


async def take_over(new: Exporter, old: Exporter, switch: Callable[[], None]) -> None:
    """Wait until *new* knows all that *old* knows, then *switch* in one turn of the loop.

    With a state directory, the new exporter's checkpoint is written just before, while the old
    exporter writes none: after a crash on either side, what was exposed last is durable.
    """
    clock = asyncio.get_running_loop().time
    level_until = 0.0
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if not await is_whole(new, old):
            continue
        level_until = level_until or clock() + PATIENCE_SECONDS
        async with old.checkpoint_writer.turn:
            if not (has_heard(new, old) and (has_heard(old, new) or clock() > level_until)):
                continue
            _catch_up(new, old)
            if await new.checkpoint_writer.commit_now():
                old.checkpoint_writer.active, new.checkpoint_writer.active = False, True
                old.heard = new.heard = None
                switch()
                return
        await asyncio.sleep(AGAIN_SECONDS)


async def is_whole(new: Exporter, old: Exporter) -> bool:
    """Return whether *new* has listed all it can, and at least what *old* has."""
    if not all(_has_listed(f, old.reflector(f.scope)) for f in new.reflectors):
        return False
    await new.finish_restore()
    return True


def _has_listed(reflector: Reflector, former: Reflector | None) -> bool:
    if reflector.synced or former is None:
        return settled(reflector)
    return reflector.state in GIVEN_UP and not (former.synced and former.state not in GIVEN_UP)


def has_heard(one: Exporter, other: Exporter) -> bool:
    """Return whether *one* received all that *other* did, where versions can be compared."""
    for scope, version in (other.heard or {}).items():
        reflector = one.reflector(scope)
        if reflector is not None and 0 < version_number(reflector.version) < version:
            return False
    return True


def _catch_up(new: Exporter, old: Exporter) -> None:
    """Copy what only *old* can know; idempotent."""
    if new.journal is not None and old.journal is not None:
        old.checkpoint_writer.checkpointer.cover_events()
        new.journal.outbox.succeed(old.journal.outbox)
    new.checkpoint_writer.catch_up(old.checkpoint_writer)
    new.exposition.go_on_from(old.exposition)
    new.state.violation_events.go_on_from(old.state.violation_events)
    new.state.register.go_on_from(old.state.register)
    new.state.ledger.newest.go_on_from(old.state.ledger.newest)
