"""What a restart must not lose, and how it is taken out of the state and put back."""

import hashlib
import zlib
from collections.abc import Callable
from typing import Annotated, Final, NamedTuple

import msgspec

from exporter.checkpoint.failures import (
    FailureColumns,
    FailureGroup,
    FailuresOfSchema1,
    columns_of_schema_1,
    cut_to,
)
from exporter.checkpoint.filters import CompiledFilters, CountingFilters
from exporter.errors import StateError
from exporter.model.changes import Scope
from exporter.model.metadata import version_number
from exporter.state.cluster import ClusterState
from exporter.state.memory import FailureMemory
from exporter.state.tally import Counters, Labels

SCHEMA: Final = 2
EVENT_LIFETIME_SECONDS: Final = 3600.0
"""How long the API server keeps Events by default (--event-ttl)."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Version = Annotated[str, msgspec.Meta(max_length=64)]
Row = tuple[Labels, Count]
MAX_BYTES: Final = 2**29
"""What a compressed checkpoint may expand to."""

COUNTERS_SHARE: Final = 2 / 3
_SPARE: Final = 0.97
_GZIP: Final = 31
_GZIP_MAGIC: Final = b"\x1f\x8b"
_CHECKSUM: Final = b',"checksum":"%b"'
_WIDTHS: Final = {"events": 9, "opened": 4, "closed": 4}
# Python reads no number of more than 4,300 digits, which is a ValueError of its own.
_BROKEN: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class Checkpoint(msgspec.Struct, frozen=True):
    """A moment of everything that only this program knows.

    ``versions`` is, by scope, the resourceVersion up to which Events are counted; ``scopes`` are
    those whose first list had ended, so that what differs from ``failures`` later is news.
    ``unborn`` are the rows of ``counters`` that were not shown at 0 for long enough yet.
    ``choice`` has the filters and limits when ``failures`` were taken; None in a checkpoint of a
    version that did not store them: then they count as unchanged. ``overruled`` are the Events that
    claim a block and were counted as allowed. ``counters_cut`` is how many rows of counters were
    left out because the ConfigMap is too small. ``journal`` has lines of the journal that are
    counted here and possibly not written yet.
    """

    schema: int
    cluster: str
    saved_at: Annotated[float, msgspec.Meta(ge=0, lt=2**40)]
    versions: dict[str, Version]
    scopes: list[str]
    counters: dict[str, list[Row]]
    repeated: list[tuple[tuple[str, str, str], Count]]
    failures: FailureColumns
    unborn: dict[str, list[Labels]] = {}
    choice: CountingFilters | None = None
    overruled: list[tuple[str, str, str]] = []
    counters_cut: int = 0
    journal: list[msgspec.Raw] = []


class CheckpointOfSchema1(msgspec.Struct, frozen=True):
    """A checkpoint as 0.1.0 wrote it: ``failures`` by namespace and report."""

    cluster: str
    saved_at: Annotated[float, msgspec.Meta(ge=0, lt=2**40)]
    versions: dict[str, Version]
    scopes: list[str]
    counters: dict[str, list[Row]]
    repeated: list[tuple[tuple[str, str, str], Count]]
    failures: FailuresOfSchema1
    unborn: dict[str, list[Labels]] = {}
    choice: CountingFilters | None = None
    overruled: list[tuple[str, str, str]] = []

    def converted(self) -> Checkpoint:
        """Return it in the present schema."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return Checkpoint(
            **fields | {"schema": SCHEMA, "failures": columns_of_schema_1(self.failures)}
        )


class Fitted(NamedTuple):
    """A checkpoint that is small enough, and its bytes."""

    checkpoint: Checkpoint
    content: bytes


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


def encode(checkpoint: Checkpoint) -> bytes:
    """Encode a checkpoint; its last field is the SHA-256 of the document without that field."""
    body = msgspec.json.encode(checkpoint)
    return body[:-1] + _CHECKSUM % _digest(body) + b"}"


def compress(body: bytes) -> bytes:
    """Compress an encoded checkpoint."""
    return zlib.compress(body, 6, _GZIP)


def _decompressed(body: bytes) -> bytes:
    if not body.startswith(_GZIP_MAGIC):
        return body
    reader = zlib.decompressobj(_GZIP)
    try:
        found = reader.decompress(body, MAX_BYTES)
    except zlib.error as error:
        raise StateError(f"damaged: {error}") from error
    if not reader.eof:
        raise StateError(f"damaged: cut off, or larger than {MAX_BYTES} bytes")
    return found


def decode(body: bytes) -> Checkpoint:
    """Read a checkpoint, compressed or not. One without a checksum is of a version that wrote none.

    Raises:
        StateError: it is damaged, or a newer version of this program wrote it.
    """
    body = _decompressed(body).rstrip()
    at = -len(_CHECKSUM % bytes(64)) - 1
    before, field = body[:at] + b"}", body[at:-1]
    if field.startswith(_CHECKSUM[:13]):
        if field != _CHECKSUM % _digest(before):
            raise StateError("damaged: the checksum does not match the content")
        body = before
    try:
        schema = msgspec.json.decode(body, type=_Header).schema
        if schema == 1:
            return msgspec.json.decode(body, type=CheckpointOfSchema1).converted()
        if schema != SCHEMA:
            raise StateError(f"unknown schema {schema}, expected {SCHEMA} or 1")
        return msgspec.json.decode(body, type=Checkpoint)
    except _BROKEN as error:
        raise StateError(f"not a checkpoint: {error}") from error


