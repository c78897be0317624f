"""The command ``snapshot``: read a cluster or files once, print the result and judge it."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Final

from exporter.errors import ConfigError, ExporterError
from exporter.metrics.exposition import Exposition, render
from exporter.settings.file import ConfigFile, read_config
from exporter.settings.flags import Flags, read_flags
from exporter.snapshot.gate import Finding, findings, judge, judged_words
from exporter.snapshot.options import SnapshotOptions, narrowed, read_options
from exporter.snapshot.reading import Reading, read, warn
from exporter.snapshot.table import as_json, as_table, document

REDRAW_SECONDS: Final = 5.0


def snapshot(given: Mapping[str, object]) -> int:
    """Run the command and return its exit status.

    1 when something fails that ``--fail-on`` names, 2 when nothing was evaluated, 3 when not all
    could be read.
    """
    ask, flags = read_options(given), read_flags(given, os.environ)
    config = narrowed(read_config(flags.config_file), ask, flags)
    _check_judged(ask, config)
    if ask.watch:
        return _watch(ask, flags, config)
    reading = read(ask.files, flags, config)
    found = findings(reading, ask, config)
    write(_text(reading, ask, config, found))
    verdict = judge(reading, found, ask, config)
    printed = "\n".join(verdict.lines)
    for each in found:
        if not each.is_logged and each.text not in printed:
            warn(each.text)
    for line in verdict.lines:
        warn(line)
    return verdict.status


def _check_judged(ask: SnapshotOptions, config: ConfigFile) -> None:
    missing = (
        [w for w in judged_words(ask.fail_on[0]) if w not in config.results] if ask.fail_on else []
    )
    if missing:
        raise ConfigError(
            f"results: {', '.join(missing)} left out by the configuration file, and judged by "
            "--fail-on"
        )


def _watch(ask: SnapshotOptions, flags: Flags, config: ConfigFile) -> int:
    reading = read(ask.files, flags, config)
    while True:
        found = findings(reading, ask, config)
        write("\x1b[H\x1b[2J" + _text(reading, ask, config, found))
        time.sleep(REDRAW_SECONDS)
        try:
            reading = read(ask.files, flags, config)
        except ExporterError as error:  # the last table stays
            warn(f"{error}; trying again")


def _text(reading: Reading, ask: SnapshotOptions, config: ConfigFile, found: list[Finding]) -> str:
    if ask.output in ("prometheus", "openmetrics"):
        return _metrics(reading, config, openmetrics=ask.output == "openmetrics")
    made = document(reading, ask, whole=config.reports.detail == "full")
    if ask.output == "json":
        return as_json(made)
    return as_table(made, [each.text for each in found if each.status])


def _metrics(reading: Reading, config: ConfigFile, *, openmetrics: bool) -> str:
    exposition = Exposition(reading.state, config.exposure()._replace(birth_hold=0.0))
    shots = exposition.take(time.time(), lambda _: True)
    pieces = render(shots, openmetrics=openmetrics)
    return b"".join(pieces).decode() + ("# EOF\n" if openmetrics else "")


def write(text: str) -> None:
    """Write to standard output; a reader that has gone (``| head``) is no failure."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
