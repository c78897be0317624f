"""docs/compatibility.md says what is run here."""

import re
from pathlib import Path

from tools import pins

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"


def test_the_version_that_is_run_is_the_one_that_go_mod_requires() -> None:
    version = pins.required("github.com/kyverno/kyverno", pins.KYVERNO)
    rows = re.findall(r"^\| (\S+) \| run \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [version.removeprefix("v")]
