"""The jsonnet mixin makes the rules that the build makes, and its settings reach them."""

import json
from pathlib import Path
from typing import Any

import _jsonnet
import pytest
import yaml

from alerts.build import HERE

HOME = "github.com/policy-report-exporter/policy-report-exporter"
RECORDING_AND_ALERTS = ("recording.rules.yaml", "alerts.rules.yaml")


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the repository out as jsonnet-bundler does."""
    library = tmp_path_factory.mktemp("vendor")
    (library / HOME).parent.mkdir(parents=True)
    (library / HOME).symlink_to(HERE.parent, target_is_directory=True)
    return library


def evaluate(vendor: Path, part: str, config: str = "{}") -> Any:
    source = f"((import '{HOME}/alerts/mixin/mixin.libsonnet') + {{_config+:: {config}}}).{part}"
    return json.loads(_jsonnet.evaluate_snippet("test", source, jpathdir=[str(vendor)]))


def made() -> dict[str, Any]:
    groups = [
        group
        for name in RECORDING_AND_ALERTS
        for group in yaml.safe_load((HERE / name).read_text())["groups"]
    ]
    return {group["name"]: group for group in groups}


def test_the_mixin_makes_what_the_build_makes(vendor: Path) -> None:
    parts = [evaluate(vendor, part)["groups"] for part in ("prometheusRules", "prometheusAlerts")]
    assert {group["name"]: group for part in parts for group in part} == made()


def test_rules_that_record_and_rules_that_alert_are_apart(vendor: Path) -> None:
    recording = evaluate(vendor, "prometheusRules")["groups"]
    assert all("record" in rule for group in recording for rule in group["rules"])


def test_an_optional_file_is_there_when_wanted(vendor: Path) -> None:
    groups = evaluate(vendor, "prometheusAlerts", "{files+: {watchdog: true}}")["groups"]
    assert "policy-watchdog" in [group["name"] for group in groups]


def test_a_value_reaches_expression_and_text(vendor: Path) -> None:
    text = json.dumps(evaluate(vendor, "prometheusAlerts", "{values+: {spike_blocks_ratio: '77'}}"))
    assert "<= 77 * last_over_time" in text
    assert "more than 77 times" in text


def test_an_alert_can_be_left_out_and_labelled(vendor: Path) -> None:
    config = "{disabled: ['PolicyNotReady'], alertLabels: {tier: 'gold'}}"
    groups = evaluate(vendor, "prometheusAlerts", config)["groups"]
    alerts = [rule for group in groups for rule in group["rules"]]
    assert "PolicyNotReady" not in {rule["alert"] for rule in alerts}
    assert {rule["labels"]["tier"] for rule in alerts} == {"gold"}


def test_a_group_can_have_an_interval_and_a_limit(vendor: Path) -> None:
    config = "{groups+: {'policy-violations': {interval: '2m', limit: 500}}}"
    groups = {g["name"]: g for g in evaluate(vendor, "prometheusAlerts", config)["groups"]}
    assert (groups["policy-violations"]["interval"], groups["policy-violations"]["limit"]) == (
        "2m",
        500,
    )


def test_groups_can_be_split_without_losing_a_rule(vendor: Path) -> None:
    groups = evaluate(vendor, "prometheusRules", "{maxRulesPerGroup: 5}")["groups"]
    assert max(len(group["rules"]) for group in groups) == 5
    rules = [rule["record"] for group in groups for rule in group["rules"]]
    recorded = [
        rule["record"] for group in made().values() for rule in group["rules"] if "record" in rule
    ]
    assert sorted(rules) == sorted(recorded)


def test_every_dashboard_is_in_the_mixin(vendor: Path) -> None:
    boards = evaluate(vendor, "grafanaDashboards")
    assert boards.keys() == {path.name for path in (HERE.parent / "grafana").glob("policy-*.json")}
    assert boards["policy-overview.json"]["uid"] == "policy-overview"
