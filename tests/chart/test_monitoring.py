"""Scrape configuration, rules and dashboards are as their sources say and the values change."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from alerts import build as rules
from helm.build import CHART, ROOT
from tests.chart.rendering import Chart, Json, Object, Run, at, fields, items, render
from tests.tools import tool

pytestmark = pytest.mark.tier("chart")

ALL_FILES: Object = {
    "prometheusRule": {"files": {"slo": True, "kyverno-webhook": True, "watchdog": True}},
}
BARE = Run(apis=())

WANTED: dict[str, tuple[Object, Run, bool]] = {
    "auto, where the API is": ({}, Run(), True),
    "auto, where it is not": ({}, BARE, False),
    "always": ({"monitoring": {"enabled": True}}, BARE, True),
    "never": ({"monitoring": {"enabled": False}}, Run(), False),
}


@pytest.mark.parametrize(("values", "run", "made"), WANTED.values(), ids=WANTED.keys())
def test_objects_of_the_operator_are_made(values: Object, run: Run, made: bool) -> None:
    kinds = render(values, run).kinds()
    assert ("ServiceMonitor" in kinds, "PrometheusRule" in kinds) == (made, made)


def test_labels_are_honoured_because_namespace_is_the_violating_resources() -> None:
    endpoint = at(render().one("ServiceMonitor"), "spec", "endpoints", 0)
    assert at(endpoint, "honorLabels") is True


def test_a_monitor_selects_the_service_or_the_pods() -> None:
    chart = render()
    wanted = fields(at(chart.one("ServiceMonitor"), "spec", "selector", "matchLabels")).items()
    assert wanted <= fields(at(chart.one("Service"), "metadata", "labels")).items()
    assert at(chart.one("ServiceMonitor"), "spec", "namespaceSelector") is None
    chart = render({"monitoring": {"namespace": "there"}})
    assert at(chart.one("ServiceMonitor"), "spec", "namespaceSelector", "matchNames") == ["here"]
    chart = render({"serviceMonitor": {"enabled": False}, "podMonitor": {"enabled": True}})
    wanted = fields(at(chart.one("PodMonitor"), "spec", "selector", "matchLabels")).items()
    pod = at(chart.one("Deployment"), "spec", "template", "metadata", "labels")
    assert wanted <= fields(pod).items()
    assert at(chart.one("PodMonitor"), "spec", "podMetricsEndpoints", 0, "port") == at(
        chart.container(), "ports", 0, "name"
    )


def test_large_limits_of_a_scrape_are_written_as_whole_numbers() -> None:
    limits = {"sampleLimit": 1_000_000, "targetLimit": 12_345_678}
    chart = render({"serviceMonitor": {**limits}})
    for name, limit in limits.items():
        assert f"\n  {name}: {limit}\n" in chart.text
    assert "e+0" not in chart.text


def test_labels_for_the_selector_of_prometheus_are_on_every_object_of_the_operator() -> None:
    chart = render({"monitoring": {"labels": {"release": "kps"}, "namespace": "monitoring"}})
    found = chart.all("ServiceMonitor") + chart.all("PrometheusRule")
    assert len(found) == 3
    assert {at(o, "metadata", "labels", "release") for o in found} == {"kps"}
    assert {at(o, "metadata", "namespace") for o in found} == {"monitoring"}


def test_annotations_for_a_prometheus_without_operator_are_off_and_can_be_on() -> None:
    annotations = at(render().one("Service"), "metadata", "annotations")
    assert annotations is None
    values: Object = {"service": {"scrapeAnnotations": True, "port": 9999}}
    assert at(render(values).one("Service"), "metadata", "annotations") == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9999",
        "prometheus.io/path": "/metrics",
        "prometheus.io/scheme": "http",
    }


def groups(chart: Chart, suffix: str) -> Json:
    return at(chart.one("PrometheusRule", suffix), "spec", "groups")


def made_plainly(name: str) -> Json:
    """Return the groups of a rule file as `make rules` makes it for people without Helm."""
    values = rules.read_values(ROOT / "alerts" / "values.yaml")
    groups: Json = yaml.safe_load(rules.rule_files(values)[f"{name}.rules.yaml"])["groups"]
    return groups


@pytest.mark.parametrize("name", ["alerts", "recording", "slo", "kyverno-webhook", "watchdog"])
def test_unchanged_rules_are_those_of_the_plain_files(name: str) -> None:
    assert groups(render(ALL_FILES), f"-{name}") == made_plainly(name)


def test_optional_rules_are_left_out_by_default() -> None:
    names = [str(at(o, "metadata", "name")) for o in render().all("PrometheusRule")]
    assert names == ["r-policy-report-exporter-alerts", "r-policy-report-exporter-recording"]


def alert(chart: Chart, name: str) -> Json:
    """Return the alert of that name, None where there is none."""
    found = [
        rule
        for o in chart.all("PrometheusRule")
        for group in items(at(o, "spec", "groups"))
        for rule in items(at(group, "rules"))
        if at(rule, "alert") == name
    ]
    return found[0] if found else None


def test_an_alert_can_be_left_out_alone() -> None:
    values: Object = {"prometheusRule": {"disabled": {"PolicyNewViolation": True}}}
    chart = render(values)
    assert alert(chart, "PolicyNewViolation") is None
    assert alert(chart, "PolicyViolationOverdue") == alert(render(), "PolicyViolationOverdue")


def test_a_switch_that_says_false_leaves_the_alert_in() -> None:
    values: Object = {"prometheusRule": {"disabled": {"PolicyNewViolation": False}}}
    assert alert(render(values), "PolicyNewViolation")


def test_an_override_changes_its_alert_and_no_other() -> None:
    change: Object = {
        "for": "42m",
        "keepFiringFor": "43m",
        "severity": "info",
        "labels": {"page": "no"},
        "annotations": {"note": "quiet"},
    }
    chart = render({"prometheusRule": {"overrides": {"PolicyNewViolation": change}}})
    before = fields(alert(render(), "PolicyNewViolation"))
    assert alert(chart, "PolicyNewViolation") == {
        **before,
        "for": "42m",
        "keep_firing_for": "43m",
        "labels": {**fields(before["labels"]), "severity": "info", "page": "no"},
        "annotations": {**fields(before["annotations"]), "note": "quiet"},
    }
    assert alert(chart, "PolicyViolationOverdue") == alert(render(), "PolicyViolationOverdue")


def test_common_labels_reach_every_alert_and_no_recording() -> None:
    chart = render({"prometheusRule": {"additionalRuleLabels": {"tier": "gold"}}})
    alerts = [r for group in items(groups(chart, "-alerts")) for r in items(at(group, "rules"))]
    assert {at(rule, "labels", "tier") for rule in alerts} == {"gold"}
    assert groups(chart, "-recording") == groups(render(), "-recording")


def test_a_setting_reaches_the_expressions() -> None:
    settings: Object = {"overdue_high_seconds": "7777"}
    chart = render({"prometheusRule": {"settings": settings}})
    assert "> 7777" in str(at(alert(chart, "PolicyViolationOverdue"), "expr"))


def test_every_setting_can_be_given_its_own_default() -> None:
    settings = yaml.safe_load((CHART / "files" / "rule-settings.yaml").read_text("utf-8"))
    given = {**fields(ALL_FILES["prometheusRule"]), "settings": settings}
    chart = render({**ALL_FILES, "prometheusRule": given})
    assert chart.all("PrometheusRule") == render(ALL_FILES).all("PrometheusRule")


def test_labels_copied_from_namespaces_become_the_ownership_labels() -> None:
    labels: Object = {"labels": {"namespace_labels": ["team", "app.kubernetes.io/part-of"]}}
    by = "namespace, team, app_kubernetes_io_part_of, policy"
    blocked = alert(render({"config": labels}), "PolicyRequestBlocked")
    assert by in str(at(blocked, "expr"))
    own: Object = {"settings": {"ownership_labels": "squad"}}
    blocked = alert(render({"config": labels, "prometheusRule": own}), "PolicyRequestBlocked")
    assert "namespace, squad, policy" in str(at(blocked, "expr"))


def test_a_number_reaches_the_expressions_as_it_was_written() -> None:
    settings: Object = {"overdue_medium_seconds": 2592000, "compliance_minimum": 0.75}
    chart = render({"prometheusRule": {"settings": settings, "files": {"slo": True}}})
    assert "2592000" in str(at(alert(chart, "PolicyViolationOverdue"), "expr"))
    assert "0.75" in str(at(alert(chart, "PolicyComplianceLow"), "expr"))


def test_a_group_has_an_interval_and_a_limit_of_its_own() -> None:
    change: Object = {"policy-violations": {"interval": "2m", "limit": 500}}
    chart = render({"prometheusRule": {"groups": change}})
    found = {at(group, "name"): group for group in items(groups(chart, "-alerts"))}
    changed = fields(found.pop("policy-violations"))
    assert (changed["interval"], changed["limit"]) == ("2m", 500)
    assert changed["rules"]
    before = {at(group, "name"): group for group in items(groups(render(), "-alerts"))}
    assert found == {name: group for name, group in before.items() if name in found}


def named_labels(expression: str) -> set[str]:
    """Return the words of a PromQL expression that could be labels: not inside other words."""
    return set(re.findall(r"(?<![\w:.])[a-z_]+(?![\w:])", expression))


def test_rules_follow_the_label_that_holds_the_violating_namespace() -> None:
    values: Object = {**ALL_FILES, "monitoring": {"namespaceLabel": "exported_namespace"}}
    plain = json.dumps([o["spec"] for o in render(ALL_FILES).all("PrometheusRule")])
    chart = render(values)
    text = json.dumps([o["spec"] for o in chart.all("PrometheusRule")])
    assert "$labels.namespace" not in text
    assert text.count("$labels.exported_namespace") == plain.count("$labels.namespace") > 0
    for found in chart.all("PrometheusRule"):
        for group in items(at(found, "spec", "groups")):
            for rule in items(at(group, "rules")):
                assert "namespace" not in named_labels(str(at(rule, "expr"))), rule
    assert "var-namespace=" in text  # the dashboards' variable keeps its name


QUERIES = ("expr", "query", "definition", "legendFormat")


def texts(value: Json, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each string inside, and each name of a member, with the name of what holds it."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, below in value.items():
            yield "", name
            yield from texts(below, name)
    elif isinstance(value, Sequence):
        for below in value:
            yield from texts(below, key)


RENAMED: dict[str, tuple[Object, str, str]] = {
    "the violating namespace": (
        {"monitoring": {"namespaceLabel": "exported_namespace"}},
        "namespace",
        "exported_namespace",
    ),
    "the team": (
        {"config": {"labels": {"namespace_labels": ["example.org/owner", "unit"]}}},
        "team",
        "example_org_owner",
    ),
}


@pytest.mark.parametrize(("values", "label", "instead"), RENAMED.values(), ids=RENAMED.keys())
def test_dashboards_follow_the_label_of(values: Object, label: str, instead: str) -> None:
    chart = render({"dashboards": {"enabled": True}, **values})
    assert re.search(rf"by \([^)]*\b{instead}\b", chart.text)
    for plain in boards({"enabled": True}):
        [(name, text)] = fields(plain["data"]).items()
        [found] = [o for o in chart.all("ConfigMap") if name in fields(o.get("data") or {})]
        before = list(texts(json.loads(str(text))))
        after = list(texts(json.loads(str(fields(found["data"])[name]))))
        for (key, old), (_, new) in zip(before, after, strict=True):
            if key in QUERIES:
                assert label not in named_labels(re.sub(rf"\$\{{?{label}", "", new)), new
            elif old != new:  # the column of a table
                assert (old, new) == (label, instead)


def test_dashboards_are_as_in_the_repository_where_namespaces_have_a_team() -> None:
    values: Object = {"config": {"labels": {"namespace_labels": ["unit", "team"]}}}
    chart = render({"dashboards": {"enabled": True}, **values})
    plain = [o["data"] for o in boards({"enabled": True})]
    assert [o["data"] for o in chart.all("ConfigMap") if o.get("data") in plain] == plain


GRAFANA = "https://grafana.example.org"


def test_the_address_of_grafana_is_set_once() -> None:
    chart = render({"grafana": {"url": GRAFANA}})
    config = yaml.safe_load(str(at(chart.one("ConfigMap", "exporter"), "data", "config.yaml")))
    assert config["grafana_url"] == GRAFANA
    link = at(alert(chart, "PolicyViolationOverdue"), "annotations", "dashboard_url")
    assert str(link).startswith(f"{GRAFANA}/d/")


def test_the_name_of_the_cluster_is_set_once() -> None:
    chart = render({"cluster": {"name": "east-1"}})
    config = yaml.safe_load(str(at(chart.one("ConfigMap", "exporter"), "data", "config.yaml")))
    assert config["cluster"] == "east-1"
    assert config["alerting"]["labels"] == {"cluster": "east-1"}
    relabelings = at(chart.one("ServiceMonitor"), "spec", "endpoints", 0, "relabelings")
    assert relabelings == [{"targetLabel": "cluster", "replacement": "east-1"}]


def test_prometheus_loads_the_rules_that_the_chart_makes(tmp_path: Path) -> None:
    values: Object = {
        **ALL_FILES,
        "config": {"labels": {"namespace_labels": ["a.b/c"]}},
        "monitoring": {"namespaceLabel": "exported_namespace"},
    }
    chart = render(values)
    together = [g for o in chart.all("PrometheusRule") for g in items(at(o, "spec", "groups"))]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": together}), encoding="utf-8")
    command = [str(tool("promtool")), "check", "rules", "--lint=all", "--lint-fatal", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def boards(values: Object) -> list[Object]:
    chart = render({"dashboards": values})
    return [o for o in chart.all("ConfigMap") if at(o, "metadata", "labels", "grafana_dashboard")]


def test_each_dashboard_is_a_config_map_with_the_file_as_it_is() -> None:
    found = boards({"enabled": True})
    assert len(found) == 6
    for board in found:
        [(name, text)] = fields(board["data"]).items()
        assert json.loads(str(text)) == json.loads((ROOT / "grafana" / name).read_text("utf-8"))


def test_dashboards_fit_into_their_config_maps() -> None:
    assert all(len(str(fields(board["data"]))) < 1_000_000 for board in boards({"enabled": True}))


def test_a_dashboard_can_be_left_out_alone() -> None:
    names = [at(b, "metadata", "name") for b in boards({"disabled": {"policy-exporter": True}})]
    assert len(names) == 5
    assert "r-policy-report-exporter-policy-exporter" not in names


def test_the_dashboard_for_loki_is_there_only_where_it_is_asked_for() -> None:
    assert not [b for b in boards({"enabled": True}) if "policy-journal.json" in fields(b["data"])]
    text = journal({})
    assert json.loads(text) == json.loads((ROOT / "grafana/loki/policy-journal.json").read_text())


def test_only_the_choices_of_the_dashboard_for_loki_follow_other_labels() -> None:
    text = journal(
        {
            "monitoring": {"namespaceLabel": "exported_namespace"},
            "config": {"labels": {"namespace_labels": ["unit"]}},
        }
    )
    plain = json.loads((ROOT / "grafana/loki/policy-journal.json").read_text())
    assert json.loads(text)["panels"] == plain["panels"]
    assert "exported_namespace)" in text
    assert '"query": "unit"' in text


def journal(values: Object) -> str:
    """Return the dashboard for Loki as the chart installs it."""
    chart = render({"dashboards": {"enabled": True, "loki": {"enabled": True}}, **values})
    data = [fields(o.get("data") or {}) for o in chart.all("ConfigMap")]
    [text] = [each["policy-journal.json"] for each in data if "policy-journal.json" in each]
    return str(text)


def test_a_folder_is_an_annotation_only_when_there_is_one() -> None:
    assert at(boards({"enabled": True})[0], "metadata", "annotations") is None
    annotated = boards({"folder": "Policies", "annotations": {"own": "note"}})[0]
    assert at(annotated, "metadata", "annotations") == {"grafana_folder": "Policies", "own": "note"}


def test_resources_of_the_grafana_operator_refer_to_the_config_maps() -> None:
    chart = render({"dashboards": {"grafanaOperator": {"enabled": True}}})
    keys = {
        (at(o, "metadata", "name"), key)
        for o in chart.all("ConfigMap")
        for key in fields(o.get("data") or {})
    }
    found = chart.all("GrafanaDashboard")
    assert len(found) == 6
    for board in found:
        reference = at(board, "spec", "configMapRef")
        assert (at(reference, "name"), at(reference, "key")) in keys
