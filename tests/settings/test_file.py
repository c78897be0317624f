"""What is wrong with a configuration file is said with file, line, key and what was expected."""

from pathlib import Path

import pytest

from exporter.alerting.settings import SEVERITIES
from exporter.cli import main
from exporter.errors import ConfigError
from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.exposition import DROPPABLE
from exporter.settings.file import ConfigFile, label_name, read_config
from exporter.state.selection import Globs

WHOLE = """\
sources: ["kyverno", "trivy*"]
filters:
  namespaces: {include: ["team-*"], exclude: ["team-x"]}
  policies: {exclude: ["p*"]}
  kinds: {include: [Pod]}
  severities: {exclude: [low, "in*"]}
  controlled: false
results: [fail, error]
labels: {namespace_labels: [team, app.kubernetes.io/part-of], drop: [rule, category]}
families:
  policyreport_resource_results: {enabled: true, results: [fail], max_series: 7}
  policyreport_reports: {enabled: false}
max_series: 1000
birth_hold: 0
checkpoint_interval: 2.5
workloads: {watch: metadata}
policies: {watch: false}
events: {watch: true, controllers: [kyverno-admission], known_policies_only: true}
status_page: {enabled: false}
cluster: prod
grafana_url: "https://grafana"
"""


def read(directory: Path, text: str) -> ConfigFile:
    path = directory / "config.yaml"
    path.write_text(text)
    return read_config(path)


def test_everything_that_it_may_say_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, WHOLE)
    assert config.sources == ("kyverno", "trivy*")
    assert config.filters.namespaces == Globs(("team-*",), ("team-x",))
    assert config.filters.severities == Globs(exclude=("low", "in*"))
    assert config.results == ("fail", "error")
    assert config.checkpoint_interval == 2.5
    assert config.workloads.watch == "metadata"
    assert not config.policies.watch
    assert config.events.controllers == ("kyverno-admission",)
    assert config.events.known_policies_only
    assert not config.status_page.enabled
    assert (config.cluster, config.grafana_url) == ("prod", "https://grafana")


def test_what_is_exposed_follows_it(tmp_path: Path) -> None:
    exposure = read(tmp_path, WHOLE).exposure()
    assert not exposure.controlled
    assert exposure.max_series == 1000
    assert exposure.birth_hold == 0
    assert exposure.drop == {"rule", "category"}
    assert exposure.namespace_labels == ("team", "app_kubernetes_io_part_of")
    assert exposure.disabled == {"policyreport_reports"}
    assert exposure.limits == {"policyreport_resource_results": 7}
    assert exposure.words == {"policyreport_resource_results": {"fail"}}


def test_what_counts_follows_it(tmp_path: Path) -> None:
    selection = read(tmp_path, WHOLE).selection()
    assert [selection.namespace(n) for n in ("team-a", "team-x", "other")] == [True, False, False]
    assert [selection.source(n) for n in ("trivy-operator", "falco")] == [True, False]
    assert selection.results == {"fail", "error"}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_nothing_said_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == ConfigFile() == read_config(None)


