"""Read a cluster, or files, once; say what stands, in the form that was asked for."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

from exporter.errors import ApiError, ExporterError, NotServed, Refused
from exporter.kube.client import KubeClient
from exporter.kube.credentials import find_credentials
from exporter.kube.source import KubeSource
from exporter.metrics.exposition import Exposition, render
from exporter.metrics.self_metrics import new_self_metrics
from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.report import BADNESS
from exporter.model.resource import EVENTS, NAMESPACES, POLICY_RESOURCES, REPORT_RESOURCES
from exporter.settings.file import ConfigFile, read_config
from exporter.settings.flags import Flags, read_flags
from exporter.settings.plan import Plan
from exporter.snapshot.files import read_files
from exporter.snapshot.options import SnapshotOptions, narrowed, read_options
from exporter.snapshot.table import SeverityFilter, as_json, as_table
from exporter.state.cluster import ClusterState
from exporter.state.tally import NOTHING
from exporter.view.values import SEVERITIES

PAGE_OBJECTS: Final = 250
REDRAW_SECONDS: Final = 5.0


def snapshot(given: Mapping[str, object]) -> int:
    """Run the command and return its exit status: 1 when what --fail-on names stands."""
    ask, flags = read_options(given), read_flags(given, os.environ)
    config = narrowed(read_config(flags.config_file), ask, flags)
    if not ask.watch:
        state = _read(ask, flags, config)
        _print(state, ask, config)
        return int(_stands(state, ask.fail_on, whole=config.reports.detail == "full"))
    _draw(_read(ask, flags, config), ask, config)
    while True:
        time.sleep(REDRAW_SECONDS)
        try:
            state = _read(ask, flags, config)
        except ExporterError as error:  # what was drawn last stays
            _say(f"{error}; trying again")
        else:
            _draw(state, ask, config)


def _draw(state: ClusterState, ask: SnapshotOptions, config: ConfigFile) -> None:
    sys.stdout.write("\x1b[H\x1b[2J")
    _print(state, ask, config)


def _read(ask: SnapshotOptions, flags: Flags, config: ConfigFile) -> ClusterState:
    state = ClusterState(
        config.selection(),
        time.time,
        namespace_labels=config.labels.namespace_labels,
        controllers=config.events.controllers,
        known_policies_only=config.events.known_policies_only,
    )
    if ask.files:
        _read_from_files(state, ask.files)
    else:
        asyncio.run(_read_cluster(state, flags, config))
    state.ledger.settle()
    return state


def _read_from_files(state: ClusterState, files: Sequence[str]) -> None:
    order = {r.name: rank for rank, r in enumerate((*POLICY_RESOURCES, NAMESPACES))}
    found, passed_over = [], 0
    for one in read_files(files):
        if one.complaint:
            _say(f"skipped: {one.complaint}")
        elif one.resource is not None and one.object is not None:
            found.append((one.resource, one.object))
        else:
            passed_over += 1
    if passed_over and not found:
        _say(
            f"no report, event, policy or namespace in it, but {passed_over} objects of other kinds"
        )
    _count_all(state, Scope(EVENTS))
    for resource, item in sorted(found, key=lambda pair: order.get(pair[0].name, len(order))):
        state.apply(Applied(Scope(resource), item))


def _count_all(state: ClusterState, scope: Scope) -> None:
    """Let every Event count: a snapshot has no before."""
    state.apply(Init(scope))
    state.apply(InitDone(scope))


async def _read_cluster(state: ClusterState, flags: Flags, config: ConfigFile) -> None:
    async with AsyncExitStack() as stack:
        self_metrics = new_self_metrics()
        credentials = find_credentials(flags.kubeconfig, flags.context)
        client = await stack.enter_async_context(KubeClient(credentials, self_metrics))
        source = KubeSource(client, self_metrics, summaries=config.reports.detail == "summary")
        scopes = Plan(config, flags.namespaces).scopes()
        policies = [s for s in scopes if s.resource in POLICY_RESOURCES]
        refused: list[ApiError] = []
        for scope in [*policies, *(s for s in scopes if s not in policies)]:
            try:
                await _list(state, source, scope)
            except NotServed:
                continue
            except Refused as error:
                refused.append(error)
                _say(f"{scope.resource.name}: {error}")
        reports = [s for s in scopes if s.resource in REPORT_RESOURCES]
        if len(refused) >= len(scopes) or (refused and refused[0].status == 401 and reports):
            raise refused[0]


async def _list(state: ClusterState, source: KubeSource, scope: Scope) -> None:
    resource = await source.resolve(scope.resource)
    if resource is None:
        return
    if scope.resource == EVENTS:
        _count_all(state, scope)
    cont, read = "", 0
    while True:
        page = await source.page(resource, scope.namespace, limit=PAGE_OBJECTS, cont=cont)
        for item in page.objects:
            state.apply(Applied(scope, item))
        read += len(page.objects)
        cont = page.cont
        _progress(f"{scope.resource.name}: {read} read" if cont else "")
        if not cont:
            return


def _print(state: ClusterState, ask: SnapshotOptions, config: ConfigFile) -> None:
    if ask.output in ("prometheus", "openmetrics"):
        openmetrics = ask.output == "openmetrics"
        exposition = Exposition(state, config.exposure()._replace(birth_hold=0.0))
        for piece in render(
            exposition.take(time.time(), lambda _: True), frozenset(), openmetrics=openmetrics
        ):
            sys.stdout.write(piece.decode())
        sys.stdout.write("# EOF\n" if openmetrics else "")
        return
    shown = SeverityFilter(frozenset(ask.severities), config.reports.detail == "full")
    if ask.output == "json":
        sys.stdout.write(as_json(state, shown))
    else:
        as_table(state, shown)


def _stands(state: ClusterState, fail_on: tuple[str, str] | None, *, whole: bool) -> bool:
    """Say whether a result that bad, of that severity or worse, stands."""
    if fail_on is None:
        return False
    word, severity = fail_on
    words = BADNESS[: BADNESS.index(word) + 1]
    severities = SEVERITIES[: SEVERITIES.index(severity) + 1]
    indices = [("pass", "fail", "warn", "error", "skip").index(w) for w in words]
    if not whole:
        return any(row[i] for row in state.ledger.totals.summary.values() for i in indices)
    rows = state.ledger.sums.by_severity
    return any(rows.get((s,), NOTHING)[i] for s in severities for i in indices)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _progress(text: str) -> None:
    """Show how far the reading is, where somebody watches; nothing clears it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\x1b[K")
