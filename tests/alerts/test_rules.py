"""The shipped rules: what promtool says, and what every alert owes its reader."""

import re
from pathlib import Path

import promql_parser as promql
import pytest
import yaml

from alerts.build import HERE, build, read_values
from tests.alerts.catalogue import EXTERNAL, families
from tests.alerts.rulebook import (
    PROMTOOLS,
    RUNBOOKS,
    Rule,
    alerts,
    groups,
    promtool,
    records,
    rules,
    selectors,
    suite_of,
    suites,
)
from tests.tools import tool

SEVERITIES = {"critical", "warning", "notice", "info", "none"}
COMPONENTS = {"policy", "enforcement", "pipeline", "watchdog"}
OWNERS = {"team", "policy", "platform", "security"}
DASHBOARDS = {
    "policy-overview",
    "policy-namespace",
    "policy-policy",
    "policy-enforcement",
    "policy-exporter",
}
DOCUMENT = (HERE.parent / "docs" / "alerting.md").read_text()
SECTIONS = ("## Meaning", "## Impact", "## Diagnosis", "## Mitigation")
monitoring = pytest.mark.tier("monitoring")


@pytest.mark.parametrize("name", [*build(read_values(HERE / "values.yaml"))])
def test_what_is_generated_is_current(name: str) -> None:
    made = build(read_values(HERE / "values.yaml"))[name]
    assert (HERE / name).read_text() == made, "make rules"


