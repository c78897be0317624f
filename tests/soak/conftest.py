"""Long runs, collected only where slow tests are asked for: ``make soak``."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.option.markexpr != "slow" else None
