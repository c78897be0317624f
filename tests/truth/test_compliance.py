"""One cluster gives one compliance on every surface, to the last digit shown."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from grafana.dashboards.promql import compliance
from tests.alerts.rulebook import promtool
from tests.app.commands import ROOT, serving
from tests.app.running import parse
from tests.tools import eventually, tool
from tests.truth.states import State, only, report
from tests.truth.test_states import InState, get, snapshot

WORDS = ["pass"] * 5 + ["fail", "fail", "error", "warn", "skip"]
CLUSTER = State(
    "compliance",
    "Passes, failures, errors, warnings, skips, and copies that other objects own",
    "live",
    1,
    "",
    only(
        report("web", *WORDS, kind="Deployment"),
        report("pod", "pass", "pass", "fail", kind="Pod"),
        report("web-5d59d67564", *["fail"] * 7, "pass", kind="ReplicaSet"),
        report("web-5d59d67564-x7k2p", "error", "pass", kind="Pod"),
    ),
)
EXPECTED = 7 / (7 + 3 + 1)
EVERYTHING = 9 / (9 + 10 + 2)


class Surfaces:
    """A served cluster, and its snapshot."""

    def __init__(self, directory: Path, url: str, access: str) -> None:
        self.directory = directory
        self.url = url
        self.access = access

    def overview(self, query: str = "") -> dict[str, object]:
        found = json.loads(get(f"{self.url}/api/v1/status{query}")[1])["overview"]
        assert isinstance(found, dict)
        return found

    def snapshot(self, *flags: str) -> str:
        return snapshot(self.directory, self.access, *flags).stdout


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surfaces]:
    directory = tmp_path_factory.mktemp("compliance")
    beside = InState(directory, CLUSTER)
    try:
        with serving(directory, beside.api.url) as command:
            eventually(lambda: get(f"{command.url}/-/ready")[0] == 200)
            yield Surfaces(directory, command.url, f"--kubeconfig={beside.kubeconfig}")
    finally:
        beside.close()


pytestmark = [pytest.mark.tier("simulator"), pytest.mark.xdist_group("compliance")]


def test_the_api_and_the_snapshots_give_the_same_share(surfaces: Surfaces) -> None:
    assert surfaces.overview()["compliance"] == EXPECTED
    assert json.loads(surfaces.snapshot("--output=json"))["compliance"] == EXPECTED


def test_every_object_can_be_asked_for_everywhere(surfaces: Surfaces) -> None:
    assert surfaces.overview("?count=objects")["compliance"] == EVERYTHING
    text = surfaces.snapshot("--output=json", "--count=objects")
    assert json.loads(text)["compliance"] == EVERYTHING


def test_the_page_and_the_table_round_it_down_alike(surfaces: Surfaces) -> None:
    page = get(surfaces.url)[1]
    assert re.search(r"<strong>63.6 %</strong>", page)
    assert "63.6 % of 11 checks comply" in surfaces.snapshot()


def samples(surfaces: Surfaces) -> str:
    """Write the scraped results as the input of a promtool test."""
    rows = []
    for series, value in parse(get(f"{surfaces.url}/metrics")[1]).items():
        if series.name == "policyreport_results":
            labels = ",".join(f'{k}="{v}"' for k, v in series.labels)
            rows.append(f"      - {{series: '{series.name}{{{labels}}}', values: '{value}+0x10'}}")
    return "\n".join(rows)


def asked(directory: Path, surfaces: Surfaces, expr: str) -> None:
    """Let promtool evaluate an expression over what was scraped; it must give the share."""
    rules = ROOT / "alerts" / "recording.rules.yaml"
    (directory / "recording.rules.yaml").write_text(rules.read_text())
    (directory / "tests.yaml").write_text(
        "rule_files: [recording.rules.yaml]\n"
        "evaluation_interval: 1m\n"
        "tests:\n"
        "  - interval: 1m\n"
        "    input_series:\n"
        f"{samples(surfaces)}\n"
        "    promql_expr_test:\n"
        f"      - expr: 'abs({expr} - {EXPECTED!r}) < bool 1e-9'\n"
        "        eval_time: 5m\n"
        "        exp_samples: [{labels: '{}', value: 1}]\n"
    )
    content, output = promtool(tool("promtool"), "test", "rules", "tests.yaml", at=directory)
    assert content, output


@pytest.mark.tier("monitoring")
def test_the_recording_rule_gives_it(surfaces: Surfaces, tmp_path: Path) -> None:
    asked(tmp_path, surfaces, "sum(cluster:policyreport_compliance:ratio)")


@pytest.mark.tier("monitoring")
def test_the_dashboards_query_gives_it(surfaces: Surfaces, tmp_path: Path) -> None:
    asked(tmp_path, surfaces, f"sum({compliance()})")
