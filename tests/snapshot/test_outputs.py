"""Each output is valid by its format's own schema or reader, whatever the messages hold."""

import csv
import io
import json
import re
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import xmlschema
from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # no stubs in the lock
from markdown_it import MarkdownIt

from exporter.model.resource import (
    CLUSTER_POLICIES,
    CLUSTER_POLICY_REPORTS,
    EVENTS,
    NAMESPACES,
)
from exporter.simulator import Store
from exporter.simulator.checks import CHECKS
from exporter.simulator.kyverno import ReportTarget
from exporter.snapshot.ci import CSV_COLUMNS
from exporter.snapshot.document import one_line, printable
from tests.apiserver.faults import Answer
from tests.app.conftest import Beside
from tests.snapshot.inputs import FORMS, Object, Text, report, result, saved, taken
from tests.truth.states import bare

pytestmark = pytest.mark.tier("simulator")

FORMATS = Path(__file__).parents[1] / "fixtures" / "formats"
HOSTILE = (
    "=1+1 ]]></failure> | <script>alert(1)</script> & \"quoted\" 'single' `code` ``two``\n"
    "::error::injected %0A::warning::too\r\n##[error]x @everyone #1 [link](https://x.example) "
    "![](x) <!-- --> \\| \x00\x1b[31mred\x1b[0m \x9b1m \u202eturned\u2066 \ufeff\uffff "
    "e\u0301 \U0001f600"
)
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1")  # noqa: RUF001 - a wide one


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One snapshot whose every text is hostile, in every form."""
    directory = tmp_path_factory.mktemp("hostile")
    items = [
        report("web", result("p", "fail", message=HOSTILE)),
        report("names", result(HOSTILE[:60], "fail", rule=HOSTILE[:60])),
        report("::error::name", result("::error::p", "error", "low", rule="::error::r")),
        *(report(each, result("q", "fail", message=each)) for each in FORMULAS),
    ]
    path = saved(directory / "list.json", *items)
    outputs = [f"--output={form}={directory / form}" for form in FORMS]
    assert taken(path, *outputs, "--cluster", f"prod {HOSTILE[:40]}", "--all") == 0
    return {form: (directory / form).read_text(encoding="utf-8") for form in FORMS}


def test_junit_is_valid_and_holds_the_message(hostile: dict[str, str]) -> None:
    xmlschema.XMLSchema(FORMATS / "junit-10.xsd").validate(hostile["junit"])
    root = ET.fromstring(hostile["junit"])
    texts = [each.text for each in root.iter("failure")]
    assert printable(HOSTILE).replace("\r\n", "\n") in texts
    assert len(list(root.iter("error"))) == 1
    for suite in root:
        cases = list(suite)
        assert int(suite.attrib["tests"]) == len(cases)
        assert int(suite.attrib["failures"]) == len(list(suite.iter("failure")))


def test_sarif_is_valid_and_holds_the_message(hostile: dict[str, str]) -> None:
    made = valid_sarif(hostile["sarif"])
    [run] = made["runs"]
    assert any(printable(HOSTILE) in each["message"]["text"] for each in run["results"])
    for each in run["results"]:
        uri = each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9._~%/-]+", uri)
        assert unquote(uri).startswith("shop/Deployment/")
        assert run["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] == each["ruleId"]


def valid_sarif(text: str) -> Object:
    made: Object = json.loads(text)
    schema = json.loads((FORMATS / "sarif-2.1.0.json").read_text())
    Draft4Validator(schema).validate(made)
    return made


COMMAND = re.compile(r"::(error|warning|notice) title=([^:,\r\n]*)::([^\r\n]*)")


def test_github_takes_every_line_for_the_command_that_it_is(hostile: dict[str, str]) -> None:
    lines = hostile["github"].split("\n")
    assert lines.pop() == ""
    found = [COMMAND.fullmatch(line) for line in lines]
    assert all(found)
    texts = [unquote(each[3]) for each in found if each]
    assert any(printable(HOSTILE) in text for text in texts)
    assert texts[-1].startswith("0.0 % of ")


def test_csv_has_a_cell_for_each_column_and_no_formula(hostile: dict[str, str]) -> None:
    rows = list(csv.reader(io.StringIO(hostile["csv"], newline="")))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert {len(row) for row in rows} == {len(CSV_COLUMNS)}
    for cell in (cell for row in rows for cell in row):
        assert not re.match(r"\s*[=+\-@＝＋－＠]", cell)  # noqa: RUF001 - wide ones
    messages = [row[CSV_COLUMNS.index("message")] for row in rows]
    assert "'" + printable(HOSTILE.replace("\r\n", "\n")) in messages


def test_markdown_renders_as_text_and_nothing_else(hostile: dict[str, str]) -> None:
    html = MarkdownIt("commonmark").enable("table").render(hostile["markdown"])
    found = Elements.of(html)
    known = "h2 h3 p strong details summary table thead tbody tr th td code ul li blockquote"
    assert set(found.names) <= set(known.split())
    assert one_line(HOSTILE)[:100] in found.text
    cells = re.findall(r"<tr>.*?</tr>", html, re.DOTALL)
    assert {row.count("<td") for row in cells} <= {0, 3, 4, 6}
    # Mentions, references and links are only looked for outside of code.
    outside = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
    assert not re.search(r"[@#]\w|://", outside)


class Elements(HTMLParser):
    """The names of elements, their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    @classmethod
    def of(cls, html: str) -> "Elements":
        made = cls()
        made.feed(html)
        made.close()
        return made

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_has_no_script_no_link_and_holds_the_message(hostile: dict[str, str]) -> None:
    found = Elements.of(hostile["html"])
    assert not {"script", "a", "img", "link", "iframe", "form"} & set(found.names)
    assert {"src", "href", "onclick", "onload"}.isdisjoint(name for name, _ in found.attributes)
    assert one_line(HOSTILE)[:100] in found.text
    assert "url(" not in hostile["html"]