def fit(checkpoint: Checkpoint, limit_bytes: int) -> Fitted:
    """Compress a checkpoint, and leave out of it what does not fit.

    Counters come first, up to two thirds of the room, those with the largest values; then the
    oldest failures, in fair shares by namespace. Lines of the journal, which are written at once,
    are left out before anything else.
    """
    content = compress(encode(checkpoint))
    if len(content) <= limit_bytes:
        return Fitted(checkpoint, content)
    if lines := checkpoint.journal:
        fewer = msgspec.structs.replace(checkpoint, journal=lines[: len(lines) // 2])
        return fit(fewer, limit_bytes)
    bare = msgspec.structs.replace(checkpoint, failures=cut_to(checkpoint.failures, 0))
    room = int(limit_bytes * COUNTERS_SHARE)
    while (size := len(compress(encode(bare)))) > room:
        bare = _fewer_counters(bare, room / size * _SPARE)
    size_of_one = (len(content) - size) / max(len(checkpoint.failures), 1)
    most = int((limit_bytes - size) / max(size_of_one, 1))
    while True:
        failures = cut_to(checkpoint.failures, most)
        fitted = msgspec.structs.replace(bare, failures=failures)
        content = compress(encode(fitted))
        if len(content) <= limit_bytes or not most:
            return Fitted(fitted, content)
        most = int(most * min(limit_bytes / len(content) * _SPARE, _SPARE))


def _fewer_counters(checkpoint: Checkpoint, share: float) -> Checkpoint:
    rows: list[tuple[str, Row]] = sorted(
        ((name, row) for name, each in checkpoint.counters.items() for row in each),
        key=lambda item: -item[1][1],
    )
    kept: dict[str, list[Row]] = {name: [] for name in checkpoint.counters}
    most = int(len(rows) * share)
    for name, row in rows[:most]:
        kept[name].append(row)
    cut = checkpoint.counters_cut + len(rows) - most
    return msgspec.structs.replace(checkpoint, counters=kept, counters_cut=cut)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def restore(
    state: ClusterState,
    checkpoint: Checkpoint,
    scopes: list[Scope],
    choice: CountingFilters,
    memory: FailureMemory | None = None,
) -> dict[str, dict[Labels, int]]:
    """Put a checkpoint's numbers into a state that has seen nothing yet.

    Returned are the counts that *choice* leaves out: to be kept, for when it no longer does.
    Failures that it leaves out, or that the checkpoint's own choice did, are not known. *memory*
    has the others, if that was read before.

    Raises:
        StateError: a part of it is broken; the state is as it was.
    """
    memory = memory or memory_of(checkpoint, choice)
    for name, width in _WIDTHS.items():
        if any(len(labels) != width for labels, _ in checkpoint.counters.get(name, ())):
            raise StateError(f"not a checkpoint: counters.{name}: expected {width} labels")
    aside = restore_counters(state, checkpoint, choice)
    known = set(checkpoint.scopes)
    state.ledger.restore.memory = memory
    state.ledger.counting.update(s for s in scopes if scope_name(s) in known)
    state.violation_events.seen_deleted.update(checkpoint.repeated)
    state.violation_events.overruled.update(checkpoint.overruled)
    for scope in scopes:
        if version := version_number(checkpoint.versions.get(scope_name(scope), "")):
            state.violation_events.watermarks[scope] = version
    return aside


def judgement(judge: CompiledFilters, name: str) -> Callable[[Labels], bool]:
    """Give the function that decides whether a row of a counter counts."""
    return judge.occurrence if name == "events" else judge.transition


def restore_counters(
    state: ClusterState, checkpoint: Checkpoint, choice: CountingFilters
) -> dict[str, dict[Labels, int]]:
    """Set the counters to those of a checkpoint; return the counts that *choice* leaves out."""
    judge = choice.judge()
    aside: dict[str, dict[Labels, int]] = {}
    for name, counters in counters_of(state).items():
        rows, aside[name] = chosen_rows(checkpoint, name, judge)
        counters.restore(rows, rows.keys() & set(checkpoint.unborn.get(name, ())))
    return aside


def chosen_rows(
    checkpoint: Checkpoint, name: str, judge: CompiledFilters
) -> tuple[dict[Labels, int], dict[Labels, int]]:
    """Return the rows of a counter that *judge* lets count, and the others."""
    counts = judgement(judge, name)
    rows = dict(checkpoint.counters.get(name, ()))
    aside = {labels: n for labels, n in rows.items() if not counts(labels)}
    return {labels: n for labels, n in rows.items() if labels not in aside}, aside


def memory_of(checkpoint: Checkpoint, choice: CountingFilters) -> FailureMemory:
    """Return the failures of a checkpoint that *choice*, and that of the checkpoint, let count.

    They are not comparable with those of the present reports where *choice* has other limits.

    Raises:
        StateError: they are broken.
    """
    former = checkpoint.choice or choice
    judges = (choice.judge(), *([former.judge()] if former != choice else ()))
    allowed: dict[FailureGroup, Labels | None] = {}
    for group in checkpoint.failures.groups:
        labels = Labels(group[1:])
        counts = all(judge.group(group.kind, labels) for judge in judges)
        allowed[group] = labels if counts else None
    known: dict[int, tuple[int, Labels]] = {}
    try:
        for row in checkpoint.failures.rows():
            if counted := allowed[row.group]:
                known[row.hash] = (row.since, counted)
    except _BROKEN as error:
        raise StateError(f"not a checkpoint: {error}") from error
    comparable = checkpoint.choice is None or checkpoint.choice.limits == choice.limits
    watched = judges[1].failure if len(judges) > 1 else None
    cut = checkpoint.failures.cut.keys()
    return FailureMemory(known, cut, comparable=comparable, watched=watched)
