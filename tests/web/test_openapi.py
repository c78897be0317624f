"""docs/openapi.yaml says what /api/v1 does; schemathesis tries to find where it does not."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from tests.web.fake_status import EVIL, FakeStatus
from tests.web.fakes import served

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.yaml"
SCHEMA = schemathesis.openapi.from_path(DOCUMENT)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve on a loop in a thread: schemathesis asks from this one, and blocks it."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    status = FakeStatus(time.time())
    for name in ("nginx", EVIL):
        status.block(name)
    site = served(status=status)
    try:
        server = asyncio.run_coroutine_threadsafe(site.__aenter__(), loop).result(10)
        yield server.url
        asyncio.run_coroutine_threadsafe(site.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@SCHEMA.parametrize()
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_answer_is_as_documented(case: schemathesis.Case[Any], url: str) -> None:
    case.call_and_validate(base_url=url)
