"""Numbers without bound: JSON allows them, Python's int() and float() do not."""

import pytest

from exporter.errors import Malformed
from exporter.model.event import Event
from exporter.model.metadata import version_number
from exporter.model.report import Report
from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.watch.cursor import VersionCursor
from exporter.wire.codec import WatchLine, codec_for

HUGE = ["9" * 30, "9" * 400, "9" * 4000, "9" * 5000, "-" + "9" * 400, "1e400"]
IDS = ["30", "400", "4000", "5000", "negative", "exponent"]
VERSIONS = {
    "7": 7,
    str(2**64 - 1): 2**64 - 1,
    "9" * 21: 0,
    "9" * 5000: 0,
    "": 0,
    "-7": 0,
    "opaque": 0,
    "\u0667": 0,
}


@pytest.mark.parametrize("version", VERSIONS, ids=range(len(VERSIONS)))
def test_a_version_is_a_number_of_64_bits_or_none(version: str) -> None:
    assert version_number(version) == VERSIONS[version]


def test_a_cursor_takes_a_version_without_bound_for_opaque() -> None:
    cursor = VersionCursor("7")
    assert cursor.is_news(WatchLine("ADDED", None, "9" * 5000, False, None))
    assert not cursor.is_behind("9" * 5000)


def report(seconds: str, scope: str) -> bytes:
    result = '{"policy":"p","result":"fail","timestamp":{"seconds":%s}}' % seconds  # noqa: UP031
    return f'{{"metadata":{{"name":"a"}},"scope":{scope},"results":[{result}]}}'.encode()


@pytest.mark.parametrize("scope", ['{"kind":"Pod","name":"web"}', "null"])
@pytest.mark.parametrize("seconds", HUGE, ids=IDS)
def test_a_timestamp_that_no_clock_shows_is_malformed(seconds: str, scope: str) -> None:
    with pytest.raises(Malformed, match=r"results\[0\]\.timestamp\.seconds"):
        codec_for(POLICY_REPORTS).one(report(seconds, scope))


@pytest.mark.parametrize("seconds", ["1795000000", "-62135596800", "1.5", "9007199254740992"])
def test_any_other_timestamp_is_a_float(seconds: str) -> None:
    found = codec_for(POLICY_REPORTS).one(report(seconds, '{"kind":"Pod","name":"web"}'))
    assert isinstance(found, Report)
    assert float(found.pieces[0].newest) == float(seconds)


@pytest.mark.parametrize("count", HUGE, ids=IDS)
def test_a_count_of_an_event_is_bounded_or_malformed(count: str) -> None:
    body = f'{{"metadata":{{"name":"a"}},"series":{{"count":{count}}}}}'.encode()
    try:
        event = codec_for(EVENTS).one(body)
    except Malformed:
        return
    assert isinstance(event, Event)
    assert 1 <= event.violations <= 2**31


@pytest.mark.parametrize("number", HUGE, ids=IDS)
def test_a_status_with_such_numbers_is_decoded_or_malformed(number: str) -> None:
    for status in (f'"code":{number}', f'"details":{{"retryAfterSeconds":{number}}}'):
        line = f'{{"type":"ERROR","object":{{{status}}}}}'.encode()
        try:
            found = codec_for(EVENTS).line(line).status
        except Malformed:
            continue
        assert found is not None
