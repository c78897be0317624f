"""Which lines are news, and where a watch resumes."""

import pytest

from exporter.model.metadata import Metadata
from exporter.model.report import Report
from exporter.watch.cursor import VersionCursor
from exporter.wire.codec import WatchLine


def line(version: str, namespace: str = "ns") -> WatchLine:
    report = Report(metadata=Metadata(name="a", namespace=namespace, resource_version=version))
    return WatchLine("MODIFIED", report, version, initial_end=False, status=None)


@pytest.mark.parametrize(
    ("version", "news"), [("9", False), ("10", False), ("11", True), ("100", True)]
)
def test_only_a_greater_number_is_news(version: str, *, news: bool) -> None:
    assert VersionCursor("10").is_news(line(version)) is news


def test_versions_are_compared_as_numbers_and_not_as_text() -> None:
    position = VersionCursor("9")
    position.move("10")
    assert position.version == "10"
    position.move("9")
    assert position.version == "10"


@pytest.mark.parametrize("version", ["abc", "1.5", "-3", "²", ""])
def test_a_version_that_is_no_number_is_always_news(version: str) -> None:
    assert VersionCursor("10").is_news(line(version))
    assert VersionCursor(version).is_news(line("5"))


def test_an_opaque_version_is_resumed_at_all_the_same() -> None:
    position = VersionCursor("abc")
    position.move("abd")
    assert (position.version, position.resumable) == ("abd", True)


def test_a_line_without_a_version_leaves_the_position() -> None:
    position = VersionCursor("10")
    position.move("")
    assert position.version == "10"


@pytest.mark.parametrize("version", ["", "0", "1"])
def test_the_versions_of_aggregated_servers_name_no_moment(version: str) -> None:
    position = VersionCursor(version)
    assert not position.resumable
    assert position.is_news(line("1"))


def test_a_namespace_read_later_is_known_up_to_its_own_version() -> None:
    position = VersionCursor("10", {"late": 20, "later": 30})
    assert not position.is_news(line("20", "late"))
    assert not position.is_news(line("21", "later"))
    assert position.is_news(line("21", "late"))
    assert position.is_news(line("11", "created meanwhile"))


def test_floors_hold_until_the_highest_is_passed_and_then_are_forgotten() -> None:
    position = VersionCursor("10", {"late": 20, "later": 30})
    position.move("25")
    assert not position.is_news(line("26", "later"))
    position.move("30")
    assert position.is_news(line("31", "later"))
    assert not position._floors


@pytest.mark.parametrize(
    ("ours", "theirs", "behind"),
    [
        ("10", "9", True),
        ("10", "10", False),
        ("10", "", False),
        ("1", "0", False),
        ("x", "9", False),
    ],
)
def test_a_server_is_behind_when_its_version_is_less(
    ours: str, theirs: str, *, behind: bool
) -> None:
    assert VersionCursor(ours).is_behind(theirs) is behind
