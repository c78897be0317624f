"""Open failures in a compact form: for each a hash, its start, and what its counters are."""

from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice
from operator import attrgetter
from struct import Struct, iter_unpack
from typing import Annotated, Final, NamedTuple

import msgspec

from exporter.alerting.shares import Shares
from exporter.model.report import source_of
from exporter.state.contribution import Contribution
from exporter.state.failures import Identity, remember
from exporter.state.memory import hash_of
from exporter.state.report_store import ReportKey

_RECORD: Final = Struct("<QII")
_PORTION: Final = 5_000
_LATEST_SECONDS: Final = 2**32 - 1
"""The last instant that four bytes hold, in 2106."""


Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]
"""Unix seconds; the year 36812 is damage."""

Failing = tuple[str, str, str, str, str, Seconds, str]
"""kind, name, policy, rule, source, since, severity: a failure in schema 1."""

FailuresOfSchema1 = dict[str, dict[str, list[Failing]]]
"""Failures by namespace and report."""


class FailureGroup(NamedTuple):
    """What failures have in common: the kind of the resource, and the labels of counters."""

    kind: str
    namespace: str
    policy: str
    severity: str
    source: str


class KnownFailure(NamedTuple):
    """One failure of a checkpoint; *since* is in Unix seconds."""

    hash: int
    since: int
    group: FailureGroup


class FailureColumns(msgspec.Struct, frozen=True):
    """Open failures in columns, little-endian: they compress better than rows.

    ``hashes`` has 8 bytes for each failure, ``starts`` (Unix seconds) and ``members`` (its place
    in ``groups``) 4. ``cut`` counts, by namespace, the failures that were left out.
    """

    groups: list[FailureGroup] = []
    hashes: bytes = b""
    starts: bytes = b""
    members: bytes = b""
    cut: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.hashes) // 8

    def rows(self) -> Iterator[KnownFailure]:
        """Iterate over the failures.

        Raises:
            ValueError: the columns do not fit together.
        """
        hashes, starts, members = (
            [value for (value,) in _unpacked(code, column)]
            for code, column in (("<Q", self.hashes), ("<I", self.starts), ("<I", self.members))
        )
        if max(members, default=-1) >= len(self.groups):
            raise ValueError("failures: a member of an unknown group")
        for each, since, member in zip(hashes, starts, members, strict=True):
            yield KnownFailure(each, since, self.groups[member])


def _unpacked(code: str, column: bytes) -> Iterator[tuple[int]]:
    width = Struct(code).size
    if len(column) % width:
        raise ValueError(f"failures: {len(column)} bytes in a column of {width}-byte numbers")
    return iter_unpack(code, column)


def columns_of(rows: Iterable[KnownFailure]) -> FailureColumns:
    """Make columns of single failures."""
    index: dict[FailureGroup, int] = {}
    records = [
        _RECORD.pack(each, min(since, _LATEST_SECONDS), index.setdefault(group, len(index)))
        for each, since, group in rows
    ]
    return _columns(b"".join(records), list(index))


def columns_of_schema_1(failures: FailuresOfSchema1) -> FailureColumns:
    """Make columns of the failures in a checkpoint of schema 1."""
    known: list[KnownFailure] = []
    for namespace, reports in failures.items():
        for report, rows in reports.items():
            place = ReportKey(namespace, report)
            for kind, name, policy, rule, spelled, since, severity in rows:
                source = source_of(policy, rule, spelled)  # Kyverno spells some differently now
                hashed = hash_of(place, Identity(kind, name, policy, rule, source))
                group = FailureGroup(kind, namespace, policy, severity, source)
                known.append(KnownFailure(hashed, since, group))
    return columns_of(known)


def cut_to(columns: FailureColumns, most: int) -> FailureColumns:
    """Keep at most *most* failures, in fair shares by namespace, of each the oldest ones."""
    shares = Shares[KnownFailure](most)
    left_out = Counter(columns.cut)
    for row in _oldest_first(columns.rows()):
        if not shares.offer(row.group.namespace, row):
            left_out[row.group.namespace] += 1
    kept, rest = shares.split()
    left_out.update(row.group.namespace for row in rest)
    return msgspec.structs.replace(columns_of(kept), cut=dict(left_out))


def _oldest_first(rows: Iterator[KnownFailure]) -> Iterator[KnownFailure]:
    """Sort in portions: sorting a long list at once would stop the event loop for as long."""
    portions: list[list[KnownFailure]] = []
    while portion := list(islice(rows, _PORTION)):
        portion.sort(key=attrgetter("since"))
        portions.append(portion)
    return merge(*portions, key=attrgetter("since"))


class PackedFailures:
    """Open failures by namespace and report, 16 bytes each.

    A report that changes costs the same in a cluster of any size. Invariant: ``_uses`` counts the
    records of each group; a number that is no longer used is given to the next new group.
    """

    def __init__(self) -> None:
        self._reports: dict[str, dict[str, bytes]] = {}
        self._numbers: dict[FailureGroup, int] = {}
        self._groups: list[FailureGroup] = []
        self._uses: list[int] = []
        self._unused: list[int] = []

    def put(self, place: ReportKey, contribution: Contribution | None) -> None:
        """Replace the failures of a report; None or a report without failures removes them."""
        namespace, name = place
        records = [
            _RECORD.pack(
                hash_of(place, identity),
                min(since, _LATEST_SECONDS),
                self._use(FailureGroup(identity.kind, *labels)),
            )
            for identity, (since, labels) in remember(contribution).items()
        ]
        names = self._reports.get(namespace)
        former = b"" if names is None else names.pop(name, b"")
        if records:
            names = self._reports.setdefault(namespace, {})
            names[name] = b"".join(records)
        elif names is not None and not names:
            del self._reports[namespace]
        for _, _, number in _RECORD.iter_unpack(former):
            self._release(number)

    def columns(self) -> FailureColumns:
        """Return all of them in columns."""
        reports = [b"".join(names.values()) for names in self._reports.values()]
        return _columns(b"".join(reports), self._groups.copy())

    def _use(self, group: FailureGroup) -> int:
        number = self._numbers.get(group)
        if number is None:
            if self._unused:
                number = self._unused.pop()
                self._groups[number] = group
            else:
                number = len(self._groups)
                self._groups.append(group)
                self._uses.append(0)
            self._numbers[group] = number
        self._uses[number] += 1
        return number

    def _release(self, number: int) -> None:
        self._uses[number] -= 1
        if not self._uses[number]:
            del self._numbers[self._groups[number]]
            self._groups[number] = FailureGroup("", "", "", "", "")
            self._unused.append(number)


def _columns(records: bytes, groups: list[FailureGroup]) -> FailureColumns:
    eights = memoryview(records).cast("Q")
    fours = memoryview(records).cast("I")
    return FailureColumns(
        groups=groups,
        hashes=eights[::2].tobytes(),
        starts=fours[2::4].tobytes(),
        members=fours[3::4].tobytes(),
    )
