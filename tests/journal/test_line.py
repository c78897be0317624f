"""A line is bounded, safe to show, and as its schema describes it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.journal.line import LINE_BYTES, Line, encode_line, occurrence_id, rfc3339
from tools.journal_schema import schema

pytestmark = pytest.mark.tier("unit")

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "journal.schema.json"


def line(**fields: object) -> Line:
    noon = "2026-11-28T12:00:00.000Z"
    known = {"timestamp": noon, "observed_timestamp": noon, "event_name": "failure_opened"}
    known |= {"id": "0" * 32, "severity_text": "WARN"}
    return msgspec.convert({**known, **fields}, Line)


def test_the_schema_s_file_is_current() -> None:
    assert SCHEMA_FILE.read_text() == schema()


def test_each_field_is_described() -> None:
    fields = json.loads(schema())["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_a_line_with_every_field_is_as_the_schema_has_it() -> None:
    values = {str: "x", int: 1, bool: True}
    fields: dict[str, object] = {"namespace_labels": {"team": "a"}, "changed": ["mode"]}
    for field in msgspec.structs.fields(Line):
        for kind, value in values.items():
            if kind.__name__ in str(field.type) and field.default not in ({}, ()):
                fields.setdefault(field.name, value)
    fields |= {"event_name": "gap", "severity_text": "INFO"}
    written = json.loads(encode_line(line(**fields)))
    assert written.keys() == {field.name for field in msgspec.structs.fields(Line)}
    jsonschema.validate(written, json.loads(SCHEMA_FILE.read_text()))


def test_what_is_not_known_is_left_out() -> None:
    assert set(json.loads(encode_line(line()))) == {
        "timestamp",
        "observed_timestamp",
        "event_name",
        "id",
        "severity_text",
    }


@pytest.mark.parametrize(
    "text",
    ["\x00\x1b[2J", "\x7f", "\x9b2J", "line\u2028two\u2029", "\u202egnp.exe", "\u2066a\u2069"],
    ids=["escape", "delete", "c1", "separators", "override", "isolates"],
)
def test_control_characters_are_escaped_and_read_back(text: str) -> None:
    written = encode_line(line(body=text, resource_name=text))
    assert all(char.isprintable() for char in written.decode().removesuffix("\n"))
    assert json.loads(written)["body"] == text


def test_letters_of_every_script_stay_as_they_are() -> None:
    assert "größer, 名前, ناموس" in encode_line(line(body="größer, 名前, ناموس")).decode()


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert json.loads(encode_line(line(body="a\ud800b")))["body"] == "a?b"


@pytest.mark.parametrize("body", ["x" * 100_000, "\x01" * 4096, "\x9b" * 4096, "名" * 20_000])
def test_a_long_line_is_cut_at_16_kb_and_marked(body: str) -> None:
    written = encode_line(line(body=body, policy="p"))
    assert len(written) <= LINE_BYTES
    read = json.loads(written)
    assert (read["truncated"], read["policy"]) == (True, "p")
    assert body.startswith(read["body"])
    assert read["body"]


def test_many_labels_are_left_out_where_they_alone_are_too_long() -> None:
    labels = {f"label{number}": "\x01" * 128 for number in range(100)}
    written = encode_line(line(body="b", namespace_labels=labels, policy="p"))
    assert len(written) <= LINE_BYTES
    assert json.loads(written)["truncated"] is True


def test_ids_differ_wherever_the_parts_are_cut() -> None:
    assert len({occurrence_id("a", "bc"), occurrence_id("ab", "c"), occurrence_id("abc")}) == 3


@given(st.floats(0, 253_402_300_799) | st.integers(0, 2**33))
def test_an_instant_is_written_as_datetime_writes_it(seconds: float) -> None:
    written = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    assert rfc3339(seconds) == written.replace("+00:00", "Z")


def test_an_instant_that_no_calendar_has_is_empty() -> None:
    assert rfc3339(1e20) == ""
    assert rfc3339(1_764_331_200.5) == "2025-11-28T12:00:00.500Z"
