"""The chart's configuration is the exporter's: the same keys, the same defaults."""

import json
from pathlib import Path

import msgspec
import pytest
import yaml

from exporter.alerting.settings import AlertingSettings
from exporter.settings.file import ConfigFile, label_name, read_config
from helm.build import CHART
from tests.chart.rendering import FEATURES, Object, at, fields, render, render_file

pytestmark = pytest.mark.tier("chart")

DEFAULTS: Object = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
BUILT_IN: Object = msgspec.json.decode(msgspec.json.encode(ConfigFile()))


@pytest.mark.parametrize("feature", FEATURES, ids=lambda path: path.name[:-12])
def test_the_exporter_reads_the_configuration_of_a_feature(feature: Path, tmp_path: Path) -> None:
    found = next(
        o for o in render_file(feature).all("ConfigMap") if at(o, "data", "config.yaml") is not None
    )
    file = tmp_path / "config.yaml"
    file.write_text(str(at(found, "data", "config.yaml")), encoding="utf-8")
    read_config(file)


def test_every_key_of_the_exporter_is_a_value_with_the_same_default() -> None:
    chart = fields(DEFAULTS["config"])
    # Of a family the values say what the exporter does anyway; of the push, nothing.
    same = BUILT_IN.keys() - {"families", "alerting"}
    assert {key: chart.get(key) for key in same} == {key: BUILT_IN[key] for key in same}
    assert chart.keys() - same <= {"families", "alerting"}


def test_the_schema_has_every_key_of_the_push() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    known = at(schema, "properties", "config", "properties", "alerting", "properties")
    assert fields(known).keys() == set(AlertingSettings.__struct_fields__)


def test_the_chart_spells_labels_of_namespaces_as_the_exporter_does() -> None:
    labels = ["team", "app.kubernetes.io/part-of", "2nd"]
    chart = render({"config": {"labels": {"namespace_labels": labels}}})
    together = ", ".join(map(label_name, labels))
    assert f"namespace, {together}, policy" in chart.text


def test_an_empty_section_is_left_to_the_exporter() -> None:
    text = at(render().one("ConfigMap", "exporter"), "data", "config.yaml")
    assert "alerting" not in yaml.safe_load(str(text))
