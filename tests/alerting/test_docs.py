"""docs/push.md says what is true."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from exporter.alerting.settings import (
    RUNBOOKS,
    AlertFilters,
    AlertingSettings,
    AlertmanagerTarget,
    BasicAuth,
    BlockSettings,
    ClientTls,
    ViolationAlerts,
)
from exporter.alerting.wording import BLOCKED, FOLDED, VIOLATION
from exporter.errors import ConfigError
from exporter.settings.file import ConfigFile
from exporter.yamlfile import decode

PAGE = Path(__file__).parents[2].joinpath("docs", "push.md").read_text(encoding="utf-8")
NESTED: dict[str, type[msgspec.Struct]] = {
    "filters.": AlertFilters,
    "violations.": ViolationAlerts,
    "blocks.": BlockSettings,
    "basic_auth.": BasicAuth,
    "tls.": ClientTls,
}


class File(msgspec.Struct, forbid_unknown_fields=True):
    """A configuration file that says nothing else."""

    alerting: AlertingSettings


def keys() -> set[str]:
    """Every key that the configuration knows, with the path inside its table."""
    flat = {*AlertingSettings.__struct_fields__, *AlertmanagerTarget.__struct_fields__}
    flat -= {prefix.rstrip(".") for prefix in NESTED}
    for prefix, struct in NESTED.items():
        flat |= {prefix + name for name in struct.__struct_fields__}
    return flat


def test_the_example_is_a_configuration() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    made = decode(example, ConfigFile, "policy-report-exporter.yaml")
    assert [target.timeout for target in made.alerting.alertmanagers] == [10.0, 5.0]


def test_a_mistake_is_said_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"f:3: alerting\.blocks\.holt: .*did you mean hold"):
        decode("alerting:\n  blocks:\n    holt: 1\n", File, "f")
    with pytest.raises(ConfigError, match=r"f:3: .*alertmanagers\[0\]: .*is not http"):
        decode("alerting:\n  alertmanagers:\n    - url: am\n", File, "f")


def test_the_tables_have_every_key_and_no_other() -> None:
    tables = "\n\n".join(re.findall(r"^\| key \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL))
    rows = re.findall(r"^\| (`[^|]+) \|", tables, re.MULTILINE)
    assert {key for row in rows for key in re.findall(r"`([^`]+)`", row)} == keys()


def test_the_defaults_are_those_of_the_settings() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| `?([^|]+?)`? \|", PAGE, re.MULTILINE)
    told = {key: yaml.safe_load(default) for key, default in rows}
    made = msgspec.json.decode(msgspec.json.encode(AlertingSettings()))
    target = msgspec.json.decode(msgspec.json.encode(AlertmanagerTarget("http://am")))
    checked = {
        "interval": made["interval"],
        "resolve_delay": made["resolve_delay"],
        "max_alerts": made["max_alerts"],
        "violations.group_by": made["violations"]["group_by"],
        "violations.severities": made["violations"]["severities"],
        "blocks.hold": made["blocks"]["hold"],
        "blocks.group_by": made["blocks"]["group_by"],
        "blocks.severities": made["blocks"]["severities"],
        "timeout": target["timeout"],
        "batch": target["batch"],
    }
    assert {key: told[key] for key in checked} == checked


def test_each_alert_has_its_place_and_the_runbooks_link_to_it() -> None:
    assert RUNBOOKS.endswith("/docs/push.md#{alertname}")
    for name in (VIOLATION, BLOCKED, FOLDED):
        assert f'<a id="{name}"></a>\n### {name}\n' in PAGE
