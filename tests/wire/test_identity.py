"""An object that cannot be decoded is still named."""

import pytest

from exporter.wire.slices import identify

OBJECTS = {
    b'{"metadata": {"name": "a", "namespace": "n"}, "x": NaN}': "n/a",
    b'{"x": "\xff", "metadata": {"labels": {"name": "no"}, "namespace": "n", "name": "a"}}': "n/a",
    b'{"metadata": {"name": "a", "labels": {"x": \xff}}}': "a",
    b'{"metadata": {"name": 7, "namespace": "n"}}': "n",
    b'{"metadata": {"name": "\\ud800", "namespace": "n"}}': "n",
    b'{"metadata": {"name": "' + b"a" * 300 + b'"}}': "a" * 256,
    b'{"metadata": 7}': "(unnamed)",
    b"{}": "(unnamed)",
    b"NaN": "(unnamed)",
    b'{"metadata": {"name": "a"': "(unnamed)",
}


@pytest.mark.parametrize(("body", "name"), OBJECTS.items())
def test_what_can_be_read_of_its_name(body: bytes, name: str) -> None:
    assert identify(body) == name
