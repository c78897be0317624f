"""Pages and lines: decoded at once, or object by object, and never more lost than is broken."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import Malformed
from exporter.model.policy import Policy
from exporter.model.report import Report
from exporter.model.resource import (
    CEL_POLICIES,
    CLUSTER_POLICIES,
    EVENTS,
    NAMESPACES,
    POLICY_REPORTS,
)
from exporter.wire.codec import codec_for

REPORTS = codec_for(POLICY_REPORTS)


def report(name: str, **more: Any) -> dict[str, Any]:
    results = [{"policy": "p", "result": "pass", "properties": {"process": "background scan"}}]
    return {
        "metadata": {"name": name, "namespace": "n", "managedFields": [{}]},
        "results": results,
    } | more


def page(*items: object, cont: str = "") -> bytes:
    metadata = {"resourceVersion": "7", "continue": cont}
    return msgspec.json.encode({"kind": "List", "metadata": metadata, "items": items})


def line(kind: str, item: object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": item})


def test_a_page() -> None:
    found = REPORTS.page(page(report("a"), report("b"), cont="next"))
    assert [each.name for each in found.objects] == ["a", "b"]
    assert (found.cont, found.version, found.rejected) == ("next", "7", [])


def test_one_broken_item_among_a_thousand_is_named_and_nothing_else_is_lost() -> None:
    items = [report(f"r{number}") for number in range(1000)]
    items[617]["results"][0]["policy"] = 3
    found = REPORTS.page(page(*items))
    assert len(found.objects) == 999
    [rejected] = found.rejected
    assert rejected.name == "n/r617"
    complaint = "results[0].policy: expected a string, got a number"
    assert rejected.message == f"PolicyReport n/r617: {complaint}"


def test_items_null_is_an_empty_list() -> None:
    assert REPORTS.page(b'{"metadata":{},"items":null}').objects == []


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"items":[]}', b'{"metadata":{},"items":3}']
)
def test_what_is_no_list_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed, match=r"policyreports\.wgpolicyk8s\.io"):
        REPORTS.page(body)


def test_a_line() -> None:
    found = REPORTS.line(
        line("MODIFIED", report("a", metadata={"name": "a", "resourceVersion": "9"}))
    )
    assert (found.type, found.version) == ("MODIFIED", "9")
    assert isinstance(found.object, Report)


def test_a_bookmark() -> None:
    metadata = {"resourceVersion": "11", "creationTimestamp": None}
    found = REPORTS.line(line("BOOKMARK", {"kind": "PolicyReport", "metadata": metadata}))
    assert (found.type, found.object, found.version, found.initial_end) == (
        "BOOKMARK",
        None,
        "11",
        False,
    )


def test_the_bookmark_that_ends_the_initial_events() -> None:
    annotations = {"k8s.io/initial-events-end": "true"}
    metadata = {"resourceVersion": "11", "annotations": annotations, "name": ""}
    assert REPORTS.line(line("BOOKMARK", {"metadata": metadata})).initial_end


def test_an_error_line_carries_its_status() -> None:
    status = {
        "kind": "Status",
        "code": 429,
        "reason": "TooMany",
        "message": "m",
        "details": {"retryAfterSeconds": 7},
    }
    found = REPORTS.line(line("ERROR", status))
    assert found.status is not None
    assert (found.status.code, found.status.retry_after) == (429, 7)


@pytest.mark.parametrize(
    "body",
    [
        b"garbage",
        b'{"type":"ADDED"}',
        line("SURPRISE", report("a")),
        line("ADDED", report("a", results="none")),
        b'{"type":"ADDED","object":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff\xfe"}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"\\ud800"}}}',
        line("ADDED", report("a", summary={"pass": -1})),
        line("ADDED", report("a", summary={"pass": 2**60})),
    ],
    ids=[
        "garbage",
        "no object",
        "unknown type",
        "wrong field",
        "deep",
        "not UTF-8",
        "half a pair",
        "negative",
        "huge",
    ],
)
def test_a_broken_line_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        REPORTS.line(body)


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_malformed(body: bytes) -> None:
    for codec in (REPORTS, codec_for(EVENTS), codec_for(NAMESPACES), codec_for(CLUSTER_POLICIES)):
        for read in (codec.page, codec.line):
            with suppress(Malformed):
                read(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = (
    "metadata",
    "results",
    "summary",
    "scope",
    "spec",
    "status",
    "regarding",
    "note",
    "policy",
    "items",
)


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_any_object_is_decoded_or_malformed(item: dict[str, object]) -> None:
    for resource in (POLICY_REPORTS, EVENTS, NAMESPACES, CLUSTER_POLICIES):
        codec = codec_for(resource)
        found = codec.page(
            page(
                report("good") if resource == POLICY_REPORTS else {"metadata": {"name": "good"}},
                item,
            )
        )
        assert found.objects[0].name == "good"
        assert len(found.objects) + len(found.rejected) == 2


@pytest.mark.parametrize(("version", "word"), [("v1alpha1", "fail"), ("v1alpha2", "")])
def test_the_oldest_version_spells_a_result_as_status(version: str, word: str) -> None:
    codec = codec_for(POLICY_REPORTS._replace(version=version))
    for scope in ({"kind": "Pod", "name": "web"}, None):
        item = report("a", results=[{"policy": "p", "status": "fail", "message": "m"}], scope=scope)
        found = codec.one(msgspec.json.encode(item))
        assert isinstance(found, Report)
        [piece] = found.pieces
        assert [raw_result[2] for raw_result in piece.result_set.raw_results] == [word]


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("policy", None, "expected a string, got null"),
        ("resources", {}, "expected a list or null, got an object"),
        ("timestamp", 7, "expected an object or null, got a number"),
    ],
)
def test_a_wrong_type_is_named_as_json_names_it(field: str, value: object, complaint: str) -> None:
    with pytest.raises(Malformed) as caught:
        REPORTS.one(msgspec.json.encode(report("a", results=[{"policy": "p"} | {field: value}])))
    assert str(caught.value) == f"PolicyReport n/a: results[0].{field}: {complaint}"


def test_policies_learn_their_kind_from_the_resource() -> None:
    for resource in CEL_POLICIES:
        found = codec_for(resource).page(page({"metadata": {"name": "p"}})).objects[0]
        assert isinstance(found, Policy)
        assert found.kind == resource.kind


@pytest.mark.parametrize("seconds", [1.666094801e9, 1666094801])
def test_timestamps_may_be_floats(seconds: float) -> None:
    item = report("a", results=[{"policy": "p", "timestamp": {"seconds": seconds, "nanos": 0}}])
    found = REPORTS.page(page(item)).objects[0]
    assert isinstance(found, Report)
    assert (found.pieces[0].stamps, found.pieces[0].newest) == ((1666094801,), 1666094801)