def test_the_table_obeys_nothing_in_a_message(hostile: dict[str, str]) -> None:
    unseen = set(
        re.findall(
            r"[^\t\n -~\u00a1-\u1fff\u3000-\ud7ff\uff01-\uffdc\U0001f600…]", hostile["table"]
        )
    )
    assert unseen == set()
    assert not re.search(r"^\s*(::|##\[)", hostile["table"], re.MULTILINE)
    assert one_line(HOSTILE) in hostile["table"]


def test_enforcement_and_changes_obey_nothing_either(tmp_path: Path) -> None:
    text = HOSTILE[:60]
    namespace = {"metadata": {"name": text, "labels": {"team": HOSTILE}}}
    policy = {"metadata": {"name": text}, "spec": {"rules": []}}
    items = [
        report("a", result(text, "fail", rule=text, message=HOSTILE), metadata=names(text)),
        {"apiVersion": "v1", "kind": "Namespace", **namespace},
        {"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", **policy},
    ]
    path = saved(tmp_path / "now", *items)
    old = saved(tmp_path / "old", report(text, result(text, "fail", message=HOSTILE)))
    enforce = ["--if-enforced=*", f"--baseline={tmp_path / 'old.json'}"]
    assert taken(old, "--if-enforced=*", f"--output=json={tmp_path / 'old.json'}") == 1
    outputs = [f"--output={form}={tmp_path / form}" for form in ("table", "markdown", "html")]
    assert taken(path, *enforce, *outputs) == 1
    table, markdown, html = (
        (tmp_path / form).read_text() for form in ("table", "markdown", "html")
    )
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", table)
    assert not re.search(r"(?m)^\s*(::|##\[)", table)
    rendered = MarkdownIt("commonmark").enable("table").render(markdown)
    assert "would block" in rendered
    for page in (rendered, html):
        found = Elements.of(page)
        assert not {"script", "a", "img"} & set(found.names)
        assert one_line(text) in found.text


def names(namespace: str) -> Object:
    return {"name": "r", "namespace": namespace}


def test_json_holds_the_message_as_it_is(hostile: dict[str, str]) -> None:
    assert HOSTILE in [each["message"] for each in json.loads(hostile["json"])["failing"]]


INCOMPLETE: dict[str, tuple[list[Object], str, int]] = {
    "malformed": (
        [report("web", result("p", "pass")), report("bad", {"policy": 7})],
        "1 report was skipped, first:",
        3,
    ),
    "cut": ([report("web", result("p", "pass"), summary={"pass": 1, "fail": 7})], "7 failing", 1),
    "an unknown word": ([report("web", result("p", "Fail"))], "1 result of source kyverno", 3),
    "nothing": ([], "No policy reports found", 2),
}


@pytest.mark.parametrize(("items", "said", "status"), INCOMPLETE.values(), ids=INCOMPLETE.keys())
def test_every_output_reports_that_it_is_incomplete(
    items: list[Object], said: str, status: int, tmp_path: Path, capsys: Text
) -> None:
    path = saved(tmp_path / "list.json", *items)
    outputs = [f"--output={form}={tmp_path / form}" for form in FORMS]
    assert taken(path, *outputs, "--fail-on=fail") == status
    capsys.readouterr()
    for form in FORMS:
        text = (tmp_path / form).read_text()
        assert said in plain(form, text), form
        assert not re.search(r"no failing checks on", text), form
    check_incomplete(tmp_path)


def plain(form: str, text: str) -> str:
    """Read a form as its reader does."""
    if form in ("markdown", "html"):
        return Elements.of(MarkdownIt().render(text) if form == "markdown" else text).text
    if form == "json":
        made = json.loads(text)
        return f"{made['problems']} {made['not_itemised']['fail']} failing"
    return unquote(text) if form == "github" else text


