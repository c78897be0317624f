"""The jobs of docs/ci.md are valid, and what they run works."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from exporter.snapshot.options import FORMS
from tests.app.commands import COMMAND, ROOT
from tests.app.conftest import Beside
from tests.snapshot.inputs import Object, json_of, listed, report, result
from tests.snapshot.test_outputs import FORMATS

pytestmark = pytest.mark.tier("simulator")

PAGE = (ROOT / "docs" / "ci.md").read_text()
BLOCKS = dict(
    re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```yaml\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
)
GITHUB = {title: text for title, text in BLOCKS.items() if title.startswith("GitHub")}
GITLAB = {title: text for title, text in BLOCKS.items() if title.startswith("GitLab")}


@pytest.mark.parametrize("title", BLOCKS)
def test_a_job_is_valid_by_its_systems_schema(title: str, tmp_path: Path) -> None:
    path = tmp_path / "job.yml"
    path.write_text(BLOCKS[title])
    schema = "vendor.github-workflows" if title in GITHUB else "vendor.gitlab-ci"
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


class Ran(NamedTuple):
    """How the commands of a job ended."""

    status: int
    out: str
    err: str
    directory: Path

    def text(self, name: str) -> str:
        return (self.directory / name).read_text()


class Runner:
    """A directory in which the commands of jobs run; ``kyverno`` and installers are stubs."""

    def __init__(self, directory: Path, kubeconfig: str = "") -> None:
        self.directory = directory
        self._bin = directory / "bin"
        self._bin.mkdir()
        words = " ".join(map(str, COMMAND))
        self.command("policy-report-exporter", f'PYTHONPATH="{ROOT}" exec {words} "$@"')
        for name in ("pip", "pipx"):
            self.command(name, "exit 0")
        self._environment = {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "HOME": str(directory),
            "KUBECONFIG": kubeconfig,
            "KUBECONFIG_TEXT": Path(kubeconfig).read_text() if kubeconfig else "",
            "RUNNER_TEMP": str(directory),
            "GITHUB_STEP_SUMMARY": str(directory / "summary.md"),
            "GITHUB_OUTPUT": str(directory / "output"),
            "GITHUB_REPOSITORY": "shop/manifests",
        }

    def command(self, name: str, script: str) -> None:
        path = self._bin / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def run(self, *scripts: str) -> Ran:
        """Run scripts as GitHub and GitLab do, up to the first that fails."""
        out = err = ""
        status = 0
        for script in scripts:
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", script],
                cwd=self.directory,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            out, err, status = out + done.stdout, err + done.stderr, done.returncode
            if status:
                break
        return Ran(status, out, err, self.directory)


def steps(title: str) -> list[str]:
    """Give the commands of a GitHub workflow's only job."""
    [job] = yaml.safe_load(GITHUB[title])["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def script(title: str) -> list[str]:
    """Give the commands of a GitLab job."""
    [job] = yaml.safe_load(GITLAB[title]).values()
    return [*job["before_script"], *job["script"]]


def test_the_job_of_a_live_cluster_gates_and_then_only_on_what_is_new(
    beside: Beside, tmp_path: Path
) -> None:
    runner = Runner(tmp_path, str(beside.kubeconfig))
    first = runner.run(*steps("GitHub Actions: a live cluster"))
    assert first.status == 1
    assert "--fail-on fail:high: failed" in first.err
    assert first.text("output") == "status=1\n"
    assert first.out.startswith("::error title=critical fail")
    assert "## Policy reports of" in first.text("summary.md")
    for name in ("policies.sarif", "snapshot.json"):
        assert json.loads(first.text(name))
    # The baseline is made by hand once, as the page has it.
    (tmp_path / "snapshot.json").rename(tmp_path / "baseline.json")
    second = runner.run(*steps("GitHub Actions: a live cluster"))
    assert second.status == 0, second.err
    assert "0 new failing results" in second.out
    assert not (tmp_path / "snapshot.json").exists()


def test_a_cluster_that_cannot_be_read_uploads_nothing(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    ran = runner.run(*steps("GitHub Actions: a live cluster"))
    assert ran.status in (2, 3)
    assert ran.text("output") == f"status={ran.status}\n"
    assert not (tmp_path / "policies.sarif").exists()


def test_the_job_of_manifests_takes_what_kyverno_apply_prints(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    printed = FORMATS.parent / "kyverno-apply-1.19" / "report-yaml.txt"
    runner.command("kyverno", f"cat {printed}; exit 1")
    ran = runner.run(*steps("GitHub Actions: manifests in a repository"))
    assert ran.status == 1
    assert "failed: 6 failing results (1 critical, 4 high, 1 medium)" in ran.err
    assert "<code>shop/manifests</code>" in ran.text("summary.md")
    runner.command("kyverno", "echo 'Error: no such file'; exit 1")
    assert runner.run(*steps("GitHub Actions: manifests in a repository")).status == 2


def test_the_job_of_a_team_reports_to_gitlab(beside: Beside, tmp_path: Path) -> None:
    runner = Runner(tmp_path, str(beside.kubeconfig))
    ran = runner.run(*script("GitLab CI: a live cluster"))
    assert ran.status == 1
    cases = ET.fromstring(ran.text("policies.xml")).iter("testcase")
    names = [each.attrib["name"] for each in cases if each.find("failure") is not None]
    assert names
    assert all(name.startswith(("payments/", "checkout/")) for name in names)


def test_the_job_of_files_compares_with_the_baseline_of_the_repository(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    (tmp_path / "reports.json").write_text(json.dumps(listed([report("a", result("p", "fail"))])))
    made: dict[str, Any] = json_of(
        tmp_path / "policy-baseline.json", str(tmp_path / "reports.json"), "--cluster=prod"
    )
    assert len(made["failing"]) == 1
    assert runner.run(*script("GitLab CI: files in a repository")).status == 0
    items: list[Object] = [report("a", result("p", "fail")), report("b", result("p", "fail"))]
    (tmp_path / "reports.json").write_text(json.dumps(listed(items)))
    ran = runner.run(*script("GitLab CI: files in a repository"))
    assert ran.status == 1
    assert "failed: 1 new failing result" in ran.err
    assert "### New failing results (1)" in ran.text("policies.md")


def test_every_form_is_explained() -> None:
    table = PAGE.partition("## Outputs")[2].partition("## ")[0]
    first = " ".join(re.findall(r"(?m)^\| ([^|]*)\|", table))
    assert set(re.findall(r"`([a-z]+)`", first)) == {*FORMS}
