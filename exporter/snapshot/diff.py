"""What changed between two snapshots: failing results that are new, fixed, or in both."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from exporter.errors import ConfigError, explain
from exporter.snapshot.document import (
    SCHEMA,
    Comparison,
    SnapshotDocument,
    SnapshotScope,
)
from exporter.view.failing import order
from exporter.view.values import FailingResult

_EXPECTED: Final = "expected what snapshot --output json prints"


class FailureIdentity(NamedTuple):
    """What stays the same while a resource keeps failing a rule."""

    namespace: str
    kind: str
    name: str
    policy: str
    rule: str
    source: str


class _Head(msgspec.Struct):
    schema: int = 0
    version: str = ""


def read_snapshot(name: str) -> SnapshotDocument:
    """Read a snapshot that was written as JSON.

    Raises:
        ConfigError: the file cannot be read, or is not such a snapshot.
    """
    try:
        body = Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from error
    try:
        head = msgspec.json.decode(body, type=_Head)
        if head.schema != SCHEMA:
            found = f"schema {head.schema}" if head.schema else "no schema"
            raise ConfigError(f"{name}: {_EXPECTED} with schema {SCHEMA}, found {found}")
        return msgspec.json.decode(body, type=SnapshotDocument)
    except msgspec.MsgspecError as error:
        raise ConfigError(explain(f"{name}: {_EXPECTED}", error)) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{name}: {_EXPECTED}: it is not JSON") from error


def compared(name: str, baseline: SnapshotDocument, made: SnapshotDocument) -> SnapshotDocument:
    """Add to a snapshot what changed since its baseline, which *name* names in errors.

    Raises:
        ConfigError: they are of two clusters or two scopes, or one has only summaries.
    """
    for complaint in _differences(baseline, made):
        raise ConfigError(f"{name}: cannot be compared: {complaint}")
    change = _changes(baseline.comparable or [], made.comparable or [])
    made.comparison = Comparison(
        baseline_time=baseline.time,
        baseline_compliance=baseline.compliance,
        baseline_problems=baseline.problems,
        new=change.new,
        fixed=change.fixed,
        still=change.still,
    )
    return made


class _Changes(NamedTuple):
    new: list[FailingResult]
    fixed: list[FailingResult]
    still: int


def _changes(before: Iterable[FailingResult], after: Iterable[FailingResult]) -> _Changes:
    """Pair the results of two snapshots.

    What could not be evaluated is not known to have failed: a failure after an error is new. An
    error after a failure fixes nothing.
    """
    former: dict[FailureIdentity, dict[str, list[FailingResult]]] = {}
    for row in before:
        former.setdefault(identity_of(row), {}).setdefault(row.result, []).append(row)
    new, still = [], 0
    for row in after:
        rows = former.get(identity_of(row), {})
        words = ("fail",) if row.result == "fail" else ("error", "fail")
        same = next((rows[word] for word in words if rows.get(word)), None)
        if same is None:
            new.append(row)
            same = rows.get("error")
        else:
            still += 1
        if same:
            same.pop()
    left = [row for rows in former.values() for same in rows.values() for row in same]
    return _Changes(new, sorted(left, key=order), still)


def identity_of(row: FailingResult) -> FailureIdentity:
    """Name what a failing result is about, whatever it was found to be."""
    return FailureIdentity(row.namespace, row.kind, row.name, row.policy, row.rule, row.source)


def _differences(baseline: SnapshotDocument, made: SnapshotDocument) -> Iterator[str]:
    """Return why two snapshots cannot be compared."""
    if baseline.comparable is None or made.comparable is None:
        yield "only summaries were read (reports.detail: summary), which name no failing result"
    if baseline.cluster_uid and made.cluster_uid:
        if baseline.cluster_uid != made.cluster_uid:
            uids = f"the uids of kube-system are {baseline.cluster_uid} and {made.cluster_uid}"
            yield f"it is from cluster {baseline.cluster!r}, not from {made.cluster!r}: {uids}"
    elif baseline.cluster != made.cluster:
        yield (
            f"it is from cluster {baseline.cluster!r}, not from {made.cluster!r}; "
            "for files, set the name with --cluster"
        )
    for name in SnapshotScope.__struct_fields__:
        one, other = getattr(baseline.scope, name), getattr(made.scope, name)
        if one != other:
            yield f"it was written with other {name}: {_spelled(one)}, not {_spelled(other)}"


def _spelled(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "all"
    if isinstance(value, msgspec.Struct):
        return msgspec.json.encode(value).decode()
    return str(value) or "none"
