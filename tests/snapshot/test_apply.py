"""What a real ``kyverno apply --policy-report`` printed, through every output of a snapshot.

The files are of Kyverno 1.19.0; tests/kyverno/test_apply.py compares them with its command.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exporter.model.resource import CLUSTER_REPORTS, REPORTS
from tests.snapshot.inputs import Text, json_of, report, result, saved, taken
from tests.snapshot.test_outputs import FORMATS
from tests.snapshot.test_real import every_output

pytestmark = pytest.mark.tier("simulator")

APPLY = FORMATS.parent / "kyverno-apply-1.19"
CEL = "KyvernoValidatingPolicy"


class Failure(NamedTuple):
    severity: str
    result: str
    namespace: str
    kind: str
    name: str
    policy: str
    rule: str
    source: str


FAILING = {
    Failure("critical", "fail", "bakery", "Deployment", "oven", "few-replicas", "", CEL),
    Failure("high", "fail", "", "Namespace", "bakery", "require-owner", "owner-label", "kyverno"),
    *(
        Failure("high", "fail", namespace, "Deployment", name, "require-owner", rule, "kyverno")
        for namespace, name, rule in (
            ("bakery", "oven", "not-root"),
            ("bakery", "till", "owner-label"),
            ("harbour", "legacy", "not-root"),
        )
    ),
    Failure(
        *("medium", "fail", "bakery", "Deployment", "oven"),
        *("bakery/small-images", "no-latest", "kyverno"),
    ),
    # It evaluates a namespaced CEL policy for other namespaces, too; its report is in this one.
    *(
        Failure("none", "fail", "bakery", "Deployment", name, "bakery/small-images", "", CEL)
        for name in ("legacy", "oven")
    ),
    *(
        Failure("none", "error", namespace, "Deployment", name, "team-annotation", "", CEL)
        for namespace, name in (("bakery", "till"), ("harbour", "legacy"))
    ),
}


def failing(made: Any) -> set[Failure]:
    found = [Failure(*(row[each] for each in Failure._fields)) for row in made["failing"]]
    assert len(found) == len({*found})
    return {*found}


PASSED = {"report": 6, "changed": 10}
"""Rules that change or generate resources have results, too."""


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("name", PASSED)
def test_each_format_goes_through_every_output(name: str, form: str, tmp_path: Path) -> None:
    made = every_output(tmp_path, str(APPLY / f"{name}-{form}.txt"))
    assert failing(made) == FAILING
    assert (made["results"]["pass"], made["results"]["skip"]) == (PASSED[name], 5)
    assert made["problems"] == []


def test_standard_input_is_read_like_a_file(capsys: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    body = io.BytesIO((APPLY / "changed-yaml.txt").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(body))
    assert taken("-", "--output=json") == 0
    assert failing(json.loads(capsys.readouterr().out)) == FAILING


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_the_line_about_its_exit_status_is_no_report(form: str, tmp_path: Path) -> None:
    path = APPLY / f"warned-{form}.txt"
    assert path.read_bytes().endswith(b"\nexit as warnExitCode is 3")
    made = json_of(tmp_path / "json", str(path), "--fail-on=fail")
    assert made["results"]["warn"] == 3
    assert made["problems"] == []
    assert taken(str(path), "--fail-on=warn") == 1


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_policy_that_it_did_not_evaluate_does_not_pass(
    form: str, tmp_path: Path, capsys: Text
) -> None:
    path = APPLY / f"skipped-{form}.txt"
    assert taken(str(path), "--fail-on=fail", f"--output=json={tmp_path / 'json'}") == 3
    made = json.loads((tmp_path / "json").read_text())
    assert made["results"]["pass"] == 3
    [problem] = made["problems"]
    expected = f"Not everything was evaluated: {path}:2: kyverno apply: Policies Skipped: 1. asks-"
    assert problem.startswith(expected)
    assert taken(str(path), "--if-enforced=has-name") == 3
    assert f"{path}:2: kyverno apply: Policies Skipped" in capsys.readouterr().err


def test_what_it_did_not_evaluate_may_follow_what_it_changed(tmp_path: Path) -> None:
    """No newline is between them: as it prints passes.yaml, changes.yaml and unusable.yaml."""
    changed = (APPLY / "changed-yaml.txt").read_bytes()
    end = b"Mutation has been applied successfully."
    head = changed[: changed.rindex(end) + len(end)]
    (tmp_path / "printed").write_bytes(head + (APPLY / "skipped-yaml.txt").read_bytes())
    made = json_of(tmp_path / "json", str(tmp_path / "printed"))
    assert made["results"]["pass"] == 3
    assert "Policies Skipped: 1. asks-who" in made["problems"][0]


def test_reports_of_one_name_are_all_read(tmp_path: Path) -> None:
    paths = []
    for name in ("oven", "till"):
        item = report(name, result("p", "fail"))
        item |= {"kind": CLUSTER_REPORTS.kind, "apiVersion": CLUSTER_REPORTS.api_version}
        item["metadata"] = {"name": "merged"}
        paths.append(saved(tmp_path / name, item))
    made = json_of(tmp_path / "json", *paths)
    assert {row["name"] for row in made["failing"]} == {"oven", "till"}
    assert made["reports"] == 2


def test_an_object_that_the_api_server_named_is_read_once(tmp_path: Path) -> None:
    item = report("oven", result("p", "fail"))
    item["metadata"]["resourceVersion"] = "7"
    paths = [saved(tmp_path / name, item) for name in ("before", "after")]
    assert json_of(tmp_path / "json", *paths)["results"]["fail"] == 1


STRANGE = {
    "no apiVersion": {"apiVersion": "", "kind": CLUSTER_REPORTS.kind},
    "a kind that the API group has not": {"apiVersion": REPORTS.api_version, "kind": "ReportCard"},
}


@pytest.mark.parametrize("head", STRANGE.values(), ids=STRANGE.keys())
def test_what_looks_like_a_report_and_is_none_does_not_pass(
    head: dict[str, str], tmp_path: Path, capsys: Text
) -> None:
    strange = report("oven", result("p", "fail")) | head
    path = saved(tmp_path / "list", report("till", result("p", "pass")), strange)
    assert taken(path, "--fail-on=fail") == 3
    assert f"{path}: shop/r-oven: expected a kind of report" in capsys.readouterr().err
