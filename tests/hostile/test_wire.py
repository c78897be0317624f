"""What the wire may carry: each object is understood or refused by itself, and never more."""

import json
import os
from contextlib import suppress
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import Malformed
from exporter.model.changes import Applied, Scope
from exporter.model.event import Event, parse_note, violation
from exporter.model.report import Report
from exporter.model.resource import (
    CLUSTER_POLICIES,
    EVENTS,
    NAMESPACES,
    POLICY_REPORTS,
    REPORTS,
    Resource,
)
from exporter.wire.codec import TURN_BYTES, Codec, codec_for
from exporter.wire.report_limits import DEFAULT_LIMITS
from exporter.wire.report_limits import TURN_BYTES as RESULT_TURN_BYTES
from exporter.wire.slices import PAUSE_STEPS
from tests.hostile.objects import ALL_EVENTS, EVIL, Watched
from tests.hostile.objects import REPORTS as REPORT_SCOPE

LONG: Final = settings(max_examples=int(os.environ.get("HYPOTHESIS_LONG", "100")), deadline=None)
"""HYPOTHESIS_LONG=100000 makes a soak of these."""

MIB: Final = 2**20
GOOD: Final = b'{"metadata":{"name":"good","namespace":"team-a"}}'

NUMBERS = {
    "an exponent beyond floats": b"1e400",
    "minus one": b"-1",
    "more than 64 bits": b"9223372036854775808",
    "ten thousand digits": b"9" * 10_000,
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "a hexadecimal": b"0x10",
    "a fraction of a count": b"1.5",
    "a string": b'"3"',
    "true": b"true",
    "null": b"null",
}
FIELDS = {
    "seconds": b'{"results":[{"policy":"p","result":"fail","source":"kyverno",'
    b'"timestamp":{"seconds":%s}}],',
    "pass": b'{"summary":{"pass":%s},',
    "policy": b'{"results":[{"policy":%s}],',
    "scope": b'{"scope":%s,',
    "results": b'{"results":%s,',
    "count": b'{"count":%s,"reason":"PolicyViolation",',
    "series": b'{"series":{"count":%s},"reason":"PolicyViolation",',
    "note": b'{"note":%s,"reason":"PolicyViolation",',
    "eventTime": b'{"eventTime":%s,"reason":"PolicyViolation",',
}
BODIES = {
    "nested a million deep": b'{"a":' * 1_000_000 + b"1" + b"}" * 1_000_000,
    "lists a million deep": b"[" * 1_000_000 + b"]" * 1_000_000,
    "nested in a field that counts": b'{"metadata":{"name":"bad"},"results":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}",
    "half a surrogate pair": b'{"metadata":{"name":"bad"},"note":"\\ud800"}',
    "bytes that are not UTF-8": b'{"metadata":{"name":"bad"},"note":"\xff\xfe\xc0\x80"}',
    "a surrogate in UTF-8": b'{"metadata":{"name":"bad"},"note":"\xed\xa0\x80"}',
    "a control character": b'{"metadata":{"name":"bad"},"note":"\x01"}',
    "no name": b'{"metadata":{}}',
    "metadata is a list": b'{"metadata":[]}',
    "labels of the wrong type": b'{"metadata":{"name":"bad","labels":{"a":[1]}}}',
}


def page(*items: bytes) -> bytes:
    return b'{"metadata":{"resourceVersion":"7"},"items":[' + b",".join(items) + b"]}"


def good_survives(resource: Resource, hostile: bytes) -> tuple[int, int]:
    """Read a page with the object between two good ones; say how many were read and refused."""
    found = codec_for(resource).page(page(GOOD, hostile, GOOD))
    assert [found.objects[at].name for at in (0, -1)] == ["good", "good"]
    assert len(found.objects) + len(found.rejected) == 3
    for each in found.rejected:
        assert len(each.message) < 1000
    return len(found.objects), len(found.rejected)


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_a_number_out_of_range_costs_no_other_object(field: bytes, number: bytes) -> None:
    item = field % number + b'"metadata":{"name":"bad","namespace":"evil"}}'
    for resource in (POLICY_REPORTS, EVENTS):
        good_survives(resource, item)


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_what_was_read_can_be_counted_and_shown(field: bytes, number: bytes) -> None:
    item = field % number + b'"metadata":{"name":"bad","namespace":"evil"}}'
    watched = Watched()
    for resource, scope in ((POLICY_REPORTS, REPORT_SCOPE), (EVENTS, ALL_EVENTS)):
        with suppress(Malformed):
            watched.state.apply(Applied(scope, codec_for(resource).one(item)))
    assert "nan" not in watched.scrape().lower().replace("tenant", "")


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("resource", [POLICY_REPORTS, EVENTS, NAMESPACES, CLUSTER_POLICIES])
def test_an_object_that_cannot_be_read_is_refused_or_read_alone(
    resource: Resource, body: bytes
) -> None:
    with suppress(Malformed):
        codec_for(resource).one(body)
    with suppress(Malformed):
        codec_for(resource).line(b'{"type":"ADDED","object":' + body + b"}")


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("resource", [POLICY_REPORTS, EVENTS, NAMESPACES, CLUSTER_POLICIES])
def test_an_object_that_cannot_be_read_costs_no_other_object(
    resource: Resource, body: bytes
) -> None:
    good_survives(resource, body)


