"""Templates that are changed line by line say what templates written anew would say."""

from collections.abc import Mapping
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.segments import SIZE, Segments, SegmentSnapshot
from exporter.state.tally import Labels

KEYS: list[Labels] = [(f"n{number:04d}", "100%") for number in range(3 * SIZE)]


def text(labels: Labels) -> str:
    return f'x{{a="{labels[0]}",b="{labels[1]}"}} '


def rendered(segments: Segments) -> bytes:
    return b"".join(segments.snapshot().render())


def plain(values: Mapping[Labels, float]) -> bytes:
    return "".join(f"{text(key)}{values[key]}\n" for key in sorted(values)).encode()


ranges = st.tuples(st.integers(0, len(KEYS)), st.integers(0, len(KEYS))).map(sorted)
steps = st.lists(st.tuples(ranges, st.integers(1, 7), st.booleans()), min_size=1, max_size=8)


@given(steps)
def test_whatever_comes_and_goes(steps: list[tuple[list[int], int, bool]]) -> None:
    segments, values = Segments(text), dict[Labels, float]()
    for step, ((first, last), stride, looked_at) in enumerate(steps):
        for key in KEYS[first:last:stride]:
            if key in values:
                segments.remove(key)
                del values[key]
            else:
                # The same object again, in a slot that another series may have had before.
                segments.insert(key, step)
                values[key] = step
        if looked_at:
            assert rendered(segments) == plain(values)
    assert rendered(segments) == plain(values)


@given(st.sets(st.sampled_from(KEYS[:8]), min_size=1), st.sets(st.sampled_from(KEYS[:8])))
def test_what_left_and_came_back_has_its_new_value(here: set[Labels], again: set[Labels]) -> None:
    segments = Segments(text)
    for key in sorted(here):
        segments.insert(key, 1)
    assert rendered(segments) == plain(dict.fromkeys(here, 1))
    for key in here & again:
        segments.remove(key)
    for key in sorted(here & again, reverse=True):
        segments.insert(key, 2)
    expected = dict.fromkeys(here, 1) | dict.fromkeys(here & again, 2)
    assert rendered(segments) == plain(expected)


def test_series_are_written_anew_where_their_prefix_changed() -> None:
    names = {"n0001": "blue"}
    segments = Segments(lambda labels: f"{names.get(labels[0], labels[0])} ")
    for key in KEYS[:3]:
        segments.insert(key, 1)
    assert rendered(segments) == b"n0000 1\nblue 1\nn0002 1\n"
    names["n0001"] = "green"
    segments.remove(KEYS[0])
    segments.rewrite(lambda labels: labels[0] == "n0001")
    assert rendered(segments) == b"green 1\nn0002 1\n"


def test_what_outgrows_its_segment_is_split_and_says_the_same() -> None:
    segments, values = Segments(text), dict[Labels, float]()
    for count in (SIZE, 1, SIZE - 1, 1, SIZE):
        for key in KEYS[len(values) : len(values) + count]:
            segments.insert(key, len(values))
            values[key] = len(values)
        assert rendered(segments) == plain(values)
    assert len(segments.snapshot().pieces) > 1


def test_they_are_behind_until_all_is_filed_and_written() -> None:
    segments = Segments(text)
    for key in KEYS[: SIZE // 2]:
        segments.insert(key, 1)
    looks = []
    while segments.behind:
        looks.append(len(segments._added))
        segments.settle(100)
    assert all(later < sooner for sooner, later in pairwise(looks[:-1]))
    assert rendered(segments) == plain(dict.fromkeys(KEYS[: SIZE // 2], 1))


@given(st.lists(st.dictionaries(st.integers(0, len(KEYS) - 1), st.integers(0, 2)), max_size=6))
def test_a_snapshot_is_of_its_moment_whenever_it_is_rendered(
    changes: list[dict[int, int]],
) -> None:
    segments, taken = Segments(text), list[tuple[SegmentSnapshot, bytes]]()
    values = dict[Labels, float](dict.fromkeys(KEYS, 0))
    for key in KEYS:
        segments.insert(key, 0)
    for change in changes:
        taken.append((segments.snapshot(), plain(values)))
        for index, value in change.items():
            segments.set(KEYS[index], value)
            values[KEYS[index]] = value
    for snapshot, expected in taken:
        assert b"".join(snapshot.render()) == expected
