"""Cutting JSON without decoding it: what can be decoded is cut as a decoder would see it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.wire.slices import Uncut, elements, field

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
SPACE = st.sampled_from([None, 0, 1, "\t"])


@given(st.lists(VALUES, max_size=5), SPACE)
def test_elements_are_those_that_a_decoder_finds(values: list[object], indent: int | None) -> None:
    body = json.dumps(values, indent=indent).encode()
    assert [json.loads(each) for each in elements(body) if each is not None] == values


@given(st.dictionaries(st.from_regex(r"[a-zA-Z]{1,5}", fullmatch=True), VALUES), SPACE)
def test_a_field_is_what_a_decoder_finds(values: dict[str, object], indent: int | None) -> None:
    body = json.dumps(values, indent=indent).encode()
    for name, value in values.items():
        found = field(body, name)
        assert found is not None
        assert json.loads(found) == value
    assert field(body, "") is None


BROKEN = {
    "a word of Python": b'{"a": NaN}',
    "half of a pair": rb'{"a": "\ud800"}',
    "no UTF-8": b'{"a": "\xff\xfe"}',
    "half of a character": b'{"a": "\xe2"}',
    "an unknown escape": rb'{"a": "\x"}',
    "a control character": b'{"a": "\x00\n"}',
    "a comma too many": b'{"a": 1,, "b": [2,]}',
    "no colon": b'{"a" 1}',
    "words": b"nothing at all",
    "a string and more": b'"a" b',
    "an object and more": b'{"a": 1} b',
    "brackets in a string": rb'{"a": "]}\"[{", "b": NaN}',
    "deep": b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_element_is_cut_from_its_neighbours(broken: bytes) -> None:
    body = b'{"items": [{"n": 1}, ' + broken + b' ,{"n": 2}], "metadata": {"x": 1}}'
    items = field(body, "items")
    assert items is not None
    assert [each for each in elements(items) if each is not None] == [
        b'{"n": 1}',
        broken,
        b'{"n": 2}',
    ]
    assert field(body, "metadata") == b'{"x": 1}'


NO_ARRAY = [b"", b"{}", b"[", b"[1", b'["a', b"[1}", b"[{]}]", b"[[1}", b"7", b'["a\\"]']


@pytest.mark.parametrize("body", NO_ARRAY)
def test_what_is_not_closed_is_not_cut(body: bytes) -> None:
    with pytest.raises(Uncut):
        list(elements(body))


NO_OBJECT = [b"", b"[]", b"{", b'{"a": 1', b'{"a": [}', b"7", b'{"a": 1, 7}']


@pytest.mark.parametrize("body", NO_OBJECT)
def test_what_is_no_object_has_no_fields(body: bytes) -> None:
    with pytest.raises(Uncut):
        field(body, "b")


def test_a_field_of_a_field_is_not_meant() -> None:
    assert field(b'{"x": {"name": "a"}, "name": "b"}', "name") == b'"b"'


@pytest.mark.parametrize("text", [b'"' + b'\\"' * 50_000, b"[" * 50_000, b'{"a":' * 50_000])
def test_what_never_ends_is_given_up(text: bytes) -> None:
    with pytest.raises(Uncut):
        list(elements(b"[" + text))
