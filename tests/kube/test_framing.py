"""Lines come out whole however the chunks fall, and never too long."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.kube.client import Lines


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut the data at the places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def fed(limit: int, chunks: list[bytes]) -> tuple[list[bytes], int]:
    framing = Lines(limit)
    return [line for chunk in chunks for line in framing.feed(chunk)], framing.too_long


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b""))),
    st.binary(max_size=5).map(lambda line: line.replace(b"\n", b"")),
    st.lists(st.integers(0, 400), max_size=20),
)
def test_lines_do_not_depend_on_how_the_stream_is_cut(
    lines: list[bytes], unfinished: bytes, places: list[int]
) -> None:
    data = b"".join(line + b"\n" for line in lines) + unfinished
    found, too_long = fed(8, cut(data, places))
    assert found == [line for line in lines if 0 < len(line) <= 8]
    assert too_long == sum(len(line) > 8 for line in lines)


def test_an_unfinished_line_is_never_a_line() -> None:
    assert fed(100, [b'{"a":1}\n{"b"', b":2}"]) == ([b'{"a":1}'], 0)


def test_a_line_that_is_too_long_is_not_held() -> None:
    framing = Lines(1000)
    for _ in range(1000):
        assert framing.feed(b"x" * 100) == []
        assert sum(map(len, framing._parts)) <= 1000
    assert framing.feed(b"\nnext\n") == [b"next"]
    assert framing.too_long == 1
