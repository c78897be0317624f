"""The documentation's queries and configurations: jq answers, LogQL and YAML can be read."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.journal.line import Line
from grafana import classic
from grafana.build import optional
from tests.tools import tool

pytestmark = pytest.mark.tier("monitoring")

PAGE: Final = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
QUERIES: Final = PAGE.partition("## Questions and queries")[2]
JQ: Final = dict(re.findall(r"### ([^\n]+)\n(?:(?!###).)*?```sh\n(.*?)```", QUERIES, re.DOTALL))
TUESDAY: Final = "2026-11-24"


def line(name: str, at: str, number: int, **fields: Any) -> dict[str, Any]:
    known = {"timestamp": at, "observed_timestamp": at, "event_name": name, "id": f"{number:032x}"}
    return known | {"severity_text": "INFO"} | fields


def about(name: str, policy: str, team: str = "checkout") -> dict[str, Any]:
    return {
        "namespace": "payments",
        "namespace_labels": {"team": team},
        "resource_kind": "Deployment",
        "resource_name": name,
        "policy": policy,
        "rule": "r",
        "source": "kyverno",
        "body": f"{name} is wrong",
    }


def blocked(number: int, at: str, name: str = "debug", team: str = "checkout") -> dict[str, Any]:
    return line("request_blocked", at, number, **about(name, "registries", team))


OPENED: Final = f"{TUESDAY}T09:30:00.000Z"
LINES: Final = [
    line("exporter_started", f"{TUESDAY}T00:00:00.000Z", 1, reason="no_checkpoint"),
    blocked(2, f"{TUESDAY}T08:00:00.000Z"),
    blocked(3, f"{TUESDAY}T08:01:00.000Z", team="search", name="api"),
    blocked(4, f"{TUESDAY}T08:02:00.000Z"),
    blocked(4, f"{TUESDAY}T08:02:00.000Z"),
    blocked(5, "2026-11-25T08:02:00.000Z", name="other"),
    line(
        "policy_changed",
        f"{TUESDAY}T09:00:00.000Z",
        6,
        policy="labels",
        reason="changed",
        former_mode="audit",
        mode="enforce",
    ),
    line("policy_changed", f"{TUESDAY}T09:01:00.000Z", 7, policy="other", reason="deleted"),
    line("failure_opened", OPENED, 8, since=OPENED, **about("checkout", "labels")),
    line("failure_opened", OPENED, 9, since=OPENED, **about("checkout", "probes")),
    line(
        "failure_closed",
        f"{TUESDAY}T12:00:00.000Z",
        10,
        since=OPENED,
        reason="pass",
        duration_seconds=9000,
        **about("checkout", "probes"),
    ),
    line("gap", f"{TUESDAY}T13:00:00.000Z", 11, reason="journal_full", lines=3),
]
ANSWERS: Final = {
    "Which requests were refused on Tuesday?": [
        "2026-11-24T08:00:00.000Z\tpayments\tDeployment/debug\tregistries\tdebug is wrong",
        "2026-11-24T08:01:00.000Z\tpayments\tDeployment/api\tregistries\tapi is wrong",
        *["2026-11-24T08:02:00.000Z\tpayments\tDeployment/debug\tregistries\tdebug is wrong"] * 2,
    ],
    "How long has this check failed?": [
        "2026-11-24T09:30:00.000Z labels/r: checkout is wrong",
        "2026-11-24T09:30:00.000Z probes/r: checkout is wrong",
    ],
    "How was it fixed, and after how long?": [
        "2026-11-24T12:00:00.000Z checkout checkout probes: pass after 9000 s"
    ],
    "Which teams are refused most often?": ["3\tcheckout", "1\tsearch"],
    "What is still open?": ["payments checkout labels since 2026-11-24T09:30:00.000Z"],
    "How long does a fix take, by policy?": ["probes\t1\t2.5\thours"],
    "Which policies were changed, and which started to block?": [
        "2026-11-24T09:00:00.000Z labels: audit to enforce"
    ],
    "Which failures followed the change of a policy?": [
        "2026-11-24T09:30:00.000Z payments checkout labels"
    ],
    "Which requests are refused repeatedly?": [
        "2\tpayments\tDeployment/debug\tregistries",
        "1\tpayments\tDeployment/api\tregistries",
        "1\tpayments\tDeployment/other\tregistries",
    ],
    "Is the journal complete?": [
        "2026-11-24T00:00:00.000Z\texporter_started\tno_checkpoint\t\t",
        "2026-11-24T13:00:00.000Z\tgap\tjournal_full\t\t3",
    ],
}


def test_each_question_has_both_queries() -> None:
    questions = re.findall(r"### ([^\n]+)\n", QUERIES)
    assert len(questions) == QUERIES.count("```logql") == len(JQ) == 10
    assert list(ANSWERS) == questions


@pytest.mark.parametrize("question", ANSWERS)
def test_jq_answers_a_question(question: str, tmp_path: Path) -> None:
    jq = tool("jq")
    (tmp_path / "journal.jsonl").write_text("\n".join(map(json.dumps, LINES)))
    command = JQ[question].replace("jq ", f"{jq} ", 1)
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ANSWERS[question]


def errors(*queries: str) -> list[list[str]]:
    """Read LogQL with Grafana's grammar; give what it does not understand of each query."""
    command = ["node", str(Path(__file__).parent / "logql" / "errors.mjs"), str(tool("logql"))]
    done = subprocess.run(
        command, input=json.dumps(queries), check=True, capture_output=True, text=True
    )
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_the_page_s_and_the_dashboard_s_queries_are_logql() -> None:
    (dashboard,) = optional().values()
    panels = classic.read(json.loads(dashboard)).all_panels()
    shown = [target.expr for panel in panels for target in panel.targets]
    shown = [re.sub(r"\$__\w+", "5m", query).replace("$owner", "team") for query in shown]
    queries = [*re.findall(r"```logql\n(.*?)```", PAGE, re.DOTALL), *shown]
    assert len(queries) > len(JQ)
    found = dict(zip(queries, errors(*queries), strict=True))
    assert {query: wrong for query, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    "query",
    [
        '{job="a"} | json | namespace=payments',
        'sum by (namespace) (count_over_time({job="a"} | json))',
        'topk(10 sum(rate({job="a"}[5m])))',
        '{job="a"} | jsn',
    ],
)
def test_a_query_that_is_no_logql_is_found(query: str) -> None:
    assert errors(query) != [[]]


def test_queries_name_fields_of_a_line() -> None:
    known = {*Line.__struct_fields__, "namespace_labels_team", "team", "count"}
    templates = re.findall(r"\{\{\.(\w+)\}\}", QUERIES)
    filters = re.findall(r"\| (\w+)!?=", QUERIES)
    steps = re.findall(r"(?<![\w\])\]])\.([a-z_]+)\b", " ".join(JQ.values()))
    assert {*templates, *filters, *steps} - {"jsonl"} <= known


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_configurations_are_yaml(block: str) -> None:
    assert isinstance(yaml.safe_load(block), dict)
