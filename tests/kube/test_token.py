"""What a token says of its end."""

import base64
import json
from datetime import UTC, datetime

import pytest

from exporter.kube.client import expiry


def jwt(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"Bearer e30.{payload}.c2ln"


def test_a_json_web_token_says_when_it_expires() -> None:
    assert expiry(jwt({"exp": 1_600_000_000})) == datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer opaque",
        "Bearer a.b.c",
        "Bearer a.é.c",
        "Basic dTpw",
        jwt({}),
        jwt({"exp": "soon"}),
        jwt({"exp": 1e300}),
        jwt([]),
    ],
)
def test_any_other_says_nothing(authorization: str) -> None:
    assert expiry(authorization) is None