def test_a_value_of_ones_own_reaches_expression_and_text(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("spike_blocks_ratio: '77'\n")
    text = build(read_values(HERE / "values.yaml", mine))["alerts.rules.yaml"]
    assert "<= 77 * last_over_time" in text
    assert "more than 77 times its mean" in text


def test_an_unknown_value_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("spike_block: '77'\n")
    with pytest.raises(SystemExit, match="unknown: spike_block"):
        read_values(HERE / "values.yaml", mine)


def test_every_value_is_used() -> None:
    sources = "".join(path.read_text() for path in (HERE / "rules").glob("*.yaml"))
    used = set(re.findall(r"\$\{(\w+)\}", sources))
    assert used == read_values(HERE / "values.yaml").keys()


@monitoring
@pytest.mark.parametrize("program", PROMTOOLS)
def test_promtool_finds_nothing_in_the_rules(program: str) -> None:
    files = sorted(path.name for path in HERE.glob("*.rules.yaml"))
    content, output = promtool(
        tool(program), "check", "rules", "--lint=all", "--lint-fatal", *files
    )
    assert content, output


@monitoring
@pytest.mark.parametrize("program", PROMTOOLS)
@pytest.mark.parametrize("suite", suites(), ids=lambda path: path.stem)
def test_rules_behave_as_written(suite: Path, program: str) -> None:
    content, output = promtool(tool(program), "test", "rules", suite.name, at=suite.parent)
    assert content, output


def test_each_alert_has_its_suite_and_no_suite_is_left_over() -> None:
    assert {path.stem for path in suites()} == {*alerts(), "recording"}


def test_alert_names_are_unique() -> None:
    names = [rule.alert for rule in rules() if rule.alert]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", [*alerts()])
def test_each_alert_fires_and_stays_silent(name: str) -> None:
    checkpointer = [
        moment
        for case in suite_of(name).tests
        for moment in case.alert_rule_test
        if moment.alertname == name
    ]
    assert any(moment.exp_alerts for moment in checkpointer)
    assert any(not moment.exp_alerts for moment in checkpointer)


@pytest.mark.parametrize("path", suites(), ids=lambda path: path.stem)
def test_each_suite_fixes_the_order_of_groups(path: Path) -> None:
    """Without it promtool takes another order each time, and alerts see recorded values late."""
    suite = suite_of(path.stem)
    named = [
        group["name"]
        for file in suite.rule_files
        for group in yaml.safe_load((path.parent / file).read_text())["groups"]
    ]
    assert len(named) == 1 or suite.group_eval_order == named


def choices(rule: Rule, label: str) -> list[str]:
    """Return the values that a label may have: a template chooses between words."""
    return re.findall(r"}}(\w+){{", rule.labels[label]) or [rule.labels[label]]


@pytest.mark.parametrize("rule", [*alerts().values()], ids=[*alerts()])
def test_no_severity_of_an_alert_mutes_another_of_its_name(rule: Rule) -> None:
    """In kube-prometheus-stack critical mutes warning, and both mute info, under one name."""
    assert len({"critical", "warning", "info"} & {*choices(rule, "severity")}) <= 1


def test_what_is_on_by_default_is_no_more_than_a_reader_can_know() -> None:
    default = yaml.safe_load((HERE / "alerts.rules.yaml").read_text())["groups"]
    assert sum("alert" in rule for group in default for rule in group["rules"]) <= 24


@pytest.mark.parametrize("rule", [*alerts().values()], ids=[*alerts()])
def test_each_alert_names_its_cluster_and_links_to_it(rule: Rule) -> None:
    assert "$labels.cluster" in rule.annotations["summary"] + rule.annotations["description"]
    assert "var-cluster={{ . | urlquery }}" in rule.annotations["dashboard_url"]


@pytest.mark.parametrize("rule", [*alerts().values()], ids=[*alerts()])
def test_each_alert_can_be_routed_and_followed(rule: Rule) -> None:
    assert re.fullmatch(r"(Policy|Kyverno)[A-Za-z]+", rule.alert)
    assert set(choices(rule, "severity")) <= SEVERITIES
    assert rule.labels["component"] in COMPONENTS
    assert set(choices(rule, "owner")) <= OWNERS
    assert {"summary", "description", "dashboard_url", "runbook_url"} == rule.annotations.keys()
    assert rule.annotations["runbook_url"].endswith(f"/docs/runbooks/{rule.alert}.md")
    dashboard = re.match(r"/d/([\w-]+)", rule.annotations["dashboard_url"])
    assert dashboard is not None
    assert dashboard[1] in DASHBOARDS
    assert rule.wait
    assert rule.keep_firing_for


@pytest.mark.parametrize("rule", [*alerts().values()], ids=[*alerts()])
def test_each_waiting_time_says_why(rule: Rule) -> None:
    source = "".join(path.read_text() for path in (HERE / "rules").glob("*.yaml"))
    body = source.partition(f"- alert: {rule.alert}\n")[2].partition("- alert:")[0]
    assert re.search(r"^    for: \S+ +# \w", body, re.MULTILINE)
    assert re.search(r"^    keep_firing_for: \S+ +# \w", body, re.MULTILINE)


@pytest.mark.parametrize("rule", [*rules()], ids=lambda rule: rule.alert or rule.record)
def test_every_metric_and_label_is_in_the_catalogue(rule: Rule) -> None:
    known = families()
    for selector in selectors(promql.parse(rule.expr)):
        name = selector.name
        if name in records() or name in EXTERNAL:
            continue
        assert name in known, f"{name} is in no catalogue"
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= known[name], f"{name} has no {labels - known[name]}"


def test_groups_have_unique_names() -> None:
    names = [group.name for group in groups()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", [*alerts()])
def test_each_alert_has_a_runbook_with_queries_that_parse(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    places = [page.index(section) for section in SECTIONS]
    assert places == sorted(places)
    queries = re.findall(r"```promql\n(.*?)```", page, re.DOTALL)
    assert queries
    for query in "".join(queries).strip().splitlines():
        for selector in selectors(promql.parse(query)):
            known = selector.name in records() or selector.name in EXTERNAL
            assert known or selector.name in families(), f"{name}: {selector.name}"
    assert "kubectl " in page


def test_no_runbook_is_left_over() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == alerts().keys()


@pytest.mark.parametrize("rule", [*alerts().values()], ids=[*alerts()])
def test_the_documentation_says_what_the_rule_does(rule: Rule) -> None:
    row = re.search(
        rf"^\| \[{rule.alert}\]\(runbooks/{rule.alert}.md\) .*$", DOCUMENT, re.MULTILINE
    )
    assert row is not None
    severity, owner, times = (cell.strip() for cell in row[0].split("|")[3:6])
    assert severity.split(" or ") == choices(rule, "severity")
    assert owner.split(" or ") == choices(rule, "owner")
    assert times == f"{rule.wait} / {rule.keep_firing_for}"


def test_the_documentation_lists_every_value_with_its_default() -> None:
    rows = re.findall(r"^\| (\w+) \| `(.*?)` \|", DOCUMENT, re.MULTILINE)
    listed = {name: value.replace("\\|", "|") for name, value in rows}
    values = read_values(HERE / "values.yaml")
    assert listed == {name: value for name, value in values.items() if not name.endswith("_url")}
