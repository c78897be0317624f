"""Reports as the API server's Table shows them: a row of counts instead of all results.

A row is a few hundred bytes where a report is seven thousand, and Kyverno's CRDs have the columns
(Kind, Name, Pass, Fail, Warn, Error, Skip). There is nothing in it about policies.
"""

from collections.abc import Generator, Sequence
from typing import Final

import msgspec

from exporter.errors import Malformed, explain
from exporter.model.metadata import ManagedField, Metadata, unix_seconds
from exporter.model.report import Piece, Reference, Report, ResultSet, Summary
from exporter.model.resource import Resource
from exporter.wire.codec import (
    BROKEN,
    INITIAL_END,
    Codec,
    ListMetadata,
    ListPage,
    PageTurns,
    WatchLine,
)
from exporter.wire.result_cache import ResultCache, UsedLabels, WireReport

ACCEPT: Final = "application/json;as=Table;g=meta.k8s.io;v=v1"
_COUNTS: Final = ("Pass", "Fail", "Warn", "Error", "Skip")
Cell = int | float | str | bool | None


class _Owner(msgspec.Struct, gc=False):
    uid: str = ""


class _RowMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    name: str = ""  # a bookmark has none
    labels: UsedLabels | None = None
    managed_fields: list[ManagedField] | None = None
    owner_references: list[_Owner] | None = None
    annotations: dict[str, str] | None = None


class _Object(msgspec.Struct, gc=False):
    metadata: _RowMetadata


class _Row(msgspec.Struct, gc=False):
    cells: list[Cell]
    object: _Object


class _Column(msgspec.Struct, gc=False):
    name: str


class _Table(msgspec.Struct, gc=False, rename="camel"):
    metadata: ListMetadata = ListMetadata()
    column_definitions: list[_Column] | None = None
    rows: list[_Row] | None = None


class _Line(msgspec.Struct, gc=False):
    type: str
    object: _Table


_page = msgspec.json.Decoder(_Table).decode
_line = msgspec.json.Decoder(_Line).decode


class TableCodec(Codec):
    """Reads Tables of reports. Only the first Table of a stream has the columns."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource, WireReport, ResultCache().report)
        self._name = resource.name
        self._columns: dict[str, int] = {}
        self._no_results = ResultSet((), ())

    def page_in_turns(self, body: bytes) -> PageTurns:
        """Decode a page of rows, which are short.

        Raises:
            Malformed: it is no Table, or the CRD does not have the columns.
        """
        try:
            table = _page(body)
        except BROKEN as error:
            raise Malformed(explain(f"table of {self._name}", error)) from error
        yield
        self._learn(table)
        rows = table.rows or []
        reports = [self._report(row) for row in rows]
        return ListPage(reports, [], table.metadata.cont, table.metadata.version)

    def line_in_turns(self, body: bytes) -> Generator[None, None, WatchLine]:
        """Decode a watch line; a row is short, so there is no turn."""
        yield from ()
        return self.line(body)

    def line(self, body: bytes) -> WatchLine:
        """Decode a watch line.

        Raises:
            Malformed: the line is no Table's.
        """
        try:
            line = _line(body)
        except BROKEN:
            return super().line(body)
        if line.type == "ERROR" or not line.object.rows:
            return super().line(body)
        self._learn(line.object)
        row = line.object.rows[0]
        metadata = row.object.metadata
        if line.type == "BOOKMARK":
            ended = (metadata.annotations or {}).get(INITIAL_END) == "true"
            return WatchLine("BOOKMARK", None, metadata.resource_version, ended, None)
        return WatchLine(line.type, self._report(row), metadata.resource_version, False, None)

    def _learn(self, table: _Table) -> None:
        """Find the columns by name; the resource's name is the second one that is called Name."""
        names = [column.name for column in table.column_definitions or ()]
        if names:
            self._columns = {name: at for at, name in enumerate(names) if at}
        missing = [name for name in _COUNTS if name not in self._columns]
        if missing and (names or table.rows):
            raise Malformed(
                f"table of {self._name}: columns {', '.join(missing)} are missing; "
                "reports.detail: summary needs CRDs that print them"
            )

    def _report(self, row: _Row) -> Report:
        metadata = row.object.metadata
        owners = metadata.owner_references or [_Owner()]
        kind, name = self._cell(row.cells, "Kind"), self._cell(row.cells, "Name")
        scope = Reference(str(kind or ""), str(name or ""), metadata.namespace, owners[0].uid)
        counts = [self._number(row, word) for word in _COUNTS]
        source = metadata.labels.source if metadata.labels else ""
        written = max((field.time for field in metadata.managed_fields or ()), default="")
        piece = Piece(scope, self._no_results, unix_seconds(written))
        about = scope if scope.kind else None
        return Report(metadata, Summary(*counts), source, about, (piece,) if about else ())

    def _number(self, row: _Row, word: str) -> int:
        value = self._cell(row.cells, word)
        if isinstance(value, int) and 0 <= value <= 2**53:
            return value
        return 0

    def _cell(self, cells: Sequence[Cell], column: str) -> Cell:
        at = self._columns.get(column, len(cells))
        return cells[at] if at < len(cells) else None
