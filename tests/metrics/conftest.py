"""Goldens are written anew where that is asked for."""

import os

import pytest


@pytest.fixture
def write_goldens() -> bool:
    """Set WRITE_GOLDENS=1 to accept what is exposed now; read the diff before you commit it."""
    return bool(os.environ.get("WRITE_GOLDENS"))
