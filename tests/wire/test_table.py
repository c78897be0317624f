"""Reports read from Tables: the same summaries, a fraction of the bytes."""

from typing import Any

import msgspec
import pytest

from exporter.errors import Malformed
from exporter.model.report import Reference, Report, Summary
from exporter.model.resource import POLICY_REPORTS
from exporter.wire.table import TableCodec

COLUMNS = ("Name", "Kind", "Name", "Pass", "Fail", "Warn", "Error", "Skip", "Age")


def table(*rows: tuple[Any, ...], columns: tuple[str, ...] | None = COLUMNS) -> dict[str, Any]:
    return {
        "kind": "Table",
        "metadata": {"resourceVersion": "9", "continue": "more"},
        "columnDefinitions": [{"name": c, "type": "string"} for c in columns] if columns else None,
        "rows": [
            {
                "cells": list(row),
                "object": {
                    "kind": "PartialObjectMetadata",
                    "metadata": {
                        "name": row[0],
                        "namespace": "n",
                        "resourceVersion": "5",
                        "ownerReferences": [{"kind": row[1], "name": row[2], "uid": row[0]}],
                    },
                },
            }
            for row in rows
        ],
    }


ROW = ("u1", "Pod", "web", 7, 1, 0, 0, 2, "5m")


def test_a_page_of_rows() -> None:
    page = TableCodec(POLICY_REPORTS).page(msgspec.json.encode(table(ROW)))
    [report] = page.objects
    assert isinstance(report, Report)
    assert report.summary == Summary(7, 1, 0, 0, 2)
    assert report.scope == Reference("Pod", "web", "n", "u1")
    assert (page.cont, page.version, report.version) == ("more", "9", "5")


def test_later_lines_of_a_watch_have_no_columns() -> None:
    codec = TableCodec(POLICY_REPORTS)
    codec.line(msgspec.json.encode({"type": "ADDED", "object": table(ROW)}))
    line = codec.line(msgspec.json.encode({"type": "MODIFIED", "object": table(ROW, columns=None)}))
    assert isinstance(line.object, Report)
    assert line.object.summary == Summary(7, 1, 0, 0, 2)


def test_a_bookmark_is_a_table_too() -> None:
    bookmark = table(("", "", "", 0, 0, 0, 0, 0, ""))
    bookmark["rows"][0]["object"]["metadata"] = {
        "resourceVersion": "5",
        "annotations": {"k8s.io/initial-events-end": "true"},
    }
    line = TableCodec(POLICY_REPORTS).line(
        msgspec.json.encode({"type": "BOOKMARK", "object": bookmark})
    )
    assert (line.type, line.version, line.initial_end) == ("BOOKMARK", "5", True)


def test_columns_are_learned_from_a_bookmark_that_comes_first() -> None:
    codec = TableCodec(POLICY_REPORTS)
    bookmark = table(("", "", "", 0, 0, 0, 0, 0, ""))
    codec.line(msgspec.json.encode({"type": "BOOKMARK", "object": bookmark}))
    line = codec.line(msgspec.json.encode({"type": "ADDED", "object": table(ROW, columns=None)}))
    assert isinstance(line.object, Report)
    assert line.object.summary == Summary(7, 1, 0, 0, 2)


def test_an_error_line_is_a_status() -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}
    line = TableCodec(POLICY_REPORTS).line(msgspec.json.encode({"type": "ERROR", "object": status}))
    assert line.status is not None
    assert line.status.code == 410


def test_a_crd_without_the_columns_is_named() -> None:
    body = msgspec.json.encode(table(("u1", "5m", ""), columns=("Name", "Age")))
    with pytest.raises(Malformed, match="columns Pass, Fail, Warn, Error, Skip are missing"):
        TableCodec(POLICY_REPORTS).page(body)


def test_an_empty_cluster_has_no_rows() -> None:
    assert TableCodec(POLICY_REPORTS).page(msgspec.json.encode(table())).objects == []


def test_cells_out_of_range_count_nothing() -> None:
    row = ("u1", "Pod", "web", -1, "x", None, 2**60, 3, "5m")
    [report] = TableCodec(POLICY_REPORTS).page(msgspec.json.encode(table(row))).objects
    assert isinstance(report, Report)
    assert report.summary == Summary(0, 0, 0, 0, 3)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"rows":3}', b'{"metadata":{},"rows":[7]}'])
def test_what_is_no_table_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed, match=r"policyreports"):
        TableCodec(POLICY_REPORTS).page(body)


def test_a_line_that_is_none_of_a_table_is_malformed() -> None:
    with pytest.raises(Malformed):
        TableCodec(POLICY_REPORTS).line(b'{"type":"ADDED","object":{"rows":[7]}}')
