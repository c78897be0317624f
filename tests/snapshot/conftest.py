"""The snapshot command runs in this process, beside a sample cluster in a thread."""

from collections.abc import Iterator

import pytest

from tests.app.conftest import Beside, beside, logs_as_before, no_cluster

__all__ = ["Beside", "beside", "logs_as_before", "no_cluster", "no_columns"]


@pytest.fixture(scope="session", autouse=True)
def no_columns() -> Iterator[None]:
    """Keep the width of this terminal out, of fixtures of a module too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield
