"""The table in docs/alerting.md is what the scenarios give."""

import pytest

from tests.scenarios.table import PAGE, table


@pytest.mark.tier("monitoring")
@pytest.mark.slow
def test_the_table_of_the_documentation_is_current() -> None:
    assert table() in PAGE.read_text(), "python -m tests.scenarios.table"