MISTAKES = {
    "unknown key": ("max_serie: 5", "1: max_serie: unknown key, did you mean max_series?"),
    "unknown key below": (
        "labels:\n  namespace_label: []",
        "2: labels.namespace_label: unknown key, did you mean namespace_labels?",
    ),
    "nothing near": (
        "policies: {xyz: 1}",
        "1: policies.xyz: unknown key, expected one of watch",
    ),
    "twice": ("max_series: 5\nmax_series: 6", "2: max_series: this key is repeated"),
    "another type": ("max_series: many", '1: max_series: expected a whole number, got "many"'),
    "too small": ("\nmax_series: 0", "2: max_series: expected a whole number >= 1, got 0"),
    "negative": ("birth_hold: -1", "1: birth_hold: expected a number >= 0.0, got -1"),
    "interval": (
        "checkpoint_interval: 0",
        "1: checkpoint_interval: expected a number >= 0.1, got 0",
    ),
    "result word": (
        "results: [pass, failed]",
        "1: results[1]: 'failed': expected one of error, fail, pass, skip, warn",
    ),
    "another word": (
        "reports: {detail: sum}",
        "1: reports.detail: 'sum': expected one of full, summary",
    ),
    "a label's value for a choice": (
        'filters: {controlled: "false"}',
        '1: filters.controlled: expected true or false, got "false"',
    ),
    "what is watched of workloads": (
        "workloads: {watch: names}",
        "1: workloads.watch: 'names': expected one of metadata, none",
    ),
    "word of a family": (
        "families:\n  policyreport_reports: {}\n  policyreport_resource_results: {results: [pass]}",
        "3: families.policyreport_resource_results.results[0]: 'pass': expected one of error, fail",
    ),
    "no family": (
        "families: {policyreport_reports: {}, policyreport_results: ~}",
        "1: families.policyreport_results: expected a mapping, got ~",
    ),
    "a severity's word": (
        "alerting: {blocks: {severities: {high: critical, low: 1}}}",
        "1: alerting.blocks.severities.low: expected a string, got 1",
    ),
    "hold for ever": ("birth_hold: .inf", "1: birth_hold: expected a number <= 86400.0, got .inf"),
    "a script for Grafana": (
        "grafana_url: 'javascript:alert(1)'",
        "1: grafana_url: 'javascript:alert(1)': expected http://host or https://host",
    ),
    "list": ("sources: kyverno", '1: sources: expected a list, got "kyverno"'),
    "family": (
        "families: {policyreport_result: {enabled: false}}",
        "1: families.policyreport_result: unknown family, did you mean policyreport_results?",
    ),
    "words of a family": (
        "families: {policyreport_results: {results: [fail]}}",
        "1: families.policyreport_results.results: only policyreport_resource_results has this key",
    ),
    "line of a family": (
        "families:\n  policyreport_reports: {}\n  trivy: {}",
        "3: families.trivy: unknown family, expected one of "
        + ", ".join(sorted(family.name for family in CATALOGUE)),
    ),
    "drop": (
        "labels: {drop: [policy]}",
        "1: labels.drop: 'policy' cannot be dropped, expected some of "
        + ", ".join(sorted(DROPPABLE)),
    ),
    "a label with a typing error": (
        "labels: {drop: [severitty]}",
        "1: labels.drop: 'severitty' cannot be dropped, did you mean severity?",
    ),
    "no severity": (
        "filters: {severities: {include: [crit]}}",
        f"1: filters.severities.include: 'crit' matches none of {', '.join(SEVERITIES)}",
    ),
    "no source": (
        "sources: []",
        "1: sources: expected at least one source; remove the key to count Kyverno's own",
    ),
    "no result": (
        "results: []",
        "1: results: expected at least one of pass, fail, warn, error, skip",
    ),
    "not every severity": (
        "alerting: {violations: {severities: {critical: page}}}",
        (
            "1: alerting.violations.severities: "
            "expected all of critical, high, medium, low, info, none; "
            "missing high, medium, low, info, none"
        ),
    ),
    "the page's former address of Grafana": (
        "status_page: {grafana_url: 'https://g'}",
        "1: status_page.grafana_url: this key has moved: use grafana_url at the top level",
    ),
    "the push's former address of Grafana": (
        "alerting: {grafana_url: 'https://g'}",
        "1: alerting.grafana_url: this key has moved: use grafana_url at the top level",
    ),
    "hidden label": (
        "labels: {namespace_labels: [policy]}",
        "1: labels.namespace_labels: 'policy' would overwrite the label 'policy'",
    ),
    "two of one name": (
        "labels: {namespace_labels: [a.b, a-b]}",
        "1: labels.namespace_labels: 'a-b' would overwrite the label 'a_b'",
    ),
    "no label": (
        "labels: {namespace_labels: ['a b']}",
        "1: labels.namespace_labels: 'a b' is not a valid label name",
    ),
    "a label twice": (
        "labels: {namespace_labels: [team, team]}",
        "1: labels.namespace_labels: 'team' is listed more than once",
    ),
    "a duration": ("birth_hold: 35s", '1: birth_hold: expected a number of seconds, got "35s"'),
    "a number or nothing": (
        "families: {policyreport_results: {max_series: many}}",
        (
            "1: families.policyreport_results.max_series: expected a whole number or nothing, "
            'got "many"'
        ),
    ),
    "not YAML": ("a: [", "1: not YAML: expected a value, but found the end of the file"),
    "indented too little": (
        "a:\n  - b\n c: d",
        "3: not YAML: expected a line with the indentation of those above, but found a mapping",
    ),
    "indented too much": (
        "a: b\n  c: d",
        "2: not YAML: wrong indentation, or a string that needs quotes: a ':' is not allowed here",
    ),
    "half a quotation": ("a: 'b", "1: not YAML: a quote is not closed"),
    "a list": ("- a", "1: expected a mapping, got a list"),
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert str(error.value) == f"{tmp_path / 'config.yaml'}:{said}"


UNREADABLE = {"a directory": "Is a directory", "binary": "not UTF-8"}


@pytest.mark.parametrize(("kind", "said"), UNREADABLE.items())
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, kind: str, said: str) -> None:
    path = tmp_path / "config"
    if kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    else:
        path.mkdir()
    with pytest.raises(ConfigError) as error:
        read_config(path)
    assert str(error.value) == f"{path}: cannot be read: {said}"


@pytest.mark.parametrize(
    ("label", "name"), [("team", "team"), ("a.b/c-d", "a_b_c_d"), ("1st", "_1st")]
)
def test_a_label_of_a_namespace_becomes_one_of_a_metric(label: str, name: str) -> None:
    assert label_name(label) == name


def test_check_config_says_fine_or_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(WHOLE)
    assert main(["check-config", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: valid\n"
    path.write_text("max_serie: 5")
    monkeypatch.setenv("POLICY_REPORT_EXPORTER_CONFIG_FILE", str(path))
    assert main(["check-config"]) == 2
    assert capsys.readouterr().err == (
        f"policy-report-exporter: {path}:1: max_serie: unknown key, did you mean max_series?\n"
    )


def test_check_config_needs_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLICY_REPORT_EXPORTER_CONFIG_FILE", raising=False)
    assert main(["check-config"]) == 2
    assert "name a FILE" in capsys.readouterr().err
