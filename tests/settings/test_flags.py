"""Flags come before the environment, and that before the defaults."""

from pathlib import Path

import pytest

from exporter.cli import FLAGS
from exporter.errors import ConfigError
from exporter.settings.flags import SERVE, Flags, read_flags


def test_nothing_said_is_the_defaults() -> None:
    assert read_flags({}, {}) == Flags()


def test_every_flag_has_a_variable_of_its_name() -> None:
    variables = {flag.name: flag.variable for flag in SERVE}
    assert variables["web.listen-address"] == "POLICY_REPORT_EXPORTER_WEB_LISTEN_ADDRESS"
    assert len(set(variables.values())) == len(SERVE)


VARIABLES = {
    "KUBECONFIG": ("/k", Flags(kubeconfig="/k")),
    "CONTEXT": ("c", Flags(context="c")),
    "NAMESPACE": ("a,b,a", Flags(namespaces=("a", "b"))),
    "CLUSTER": ("prod", Flags(cluster="prod")),
    "GRAFANA_URL": ("https://g", Flags(grafana_url="https://g")),
    "CONFIG_FILE": ("/c", Flags(config_file=Path("/c"))),
    "WEB_LISTEN_ADDRESS": (":1,:2", Flags(listen=(":1", ":2"))),
    "WEB_TELEMETRY_PATH": ("/m", Flags(telemetry_path="/m")),
    "WEB_CONFIG_FILE": ("/w", Flags(web_config_file=Path("/w"))),
    "STATE_DIR": ("/s", Flags(state_dir=Path("/s"))),
    "STATE_CONFIGMAP": ("monitoring/state.0", Flags(state_configmap="monitoring/state.0")),
    "ALERTMANAGER_URL": ("http://a,http://b", Flags(alertmanagers=("http://a", "http://b"))),
    "JOURNAL": ("-", Flags(journal="-")),
    "SHARD": ("2/3", Flags(shard=(2, 3))),
    "LOG_LEVEL": ("warn", Flags(log_level="warn")),
    "LOG_FORMAT": ("json", Flags(log_format="json")),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_says_what_its_flag_says(name: str) -> None:
    value, flags = VARIABLES[name]
    assert read_flags({}, {f"POLICY_REPORT_EXPORTER_{name}": value}) == flags


def test_every_flag_is_tried() -> None:
    tried = {f"POLICY_REPORT_EXPORTER_{name}" for name in VARIABLES}
    assert tried == {flag.variable for flag in SERVE}


def test_a_flag_comes_before_its_variable() -> None:
    environment = {
        "POLICY_REPORT_EXPORTER_CONTEXT": "there",
        "POLICY_REPORT_EXPORTER_NAMESPACE": "b",
    }
    given: dict[str, object] = {"context": "here", "namespace": ["a"]}
    flags = read_flags(given, environment)
    assert (flags.context, flags.namespaces) == ("here", ("a",))


def test_an_empty_variable_says_nothing() -> None:
    assert read_flags({}, {"POLICY_REPORT_EXPORTER_LOG_LEVEL": ""}) == Flags()


@pytest.mark.parametrize("text", ["3/3", "a/b", "1", "-1/3", "1/", "0/0"])
def test_a_shard_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=f"--shard {text}: expected I/N"):
        read_flags({"shard": text}, {})


def test_a_word_that_is_no_choice_is_named_with_its_variable() -> None:
    with pytest.raises(ConfigError) as error:
        read_flags({}, {"POLICY_REPORT_EXPORTER_LOG_LEVEL": "loud"})
    assert str(error.value) == (
        "$POLICY_REPORT_EXPORTER_LOG_LEVEL: 'loud': expected one of debug, info, warn, error"
    )


@pytest.mark.parametrize("name", ["a b", "A", "", "a/b", "*"])
def test_a_namespace_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"--namespace .*: expected the name of one namespace"):
        read_flags({"namespace": [name]}, {})


def test_an_address_of_grafana_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="--grafana-url grafana: expected http://host"):
        read_flags({"grafana-url": "grafana"}, {})


def test_no_two_commands_share_a_variable_for_different_things() -> None:
    meanings: dict[str, set[str]] = {}
    for flags in FLAGS.values():
        for flag in flags:
            # The demo has another default for the same thing.
            meanings.setdefault(flag.variable, set()).add(flag.help.partition("; default")[0])
    assert {name: texts for name, texts in meanings.items() if len(texts) > 1} == {}


@pytest.mark.parametrize("name", ["a/b/c", "Upper", "-a", "a-", "/a", "a/", "a b", "n.s/a"])
def test_the_name_of_the_state_must_be_one_of_an_object(name: str) -> None:
    with pytest.raises(ConfigError, match=r"--state\.configmap"):
        read_flags({"state.configmap": name}, {})
