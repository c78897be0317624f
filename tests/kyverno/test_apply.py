"""The real ``kyverno apply`` prints what the tests of a snapshot have in files; no cluster runs."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.snapshot.inputs import json_of
from tests.snapshot.test_apply import APPLY
from tests.tools import tool

pytestmark = [pytest.mark.tier("kyverno"), pytest.mark.xdist_group("kyverno")]

COMMANDS: dict[str, tuple[list[str], int]] = {
    "report": (["policies.yaml", "--exception=exceptions.yaml"], 1),
    "changed": (["policies.yaml", "changes.yaml", "--exception=exceptions.yaml"], 1),
    "skipped": (["passes.yaml", "unusable.yaml"], 1),
    "warned": (["warns.yaml", "--audit-warn", "--warn-exit-code=3"], 3),
}


def numbers(made: Any) -> dict[str, Any]:
    """Give what does not depend on the order of reports, on when it ran, or on the file's name."""
    failing = [{**row, "since": 0} for row in made["failing"]]
    keys = ("results", "resources", "policies", "namespaces")
    problems = [each.partition("kyverno apply: ")[2] for each in made["problems"]]
    return {**{key: made[key] for key in keys}, "problems": problems, "failing": failing}


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("name", COMMANDS)
def test_it_prints_what_the_files_have(name: str, form: str, tmp_path: Path) -> None:
    arguments, status = COMMANDS[name]
    flags = ("--resource=resources.yaml", "--policy-report", f"--output-format={form}")
    done = subprocess.run(
        [str(tool("kyverno-cli")), "apply", *arguments, *flags],
        cwd=APPLY,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr
    (tmp_path / "printed").write_bytes(done.stdout)
    printed = json_of(tmp_path / "json", str(tmp_path / "printed"))
    assert numbers(printed) == numbers(
        json_of(tmp_path / "json", str(APPLY / f"{name}-{form}.txt"))
    )