def check_incomplete(directory: Path) -> None:
    root = ET.parse(directory / "junit").getroot()
    assert root.findall("testsuite[@name='snapshot-incomplete']/testcase/error")
    [run] = valid_sarif((directory / "sarif").read_text())["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False
    assert run["results"][0]["ruleId"] == "snapshot-incomplete"
    assert (directory / "github").read_text().startswith("::error title=Incomplete snapshot::")
    rows = list(csv.DictReader((directory / "csv").read_text().splitlines()))
    assert rows[0]["result"] == "incomplete"


def test_every_output_names_the_reports_that_are_forbidden(
    beside: Beside, tmp_path: Path, capsys: Text
) -> None:
    name = CLUSTER_POLICY_REPORTS.name
    beside.do(lambda: beside.api.faults.add(Answer(403, "no"), name, times=None))
    outputs = [f"--output={form}={tmp_path / form}" for form in FORMS]
    arguments = [f"--kubeconfig={beside.kubeconfig}", "--severity=info", *outputs]
    assert taken(*arguments) == 0
    for form in FORMS:
        assert f"{name} cannot be read" in plain(form, (tmp_path / form).read_text()), form
    check_incomplete(tmp_path)


def test_a_cluster_that_cannot_be_read_is_reported_and_replaces_older_files(
    beside: Beside, tmp_path: Path, capsys: Text
) -> None:
    beside.do(lambda: beside.api.faults.add(Answer(500, "etcd is gone"), times=None))
    outputs = [f"--output={form}={tmp_path / form}" for form in FORMS]
    for form in FORMS:
        (tmp_path / form).write_text("everything is fine")
    assert taken(f"--kubeconfig={beside.kubeconfig}", "--cluster=prod", *outputs) == 3
    assert "etcd is gone (500)" in capsys.readouterr().err
    for form in ("junit", "sarif", "markdown", "github", "csv", "html"):
        text = plain(form, (tmp_path / form).read_text())
        assert "The cluster could not be read: " in text, form
        assert "etcd is gone" in text, form
        assert "fine" not in text, form
        assert not re.search(r"\b0 (reports|failing|of)\b", text), form
    check_incomplete(tmp_path)


BAD_OUTPUTS: dict[str, tuple[list[str], str]] = {
    "no such form": (["--output=xml"], "--output xml: expected one of table, json"),
    "no file": (["--output=junit="], "--output junit=: expected one of"),
    "two to standard output": (["-o", "csv", "-o", "json"], "write it to a file"),
    "no such directory": (["-o", "csv=/nonexistent/x"], "--output csv=/nonexistent/x: No such"),
}


@pytest.mark.parametrize(("flags", "said"), BAD_OUTPUTS.values(), ids=BAD_OUTPUTS.keys())
def test_an_output_that_cannot_be_written_is_a_usage_error(
    flags: list[str], said: str, tmp_path: Path, capsys: Text
) -> None:
    path = saved(tmp_path / "list.json", report("web", result("p", "pass")))
    assert taken(path, *flags) == 2
    assert said in capsys.readouterr().err


def test_several_outputs_come_of_one_reading(tmp_path: Path, capsys: Text) -> None:
    path = saved(tmp_path / "list.json", report("web", result("p", "fail")))
    assert taken(path, f"--output=csv={tmp_path / 'a.csv'}", "--output=table") == 0
    assert "shop\tDeployment\tweb" in capsys.readouterr().out
    assert "shop,Deployment,web" in (tmp_path / "a.csv").read_text()


def test_sarif_leaves_the_least_severe_out_where_github_takes_no_more(tmp_path: Path) -> None:
    items = [
        report(f"w{n}", *(result(f"p{i}", "fail", "low") for i in range(250))) for n in range(101)
    ]
    items.append(report("worst", result("p", "fail", "critical")))
    path = saved(tmp_path / "list.json", *items)
    assert taken(path, f"--output=sarif={tmp_path / 's'}") == 0
    [run] = json.loads((tmp_path / "s").read_text())["runs"]
    assert len(run["results"]) == 25_000
    assert "251 of 25251 results are left out" in run["results"][0]["message"]["text"]
    assert run["results"][1]["level"] == "error"


def test_blocks_that_no_list_has_room_for_are_not_counted_as_none(
    tmp_path: Path, capsys: Text
) -> None:
    store = Store(time.time)
    world = bare(store)
    enforced = next(check for check in CHECKS if check.ready and check.action == "Enforce")
    for number in range(140):
        namespace = ("shop", "default")[number % 2]
        target = ReportTarget("Pod", namespace, f"pod-{number}", store.uid())
        world.block(enforced, target, time.time() - 60)
    resources = (EVENTS, NAMESPACES, CLUSTER_POLICIES)
    items = [each.data for resource in resources for each in store.all(resource.name)]
    path = saved(tmp_path / "list.json", *items, report("web", result("p", "pass")))
    outputs = [f"--output={form}={tmp_path / form}" for form in ("json", "table", "html")]
    assert taken(path, "--team=team=shop", "--all", *outputs, "--output=markdown") == 0
    made = json.loads((tmp_path / "json").read_text())
    assert (len(made["blocked"]), made["blocked_capped"]) == (50, True)
    assert "(50 of at least 50)" in capsys.readouterr().out
    assert ", newest 50 of at least 50" in (tmp_path / "table").read_text()
    assert "at least 50" in Elements.of((tmp_path / "html").read_text()).text
