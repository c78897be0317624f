"""Bursts of Events into the real command: none lost, counted soon, shown soon."""

import tempfile
import time
from typing import Final

from bench.api import Api
from bench.bystander import bystanding
from bench.command import Command, exporting
from bench.measure import Figures
from bench.reports import Shape
from bench.server import Load, serving
from exporter.model.resource import EVENTS

COMMIT_SECONDS: Final = 1.0
STEADY: Final = 2_000
_CONFIG: Final = f"checkpoint_interval: {COMMIT_SECONDS}\nbirth_hold: 0\n"
_PATIENCE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.02


def compare(shape: Shape, events: int) -> dict[str, Figures]:
    """Send that many Events as fast as they go, and with checkpoints at a steady rate too."""
    with serving(Load(shape)) as api, tempfile.TemporaryDirectory(prefix="bench-") as state:
        with exporting(api, (), _CONFIG) as command:
            command.ready()
            found = {"in memory": _burst(api, command, events, 0)}
        with exporting(api, (f"--state.dir={state}",), _CONFIG) as command:
            command.ready()
            found["--state.dir"] = _burst(api, command, events, 0)
            found["--state.dir, steady"] = _burst(api, command, events, STEADY)
    return found


def _burst(api: Api, command: Command, events: int, rate: float) -> Figures:
    """Send Events; at rate 0 as fast as they go. ``look_ms`` is what it takes to see any."""
    before, spent, shown = command.resident_mb, command.cpu_seconds, _shown(command)
    wanted, began = shown + events, time.monotonic()
    with bystanding() as late:
        sending = api.flow(EVENTS.plural, events, rate).seconds
        sent = looked = time.monotonic()
        look = 0.0
        while shown < wanted and looked < sent + _PATIENCE_SECONDS:
            time.sleep(_LOOK_SECONDS)
            last, shown = looked, _shown(command)
            looked = time.monotonic()
            look = looked - last
    return late | {
        "events": events,
        "lost": wanted - shown,
        "sent_per_second": events / sending,
        "shown_per_second": events / (looked - began),
        "shown_after_last_ms": (looked - sent) * 1e3,
        "look_ms": look * 1e3,
        "cpu_us_an_event": (command.cpu_seconds - spent) / events * 1e6,
        "grown_mb": command.resident_mb - before,
        "lag_max_ms": max(command.values("policyreport_exporter_event_loop_lag_seconds")) * 1e3,
    }


def _shown(command: Command) -> float:
    return sum(command.values("policyviolation_events_total"))
