"""The snapshot command runs in this process, beside a sample cluster in a thread."""

import pytest

from tests.app.conftest import Beside, beside, logs_as_before, no_cluster

__all__ = ["Beside", "beside", "logs_as_before", "no_cluster", "no_columns"]


@pytest.fixture(autouse=True)
def no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the width of this terminal out."""
    monkeypatch.delenv("COLUMNS", raising=False)
