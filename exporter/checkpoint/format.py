"""What a restart must not lose, and how it is taken out of the state and put back."""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import repeat
from types import MappingProxyType
from typing import Annotated, Final

import msgspec

from exporter.checkpoint.filters import CompiledFilters, CountingFilters
from exporter.errors import StateError
from exporter.model.changes import Scope
from exporter.model.metadata import version_number
from exporter.model.report import source_of
from exporter.state.cluster import ClusterState
from exporter.state.contribution import Contribution
from exporter.state.failures import Identity, Remembered, remember
from exporter.state.report_store import ReportKey
from exporter.state.tally import Counters, Labels

SCHEMA: Final = 1
EVENT_LIFETIME_SECONDS: Final = 3600.0
"""How long the API server keeps Events by default (--event-ttl)."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]
"""Unix seconds; the year 36812 is damage."""

Version = Annotated[str, msgspec.Meta(max_length=64)]
Row = tuple[Labels, Count]
Failing = tuple[str, str, str, str, str, Seconds, str]
"""kind, name, policy, rule, source, since, severity."""

LEAF_REPORTS: Final = 64
"""Reports in one leaf of encoded failures; twice as many are cut."""

_CHECKSUM: Final = b',"checksum":"%b"'
_WIDTHS: Final = {"events": 9, "opened": 4, "closed": 4}
# Python reads no number of more than 4,300 digits, which is a ValueError of its own.
_BROKEN: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class Checkpoint(msgspec.Struct, frozen=True):
    """A moment of everything that only this program knows.

    ``versions`` is, by scope, the resourceVersion up to which Events are counted; ``scopes`` are
    those whose first list had ended, so that what differs from ``failures`` later is news.
    ``failures`` is, by namespace and report, since when what fails. ``unborn`` are the rows of
    ``counters`` that were not shown at 0 for long enough yet. ``choice`` is what counted when
    ``failures`` were taken; None in checkpoints of before it was kept, which is the same as now.
    ``overruled`` are the Events that claim a block and were counted as allowed.
    """

    schema: int
    cluster: str
    saved_at: Annotated[float, msgspec.Meta(ge=0, lt=2**40)]
    versions: dict[str, Version]
    scopes: list[str]
    counters: dict[str, list[Row]]
    repeated: list[tuple[tuple[str, str, str], Count]]
    failures: dict[str, msgspec.Raw]
    unborn: dict[str, list[Labels]] = {}
    choice: CountingFilters | None = None
    overruled: list[tuple[str, str, str]] = []


class _Header(msgspec.Struct):
    schema: int


def scope_name(scope: Scope) -> str:
    """Name a scope the same in every version of its API."""
    return f"{scope.resource.name}/{scope.namespace}"


def counters_of(state: ClusterState) -> dict[str, Counters]:
    """Name the counters that a checkpoint holds."""
    failures = state.ledger.failures
    return {
        "events": state.violation_events.total,
        "opened": failures.opened,
        "closed": failures.closed,
    }


def encode_report(contribution: Contribution | None) -> bytes:
    """Encode since when what fails in a report; empty bytes when nothing does."""
    known = remember(contribution)
    if not known:
        return b""
    return msgspec.json.encode([(*i, since, group[2]) for i, (since, group) in known.items()])


class EncodedFailures:
    """Open failures by namespace and report, in JSON.

    A namespace is a list of leaves, each an object of neighbouring reports, so a report that
    changes costs the same in a namespace of any size.
    """

    def __init__(self, failures: Mapping[str, msgspec.Raw] = MappingProxyType({})) -> None:
        self._leaves: dict[str, list[bytes]] = {}
        self._firsts: dict[str, list[str]] = {}
        for namespace, raw in failures.items():
            reports = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            self.put(namespace, {name: bytes(rows) for name, rows in reports.items()})

    def put(self, namespace: str, reports: Mapping[str, bytes]) -> None:
        """Replace reports of a namespace; those without bytes are removed."""
        leaves = self._leaves.setdefault(namespace, [])
        firsts = self._firsts.setdefault(namespace, [])
        concerned: dict[int, list[str]] = {}
        for name in reports:
            concerned.setdefault(max(bisect_right(firsts, name) - 1, 0), []).append(name)
        for at in sorted(concerned, reverse=True):
            held = msgspec.json.decode(leaves[at], type=dict[str, msgspec.Raw]) if leaves else {}
            for name in concerned[at]:
                held.pop(name, None)
                if reports[name]:
                    held[name] = msgspec.Raw(reports[name])
            names = sorted(held)
            size = len(names) if len(names) <= 2 * LEAF_REPORTS else LEAF_REPORTS
            cut = [names[i : i + size] for i in range(0, len(names), size or 1)]
            firsts[at : at + 1] = [part[0] for part in cut]
            leaves[at : at + 1] = [msgspec.json.encode({n: held[n] for n in part}) for part in cut]
        if not leaves:
            del self._leaves[namespace], self._firsts[namespace]

    def joined(self) -> dict[str, msgspec.Raw]:
        """Give one object of reports for each namespace."""
        return {
            namespace: msgspec.Raw(b"{%b}" % b",".join([leaf[1:-1] for leaf in leaves]))
            for namespace, leaves in self._leaves.items()
        }


def encode(checkpoint: Checkpoint) -> bytes:
    """Encode a checkpoint; its last field is the SHA-256 of the document without that field."""
    body = msgspec.json.encode(checkpoint)
    return body[:-1] + _CHECKSUM % _digest(body) + b"}"


def decode(body: bytes) -> Checkpoint:
    """Read a checkpoint. One without a checksum is of a version that wrote none.

    Raises:
        StateError: it is damaged, or a newer version of this program wrote it.
    """
    body = body.rstrip()
    at = -len(_CHECKSUM % bytes(64)) - 1
    before, field = body[:at] + b"}", body[at:-1]
    if field.startswith(_CHECKSUM[:13]):
        if field != _CHECKSUM % _digest(before):
            raise StateError("damaged: its checksum is not that of its content")
        body = before
    try:
        schema = msgspec.json.decode(body, type=_Header).schema
        if schema != SCHEMA:
            raise StateError(f"schema {schema} is not known here, expected {SCHEMA}")
        return msgspec.json.decode(body, type=Checkpoint)
    except _BROKEN as error:
        raise StateError(f"not a checkpoint: {error}") from error


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def restore(
    state: ClusterState, checkpoint: Checkpoint, scopes: list[Scope], choice: CountingFilters
) -> dict[str, dict[Labels, int]]:
    """Put a checkpoint's numbers into a state that has seen nothing yet.

    Returned are the counts that *choice* leaves out: to be kept, for when it no longer does.
    Failures that it leaves out, or that the checkpoint's own choice did, are not known.

    Raises:
        StateError: a part of it is broken; the state is as it was.
    """
    former = checkpoint.choice or choice
    judges = (choice.judge(), *([former.judge()] if former != choice else ()))
    try:
        memory = _memory(checkpoint)
    except _BROKEN as error:
        raise StateError(f"not a checkpoint: failures: {error}") from error
    for name, width in _WIDTHS.items():
        if any(len(labels) != width for labels, _ in checkpoint.counters.get(name, ())):
            raise StateError(f"not a checkpoint: counters.{name}: expected {width} labels")
    aside = _restore_counters(state, checkpoint, judges[0])
    known = set(checkpoint.scopes)
    state.ledger.memory = _chosen(memory, judges)
    state.ledger.counting.update(s for s in scopes if scope_name(s) in known)
    if former != choice:
        state.ledger.failures.watched = judges[-1].failure
        # What was left out is not to be kept for ever: it is encoded again.
        for place in memory:
            state.ledger.failures.touch(place)
    state.violation_events.seen_deleted.update(checkpoint.repeated)
    state.violation_events.overruled.update(checkpoint.overruled)
    for scope in scopes:
        if version := version_number(checkpoint.versions.get(scope_name(scope), "")):
            state.violation_events.watermarks[scope] = version
    return aside


def judgement(judge: CompiledFilters, name: str) -> Callable[[Labels], bool]:
    """Give the function that decides whether a row of a counter counts."""
    return judge.occurrence if name == "events" else judge.transition


def _restore_counters(
    state: ClusterState, checkpoint: Checkpoint, judge: CompiledFilters
) -> dict[str, dict[Labels, int]]:
    aside: dict[str, dict[Labels, int]] = {}
    for name, counters in counters_of(state).items():
        counts = judgement(judge, name)
        rows = dict(checkpoint.counters.get(name, ()))
        aside[name] = {labels: n for labels, n in rows.items() if not counts(labels)}
        rows = {labels: n for labels, n in rows.items() if labels not in aside[name]}
        counters.restore(rows, rows.keys() & set(checkpoint.unborn.get(name, ())))
    return aside


def _chosen(
    memory: dict[ReportKey, Remembered], judges: tuple[CompiledFilters, ...]
) -> dict[ReportKey, Remembered]:
    chosen: dict[ReportKey, Remembered] = {}
    for place, known in memory.items():
        left = {i: k for i, k in known.items() if all(judge.failure(i, k[1]) for judge in judges)}
        if left:
            chosen[place] = left
    return chosen


def _memory(checkpoint: Checkpoint) -> dict[ReportKey, Remembered]:
    memory: dict[ReportKey, Remembered] = {}
    for namespace, raw in checkpoint.failures.items():
        for name, rows in msgspec.json.decode(raw, type=dict[str, list[Failing]]).items():
            memory[ReportKey(namespace, name)] = dict(map(_remembered, rows, repeat(namespace)))
    return memory


def _remembered(row: Failing, namespace: str) -> tuple[Identity, tuple[int, Labels]]:
    """Read a failure; its source as Kyverno spells it now."""
    kind, name, policy, rule, source, since, severity = row
    source = source_of(policy, rule, source)
    group = (namespace, policy, severity, source)
    return Identity(kind, name, policy, rule, source), (since, group)
