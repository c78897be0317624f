"""What a client gets for the headers it sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.negotiate import choose_format, prefers, wants_gzip

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param("", TEXT, id="nothing"),
        pytest.param("*/*", TEXT, id="anything"),
        pytest.param("text/*", TEXT, id="any text"),
        pytest.param("application/*", OPENMETRICS, id="any application"),
        pytest.param("text/html, */*;q=0.1", TEXT, id="a browser"),
        pytest.param(PROMETHEUS_3, f"{OPENMETRICS}; escaping=allow-utf-8", id="prometheus 3"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0,"
            "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5",
            OPENMETRICS,
            id="prometheus 2",
        ),
        pytest.param(
            "application/openmetrics-text;q=0.1, text/plain;q=0.9", TEXT, id="the higher q wins"
        ),
        pytest.param("*/*, text/plain;q=0.1", OPENMETRICS, id="the wildcard is for the rest"),
        pytest.param("text/plain;q=0, */*", OPENMETRICS, id="q=0 excludes, specific beats */*"),
        pytest.param("text/plain;q=0, application/openmetrics-text;q=0", TEXT, id="all excluded"),
        pytest.param(
            "text/plain;version=0.0.4;q=0.1, text/plain;q=0.9",
            "text/plain; version=1.0.0; charset=utf-8",
            id="the version is specific",
        ),
        pytest.param(
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text; version=0.0.1; charset=utf-8",
            id="the draft of openmetrics",
        ),
        pytest.param("application/openmetrics-text;version=9.9.9", OPENMETRICS, id="unknown only"),
        pytest.param(
            "application/openmetrics-text;version=2.0.0;q=0.9,text/plain;version=0.0.4;q=0.5",
            TEXT,
            id="unknown version behind one that we speak",
        ),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;escaping=underscores",
            f"{OPENMETRICS}; escaping=underscores",
            id="a harmless escaping is echoed",
        ),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;escaping=dots",
            OPENMETRICS,
            id="an escaping that would rename is not promised",
        ),
        pytest.param('TEXT/PLAIN ; VERSION="0.0.4" ; Q=1', TEXT, id="case, spaces and quotes"),
        pytest.param("application/vnd.google.protobuf;proto=x, ;;;,=,", TEXT, id="nonsense"),
        pytest.param("application/openmetrics-text;q=2", TEXT, id="a q out of range is no wish"),
        pytest.param("application/openmetrics-text;q=high", TEXT, id="a q that is a word"),
        pytest.param("application/openmetrics-text;q=nan", TEXT, id="a q that is not a number"),
    ],
)
def test_the_format_is_what_the_client_likes_best(accept: str, content_type: str) -> None:
    assert choose_format(accept).content_type == content_type


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("GZIP;q=1.0, identity; q=0.5", True),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*", True),
        ("x-gzip", True),
        ("br, deflate", False),
        ("deflate, gzip;q=0.1", True),
    ],
)
def test_gzip_is_for_those_who_prefer_it(accept_encoding: str, gzip: bool) -> None:
    assert wants_gzip(accept_encoding) is gzip


def test_a_wildcard_does_not_ask_for_a_media_type() -> None:
    assert prefers("text/event-stream", "text/event-stream")
    assert not prefers("*/*, text/event-stream;q=0", "text/event-stream")


@given(st.text())
def test_no_header_is_too_strange(header: str) -> None:
    assert choose_format(header).media in {"text/plain", "application/openmetrics-text"}
    assert wants_gzip(header) in {True, False}
