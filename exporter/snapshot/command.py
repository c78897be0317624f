"""The command ``snapshot``: read a cluster or files once, print the result and judge it."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from exporter.errors import ApiError, ConfigError, ExporterError
from exporter.metrics.exposition import Exposition, render
from exporter.settings.file import ConfigFile, read_config
from exporter.settings.flags import Flags, read_flags
from exporter.snapshot.ci import as_csv, as_github, as_junit, as_sarif
from exporter.snapshot.diff import compared, read_snapshot
from exporter.snapshot.document import SnapshotDocument, as_json
from exporter.snapshot.figures import document, if_enforced, scope_of
from exporter.snapshot.gate import (
    EMPTY_STATUS,
    FAILING_STATUS,
    UNKNOWN_STATUS,
    Finding,
    GateVerdict,
    findings,
    judge,
    judge_difference,
    judge_enforced,
    judged_words,
)
from exporter.snapshot.options import (
    METRIC_FORMS,
    NEW,
    REPORT_FORMS,
    SnapshotOptions,
    narrowed,
    read_options,
)
from exporter.snapshot.page import as_html, as_markdown
from exporter.snapshot.reading import Reading, read, warn
from exporter.snapshot.table import Layout, as_table
from exporter.view.values import Counts

REDRAW_SECONDS: Final = 5.0
NARROWEST: Final = 40
"""Columns that a table is laid out for at least."""
CLEAR: Final = "\x1b[H\x1b[2J"


def snapshot(given: Mapping[str, object]) -> int:
    """Run the command and return its exit status.

    1 when something fails that ``--fail-on`` names, or breaks that ``--if-enforced`` asks for; 2
    when nothing was evaluated, 3 when not all could be read.
    """
    ask = read_options(given)
    if ask.diffed:
        return _difference(ask, *ask.diffed)
    flags = read_flags(given, os.environ)
    file = read_config(flags.config_file)
    ask = ask._replace(filters=file.filters)
    config = narrowed(file, ask, flags)
    _check_judged(ask, config)
    baseline = read_snapshot(ask.baseline) if ask.baseline else None
    if ask.watch:
        return _watch(ask, flags, config, baseline)
    try:
        reading = _read(ask, flags, config)
    except ApiError as error:
        _write_unread(ask, flags, config, error)
        raise
    found = findings(reading, ask, config)
    made = _document(reading, ask, config, found, baseline)
    _write_all(ask, reading, config, made)
    verdicts = (judge(reading, found, made, ask, config), judge_enforced(found, made))
    lines = [line for each in verdicts for line in each.lines]
    return _ended(found, GateVerdict(_worst(each.status for each in verdicts), lines))


def _worst(statuses: Iterable[int]) -> int:
    """Choose what is known to fail, else the reason that weighs most."""
    return min(statuses, key=(FAILING_STATUS, UNKNOWN_STATUS, EMPTY_STATUS, 0).index)


def _read(ask: SnapshotOptions, flags: Flags, config: ConfigFile) -> Reading:
    reading = read(ask.files, flags, config, exceptions=bool(ask.if_enforced))
    reading.choose_team(config, ask.team)
    return reading


def _document(
    reading: Reading,
    ask: SnapshotOptions,
    config: ConfigFile,
    found: Sequence[Finding],
    baseline: SnapshotDocument | None,
) -> SnapshotDocument:
    made = document(reading, ask, config, [each.text for each in found if each.status])
    if ask.if_enforced:
        made.if_enforced = if_enforced(reading, ask, config, made)
    return compared(f"--baseline {ask.baseline}", baseline, made) if baseline else made


def _difference(ask: SnapshotOptions, old: str, new: str) -> int:
    """Print what changed between two snapshots that were taken before."""
    made = compared(f"{old} and {new}", read_snapshot(old), read_snapshot(new))
    _write_all(ask, None, None, made)
    return _ended([], judge_difference(made, ask))


def _ended(found: Sequence[Finding], verdict: GateVerdict) -> int:
    """Print why the snapshot may be incomplete and what the verdict is; give the status."""
    printed = "\n".join(verdict.lines)
    for each in found:
        if not each.is_logged and each.text not in printed:
            warn(each.text)
    for line in verdict.lines:
        warn(line)
    return verdict.status


def _check_judged(ask: SnapshotOptions, config: ConfigFile) -> None:
    if ask.fail_on is None:
        return
    judged = ("fail", "error") if ask.fail_on[0] == NEW else judged_words(ask.fail_on[0])
    missing = [word for word in judged if word not in config.results]
    if missing:
        raise ConfigError(
            f"results: the configuration file leaves out {', '.join(missing)}, which --fail-on "
            "evaluates"
        )


def _watch(
    ask: SnapshotOptions, flags: Flags, config: ConfigFile, baseline: SnapshotDocument | None
) -> int:
    between = CLEAR if sys.stdout.isatty() else "\n"
    before = CLEAR if sys.stdout.isatty() else ""
    reading = _read(ask, flags, config)
    while True:
        made = _document(reading, ask, config, findings(reading, ask, config), baseline)
        write(before + _text(ask.outputs[0].form, ask, reading, config, made))
        before = between
        time.sleep(REDRAW_SECONDS)
        try:
            reading = _read(ask, flags, config)
        except ExporterError as error:  # the last table stays
            warn(f"{error}; trying again")


def _write_unread(ask: SnapshotOptions, flags: Flags, config: ConfigFile, error: ApiError) -> None:
    """Let CI systems show why there is no snapshot, instead of an older file, or of nothing."""
    outputs = tuple(each for each in ask.outputs if each.form in REPORT_FORMS)
    cluster = flags.cluster or config.cluster
    made = _nothing_read(cluster, ask, config, f"The cluster could not be read: {error}")
    _write_all(ask._replace(outputs=outputs), None, None, made)


def _nothing_read(
    cluster: str, ask: SnapshotOptions, config: ConfigFile, problem: str
) -> SnapshotDocument:
    """Give a snapshot that has nothing but the reason why."""
    return SnapshotDocument(
        cluster=cluster,
        cluster_uid="",
        time=time.time(),
        scope=scope_of(ask, config),
        problems=[problem],
        count=ask.counting,
        reports=0,
        compliance=None,
        resources=Counts(),
        results=Counts(),
        not_itemised=Counts(),
        left_out=[],
        skipped=[],
        unreadable={},
        failing_by_severity=None,
        summary=[],
        namespaces=[],
        policies=None,
        failing=[],
        blocked=None,
        claimed=None,
    )


def _write_all(
    ask: SnapshotOptions,
    reading: Reading | None,
    config: ConfigFile | None,
    made: SnapshotDocument,
) -> None:
    """Write every form that is asked for, files first."""
    for form, path in sorted(ask.outputs, key=lambda each: not each.path):
        text = _text(form, ask, reading, config, made)
        if not path:
            write(text)
            continue
        try:
            Path(path).write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise ConfigError(f"--output {form}={path}: {error.strerror}") from error


def _text(
    form: str,
    ask: SnapshotOptions,
    reading: Reading | None,
    config: ConfigFile | None,
    made: SnapshotDocument,
) -> str:
    if form in METRIC_FORMS and reading is not None and config is not None:
        return _metrics(reading, config, openmetrics=form == "openmetrics")
    if form in ("table", "markdown", "html") and not ask.is_grouped(form):
        made = replace(made, by_workload=None)
    return _WRITERS[form](made, ask.limit)


_WRITERS: Final[dict[str, Callable[[SnapshotDocument, int | None], str]]] = {
    "table": lambda made, limit: as_table(made, limit, layout()),
    "json": lambda made, _: as_json(made),
    "junit": lambda made, _: as_junit(made),
    "sarif": lambda made, _: as_sarif(made),
    "csv": lambda made, _: as_csv(made),
    "github": as_github,
    "markdown": as_markdown,
    "html": as_html,
}


def layout() -> Layout:
    """Find out what standard output is: a terminal, a pipe, or one with ``$COLUMNS``."""
    columns = os.environ.get("COLUMNS", "")
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        return Layout(max(width, NARROWEST), coloured="NO_COLOR" not in os.environ)
    if columns.isdecimal() and int(columns):
        return Layout(max(int(columns), NARROWEST))
    return Layout(None)


def _metrics(reading: Reading, config: ConfigFile, *, openmetrics: bool) -> str:
    exposition = Exposition(reading.state, config.exposure()._replace(birth_hold=0.0))
    snapshots = exposition.take(time.time(), lambda _: True)
    pieces = render(snapshots, openmetrics=openmetrics)
    return b"".join(pieces).decode() + ("# EOF\n" if openmetrics else "")


def write(text: str) -> None:
    """Write to standard output; a reader that has gone (``| head``) is no failure."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
