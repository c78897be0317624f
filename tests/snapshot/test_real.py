"""What real programs write, through every output: kubectl, and Kyverno's own objects."""

import csv
import json
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import xmlschema

from tests.app.conftest import Beside
from tests.snapshot.inputs import FORMS, json_of, taken
from tests.snapshot.test_outputs import COMMAND, FORMATS, Elements, valid_sarif
from tests.tools import tool

pytestmark = pytest.mark.tier("simulator")

KYVERNO = sorted((FORMATS.parent / "kyverno-1.19").glob("*.json"))
ARGUMENTS = (
    *("get", "policyreports,clusterpolicyreports,clusterpolicies,policies,namespaces,events"),
    *("--all-namespaces", "--output"),
)


def every_output(directory: Path, *arguments: str) -> Any:
    """Write every output, check each, and give the JSON form."""
    outputs = [f"--output={form}={directory / form}" for form in FORMS]
    assert taken(*arguments, *outputs, "--all") == 0
    made = json.loads((directory / "json").read_text())
    failing = len(made["failing"])
    xmlschema.XMLSchema(FORMATS / "junit-10.xsd").validate(directory / "junit")
    cases = [*ET.parse(directory / "junit").iter("testcase")]
    bad = [each for each in cases if {"failure", "error"} & {child.tag for child in each}]
    assert len(bad) == failing
    [run] = valid_sarif((directory / "sarif").read_text())["runs"]
    assert len(run["results"]) == failing
    rows = list(csv.DictReader((directory / "csv").read_text().splitlines()))
    assert len(rows) == failing
    lines = (directory / "github").read_text().splitlines()
    assert all(map(COMMAND.fullmatch, lines))
    for form in ("html", "markdown", "table"):
        text = (directory / form).read_text()
        text = Elements.of(text).text if form == "html" else text
        for row in made["failing"]:
            assert row["name"] in text, (form, row)
    return made


def test_what_kyverno_wrote_goes_through_every_output(tmp_path: Path) -> None:
    made = every_output(tmp_path, *map(str, KYVERNO))
    assert made["problems"] == []
    assert made["failing"]
    assert made["blocked"] == []  # Events were read, and are older than an hour


@pytest.mark.tier("cluster")
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_what_kubectl_prints_gives_what_the_cluster_does(
    form: str, beside: Beside, tmp_path: Path
) -> None:
    words = [str(tool("kubectl")), f"--kubeconfig={beside.kubeconfig}", *ARGUMENTS, form]
    printed = subprocess.run(words, capture_output=True, check=True, timeout=60).stdout
    path = tmp_path / "printed"
    path.write_bytes(printed)
    made = every_output(tmp_path, str(path), "--cluster=prod")
    live = json_of(tmp_path / "live", f"--kubeconfig={beside.kubeconfig}", "--cluster=prod")
    # Since when a result fails is when it was seen, and blocks are numbered by reading.
    for rows in (*(each["failing"] for each in (made, live)), made["blocked"], live["blocked"]):
        for row in rows:
            row.pop("since", None)
            row.pop("id", None)
    for name in ("reports", "compliance", "results", "resources", "failing", "blocked"):
        assert made[name] == live[name], name
