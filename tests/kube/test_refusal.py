"""What an answer asks a client to do next."""

import pytest

from exporter.errors import ApiError, Gone, NotServed, Refused, Unavailable, Unsupported
from exporter.kube.transport import refusal


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, Unsupported),
        (401, Refused),
        (403, Refused),
        (404, NotServed),
        (405, Unsupported),
        (406, Unsupported),
        (410, Gone),
        (422, Unsupported),
        (302, Unavailable),
        (409, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (999, Unavailable),
    ],
)
def test_each_status_asks_for_something(code: int, error: type[ApiError]) -> None:
    found = refusal(code, b"", {})
    assert type(found) is error
    assert found.status == code


def test_the_server_s_own_words_are_kept() -> None:
    body = b'{"kind":"Status","message":"no way","details":{"retryAfterSeconds":3}}'
    error = refusal(429, body, {})
    assert isinstance(error, Unavailable)
    assert (str(error), error.retry_after) == ("no way (429)", 3)


@pytest.mark.parametrize("body", [b"<html>", b'{"message":7}', b"\xff", b"", b"[]"])
def test_a_body_without_a_status_is_named_by_its_code(body: bytes) -> None:
    assert str(refusal(503, body, {})) == "Service Unavailable (503)"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("-5", 0), ("1e9", 0), ("²", 0)],
)
def test_retry_after_is_read_in_seconds(header: str, seconds: float) -> None:
    error = refusal(429, b"", {"Retry-After": header})
    assert isinstance(error, Unavailable)
    assert error.retry_after == seconds


def test_a_long_message_is_cut() -> None:
    assert len(str(refusal(500, b'{"message":"' + b"x" * 10_000 + b'"}', {}))) < 400