DEEP = b"[" * 100_000 + b"]" * 100_000
UNREAD = b'{"metadata":{"name":"bad","namespace":"evil"},"unknown":%s}' % DEEP
READ = b'{"metadata":{"name":"bad","namespace":"evil"},"results":%s}' % DEEP


@pytest.mark.parametrize("resource", [POLICY_REPORTS, EVENTS, NAMESPACES, CLUSTER_POLICIES])
def test_an_object_nested_too_deep_costs_no_other_object(resource: Resource) -> None:
    assert good_survives(resource, UNREAD) == (2, 1)
    assert good_survives(POLICY_REPORTS, READ) == (2, 1)


def test_a_line_nested_too_deep_is_named() -> None:
    with pytest.raises(Malformed, match="PolicyReport evil/bad: nested too deeply"):
        codec_for(POLICY_REPORTS).line(b'{"type":"ADDED","object":' + UNREAD + b"}")


LARGE = b'{"metadata":{"name":"r"},"results":[%s]}' % b",".join(
    b'{"policy":"p%d","message":"%s"}' % (at, b"m" * 200) for at in range(5_000)
)
BRACKETS = b",[[[[[1]]]]]" * 90_000
NOT_READ = {
    "nothing": b"",
    "a wrong type": b'{"metadata":{"name":"bad"},"results":7},',
    "no JSON": b'{"metadata":{"name":"bad"},"results":NaN},',
    "too deep": b'{"metadata":{"name":"bad"},"results":' + DEEP + b"},",
    "brackets": b'{"metadata":{"name":"bad"},"results":[NaN' + BRACKETS + b"]},",
}


def in_turns(body: bytes) -> tuple[int, int]:
    """Decode a page; return how many objects it has, and how many pauses were made."""
    turns, pauses = codec_for(POLICY_REPORTS).page_in_turns(body), 0
    while True:
        try:
            next(turns)
        except StopIteration as done:
            return len(done.value.objects), pauses
        pauses += 1


@pytest.mark.parametrize("bad", NOT_READ.values(), ids=NOT_READ)
def test_a_long_page_is_decoded_with_pauses(bad: bytes) -> None:
    body = b'{"metadata":{},"items":[' + bad + b",".join([LARGE] * 20) + b"]}"
    objects, pauses = in_turns(body)
    assert objects == 20
    assert pauses >= len(body) // (2 * TURN_BYTES)


def results(form: bytes, size: int = 1_200_000) -> bytes:
    """Results of that form, each of another number, in so many bytes of JSON."""
    count = size // (len(form) + 4)
    return b"[" + b",".join([form % number for number in range(count)]) + b"]"


