"""The files that make a release pass their linters, and pin what they use."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.image.stages import DOCKERFILE, ROOT
from tests.tools import tool

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
DIGEST = "sha256:" + "a1" * 32


def run(*command: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def beside_python(name: str) -> Path:
    """Return the program that a wheel put beside this interpreter."""
    return Path(sys.executable).with_name(name)


def test_hadolint_finds_nothing() -> None:
    done = run(beside_python("hadolint"), "--config", ".hadolint.yaml", "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    broken = tmp_path / "Dockerfile"
    broken.write_text(DOCKERFILE.read_text("utf-8").replace(":3.13-slim-trixie", ""))
    done = run(beside_python("hadolint"), "--config", ".hadolint.yaml", broken)
    assert "DL3006" in done.stdout


@pytest.mark.tier("chart")
def test_actionlint_finds_nothing() -> None:
    done = run(tool("actionlint"), "-shellcheck=", *WORKFLOWS)
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing() -> None:
    done = run(beside_python("zizmor"), "--offline", "--persona=regular", ".github/workflows")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_with_its_version_beside_it(workflow: Path) -> None:
    used = re.findall(r"uses: (.+)", workflow.read_text(encoding="utf-8"))
    assert used
    assert not [one for one in used if not PINNED.match(one) and not one.startswith("./")]


def test_one_action_has_one_commit_everywhere() -> None:
    used = {u for w in WORKFLOWS for u in re.findall(r"uses: (\S+)@(\S+)", w.read_text("utf-8"))}
    assert len({action for action, _ in used}) == len(used)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_no_job_may_do_more_than_it_says(workflow: Path) -> None:
    read = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert read["permissions"] == {}
    assert all("permissions" in job for job in read["jobs"].values())


@pytest.mark.tier("chart")
def test_the_files_of_a_release_are_manifests_rules_and_dashboards(tmp_path: Path) -> None:
    # The script calls `kubectl`, which the pinned one need not be called on PATH.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").symlink_to(tool("kubectl"))
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = run(".github/release-files.sh", "1.2.3", tmp_path / "dist", PATH=path)
    assert done.returncode == 0, done.stderr
    assert {file.name for file in (tmp_path / "dist").iterdir()} == {
        "policy-report-exporter.yaml",
        "kube-prometheus-stack.yaml",
        "alerts-1.2.3.tar.gz",
        "dashboards-1.2.3.tar.gz",
    }
    kinds = {"Deployment", "ServiceMonitor", "PrometheusRule"}
    text = (tmp_path / "dist" / "kube-prometheus-stack.yaml").read_text(encoding="utf-8")
    assert kinds <= {found["kind"] for found in yaml.safe_load_all(text)}


def test_no_image_is_used_that_nothing_pins() -> None:
    text = DOCKERFILE.read_text("utf-8")
    assert "# syntax=" not in text
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    groups = json.loads((ROOT / ".github" / "renovate.json").read_text("utf-8"))["packageRules"]
    known = {name for group in groups for name in group.get("matchPackageNames", [])}
    assert {base.partition(":")[0] for base in bases} <= known


def test_no_update_waits_for_a_date_that_registries_do_not_give() -> None:
    settings = json.loads((ROOT / ".github" / "renovate.json").read_text("utf-8"))
    rules = settings["packageRules"]
    ageless = [rule for rule in rules if rule.get("minimumReleaseAge", "") is None]
    assert {"pinDigest", "digest"} <= {
        each for rule in ageless for each in rule["matchUpdateTypes"]
    }
    [images] = [rule for rule in rules if rule.get("matchDatasources") == ["docker"]]
    assert images["minimumReleaseAgeBehaviour"] == "timestamp-optional"


def test_renovate_writes_a_digest_wherever_an_image_is_named() -> None:
    settings = json.loads((ROOT / ".github" / "renovate.json").read_text("utf-8"))
    assert "docker:pinDigests" in settings["extends"]
    ours = [m for m in settings["customManagers"] if m["datasourceTemplate"] == "docker"]
    # A manager of our own adds what its text lacks only where a template says how.
    assert all("@{{{newDigest}}}" in m["autoReplaceStringTemplate"] for m in ours)
    lines = [line for path in WORKFLOWS for line in path.read_text("utf-8").splitlines()]
    words = {word for line in lines if "docker run" in line for word in line.split()}
    images = {word for word in words if re.match(r"[\w-]+\.[\w.-]+/\S+:", word)}
    assert images
    patterns = [m["matchStrings"][0].replace("(?<", "(?P<") for m in ours]
    assert all(any(re.fullmatch(pattern, image) for pattern in patterns) for image in images)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A docker that answers every question for a digest with the same one."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\necho "${{ANSWER:-{DIGEST}}}"\n')
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def pin(
    registry: Path, text: str, answer: str = "", **more: str
) -> "subprocess.CompletedProcess[str]":
    (registry / "Dockerfile").write_text(text)
    path = f"{registry / 'bin'}:{os.environ['PATH']}"
    return run(".github/pin-bases.sh", registry / "Dockerfile", PATH=path, ANSWER=answer, **more)


def test_a_release_is_built_from_bases_with_digests(registry: Path) -> None:
    text = DOCKERFILE.read_text("utf-8")
    done = pin(registry, text)
    assert done.returncode == 0, done.stderr
    pinned = (registry / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", pinned, re.MULTILINE)
    assert [base.partition("@")[2] for base in bases] == [DIGEST] * 3
    assert pinned.replace(f"@{DIGEST}", "") == text


def test_a_base_that_has_a_digest_keeps_it(registry: Path) -> None:
    own = "sha256:" + "0" * 64
    assert pin(registry, f"FROM a/b:1@{own} AS x\n").returncode == 0
    assert (registry / "Dockerfile").read_text() == f"FROM a/b:1@{own} AS x\n"
    assert not (registry / "asked").exists()


def test_a_rebuild_uses_what_the_tags_are_now(registry: Path) -> None:
    text = f"FROM a/b:1@sha256:{'0' * 64} AS x\nCOPY --from=c@sha256:{'2' * 64} / /\n"
    assert pin(registry, text, RENEW="1").returncode == 0
    pinned = (registry / "Dockerfile").read_text()
    assert pinned == text.replace("0" * 64, DIGEST.partition(":")[2])
    weekly = yaml.safe_load((ROOT / ".github/workflows/rebuild.yml").read_text("utf-8"))
    assert weekly["jobs"]["image"]["with"]["renew"] is True


@pytest.mark.parametrize(
    ("text", "answer", "complaint"),
    [
        ("FROM a/b:1\n", "unauthorized", "a/b:1: no digest, but: unauthorized"),
        ("FROM a/b\n", "", "not pinned"),
    ],
    ids=["the registry refuses", "a base without a tag"],
)
def test_a_base_without_a_digest_stops_the_release(
    registry: Path, text: str, answer: str, complaint: str
) -> None:
    done = pin(registry, text, answer)
    assert done.returncode != 0
    assert complaint in done.stderr