FORMS = {
    "least": b'{"policy":"%d"}',
    "failing": b'{"policy":"p%d","result":"fail","source":"kyverno"}',
    "messages": b'{"policy":"p%d","result":"fail","message":"' + b"m" * 1_000 + b'"}',
    "resources": b'{"policy":"p","result":"fail","resources":[{"kind":"Pod","name":"x%d"}]}',
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("scope", [b"", b'"scope":{"kind":"Pod","name":"x"},'], ids=["", "scope"])
def test_a_long_line_is_decoded_with_pauses_and_little_of_it_is_counted(
    form: bytes, scope: bytes
) -> None:
    """Between two pauses is the work of 128 KiB: that, not time, is what can be counted."""
    body = b'{"metadata":{"name":"r"},%b"results":%b}' % (scope, results(form))
    turns = codec_for(POLICY_REPORTS).line_in_turns(b'{"type":"ADDED","object":%b}' % body)
    pauses = sum(1 for _ in turns)
    assert pauses >= len(body) // (2 * RESULT_TURN_BYTES)
    found = codec_for(POLICY_REPORTS).one(body)
    assert isinstance(found, Report)
    kept = sum(len(piece.result_set.raw_results) for piece in found.pieces)
    assert kept <= DEFAULT_LIMITS.results


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_long_reports_in_a_page_of_some_megabytes_are_decoded_with_pauses(form: bytes) -> None:
    body = b'{"metadata":{"name":"r"},"results":%b}' % results(form)
    objects, pauses = in_turns(b'{"metadata":{},"items":[%b,%b]}' % (body, body))
    assert objects == 2
    assert pauses >= len(body) // RESULT_TURN_BYTES


def test_an_error_in_a_long_list_of_results_names_its_place() -> None:
    wrong = b'{"policy":7},' + FORMS["failing"] % 1
    body = b'{"metadata":{"name":"r"},"results":%b,%b]}' % (
        results(FORMS["failing"])[:-1],
        wrong,
    )
    at = body.count(b'"result"') - 1
    with pytest.raises(Malformed, match=rf"results\[{at}\]\.policy: expected a string"):
        codec_for(POLICY_REPORTS).one(body)


def test_cutting_brackets_pauses_too() -> None:
    items = b'{"metadata":{},"items":[' + NOT_READ["brackets"] + GOOD + b"]}"
    objects, pauses = in_turns(items)
    assert objects == 1
    assert pauses >= BRACKETS.count(b"[") // 5 * 4 // PAUSE_STEPS


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    body = b'{"metadata":{"name":"a"},"metadata":{"name":"b"},"results":3,"results":[]}'
    found = codec_for(POLICY_REPORTS).one(body)
    assert isinstance(found, Report)
    assert (found.name, found.pieces) == ("b", ())


def test_strings_of_a_megabyte_become_short_labels() -> None:
    long = "ä" * MIB
    item = {
        "metadata": {"name": "x", "namespace": EVIL},
        "scope": {"kind": long, "name": long, "uid": long},
        "source": long,
        "results": [
            dict.fromkeys(("policy", "rule", "severity", "category", "message"), long)
            | {"result": "fail", "source": "kyverno"}
        ],
    }
    watched = Watched()
    watched.state.apply(
        Applied(REPORT_SCOPE, codec_for(POLICY_REPORTS).one(json.dumps(item).encode()))
    )
    text = watched.scrape()
    assert 'namespace="evil"' in text
    assert len(text) < 50_000


strange = st.text(
    st.sampled_from('\n\r\t"\\%{}=,#\0\x1b\x7f\x85\u2028\u202e\u200f\ufeff\U0001f600 ab')
    | st.characters(codec="utf-8"),
    max_size=40,
)


@LONG
@given(strange, strange, strange)
def test_no_name_can_write_a_line_of_its_own(policy: str, kind: str, rule: str) -> None:
    """One line a sample, whatever it says, and nothing between the samples."""
    item = {
        "metadata": {"name": "x", "namespace": EVIL},
        "scope": {"kind": kind or "K", "name": policy, "uid": "x"},
        "results": [{"policy": policy, "rule": rule, "result": "fail", "source": "kyverno"}],
    }
    watched = Watched()
    watched.state.apply(
        Applied(REPORT_SCOPE, codec_for(POLICY_REPORTS).one(msgspec.json.encode(item)))
    )
    lines = [each for each in watched.scrape().split("\n") if each and not each.startswith("#")]
    assert all(each.startswith("policyreport_") for each in lines)
    assert sum(each.startswith("policyreport_results{") for each in lines) == 2
    assert all(each.rpartition("} ")[2].replace(".", "").isdecimal() for each in lines)


words = st.sampled_from(
    [
        *("Pod", " ", "a/b", "/", ":", ": ", "[", "]", "] ", "fail", "error", "pass", " (blocked)"),
        *("; ", "(combined from similar events): ", "\n", "\0", "é", "x" * 300),
    ]
)


@LONG
@given(st.lists(words, max_size=40).map("".join))
def test_any_note_of_the_grammar_s_own_words_is_read_or_refused(text: str) -> None:
    note = parse_note(text)
    if note is not None:
        assert note.status in ("fail", "error", "pass", "warning", "skip", "")
        assert note.name
        assert note.kind.isascii()
        assert not set(note.namespace + note.name) & set("/ \n")


mutations = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=4)), max_size=6)
A_REPORT = (
    b'{"metadata":{"name":"a","namespace":"n","resourceVersion":"1"},"scope":{"kind":"Pod","name":'
    b'"p","uid":"a"},"summary":{"pass":1,"fail":2},"results":[{"policy":"p","rule":"r","result":'
    b'"fail","source":"kyverno","timestamp":{"seconds":1700000000,"nanos":0}}]}'
)
AN_EVENT = (
    b'{"metadata":{"name":"a","namespace":"default","resourceVersion":"1"},"reason":'
    b'"PolicyViolation","eventTime":"2026-08-20T08:01:46.804523Z","reportingController":'
    b'"kyverno-admission","action":"Resource Blocked","regarding":{"kind":"ClusterPolicy",'
    b'"name":"p"},"related":{"kind":"Pod","namespace":"n","name":"x"},"note":'
    b'"Pod n/x: [r] fail (blocked); no","deprecatedCount":2}'
)


def mutate(seed: bytes, cuts: list[tuple[int, bytes]]) -> bytes:
    body = bytearray(seed)
    for place, new in cuts:
        at = place % (len(body) + 1)
        body[at : at + len(new)] = new
    return bytes(body)


@LONG
@given(st.sampled_from((A_REPORT, AN_EVENT)), mutations)
def test_real_objects_with_a_few_bytes_changed_are_counted_or_refused(
    seed: bytes, cuts: list[tuple[int, bytes]]
) -> None:
    body = mutate(seed, cuts)
    watched = Watched()
    for resource in (POLICY_REPORTS, REPORTS, EVENTS):
        codec: Codec = codec_for(resource)
        with suppress(Malformed):
            codec.page(page(body))
        with suppress(Malformed):
            codec.line(b'{"type":"MODIFIED","object":' + body + b"}")
        with suppress(Malformed):
            found = codec.one(body)
            assert isinstance(found, Report | Event)
            if isinstance(found, Event):
                violation(found)
            watched.state.apply(Applied(Scope(resource), found))
    watched.scrape()
