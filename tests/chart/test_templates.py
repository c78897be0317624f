"""Every feature of the chart renders, in Helm 3 and 4, to what Kubernetes and the operator take."""

import json
import tarfile
from functools import cache
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import kubernetes_validate
import pytest

from helm.build import CHART
from tests.chart.rendering import FEATURES, Run, at, call, render_file

pytestmark = pytest.mark.tier("chart")

HELMS = ("helm3", "helm4")
# The oldest that the chart claims, the oldest for shards, and the newest known.
KUBERNETES = ("1.25", "1.28", "1.37")
SHARDS_NEED = "1.28"
OPERATOR = json.loads(Path(__file__).with_name("operator.schema.json").read_text(encoding="utf-8"))
OPERATOR_KINDS = ("ServiceMonitor", "PodMonitor", "PrometheusRule")
# Kinds of other projects, whose schemas are not at hand; their goldens are read by eye.
FOREIGN = ("GrafanaDashboard", "CiliumNetworkPolicy", "VerticalPodAutoscaler", "HTTPRoute")

features = pytest.mark.parametrize("feature", FEATURES, ids=lambda path: path.name[:-12])


@features
@pytest.mark.parametrize("helm", HELMS)
def test_a_feature_passes_the_strict_lint(feature: Path, helm: str) -> None:
    # `helm lint` cannot be told what the cluster serves, which this one feature asks for.
    if feature.name != "autoscaler-values.yaml":
        assert "0 chart(s) failed" in call(
            helm, "lint", "--strict", f"--values={feature}", str(CHART)
        )


@features
def test_both_helms_render_a_feature_to_the_same_objects(feature: Path) -> None:
    three, four = (render_file(feature, Run(helm=helm)).objects for helm in HELMS)
    assert three == four


@cache
def take(text: str, version: str) -> None:
    """Raise unless Kubernetes takes the object; most objects are the same in most features."""
    kubernetes_validate.validate(json.loads(text), version, strict=True)


@features
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_every_field_of_a_feature(feature: Path, version: str) -> None:
    if feature.name.startswith("shards") and float(version[2:]) < float(SHARDS_NEED[2:]):
        return
    chart = render_file(feature, Run(kubernetes=f"{version}.0"))
    native = [o for o in chart.objects if o["kind"] not in OPERATOR_KINDS + FOREIGN]
    assert native
    for found in native:
        take(json.dumps(found), version)


@features
def test_the_operator_takes_every_field_of_a_feature(feature: Path) -> None:
    for found in render_file(feature).objects:
        if found["kind"] in OPERATOR_KINDS:
            schema = {"$ref": f"#/definitions/{found['kind']}", **OPERATOR}
            jsonschema.Draft7Validator(schema).validate(found["spec"])


@features
def test_no_two_objects_of_a_feature_have_the_same_name(feature: Path) -> None:
    chart = render_file(feature)
    keys = [
        (o["kind"], at(o, "metadata", "namespace"), at(o, "metadata", "name"))
        for o in chart.objects
    ]
    assert len(set(keys)) == len(keys)


def test_the_features_together_touch_every_template() -> None:
    sources = {
        line.rpartition("/")[2]
        for feature in FEATURES
        for line in render_file(feature).text.splitlines()
        if line.startswith("# Source: ")
    }
    templates = {path.name for path in CHART.glob("templates/**/*.yaml")}
    assert sources == templates


def test_a_package_holds_rules_and_dashboards_but_no_test_values(tmp_path: Path) -> None:
    call("helm4", "package", str(CHART), "--destination", str(tmp_path))
    [package] = tmp_path.glob("*.tgz")
    with tarfile.open(package) as tar:
        names = {name.removeprefix("policy-report-exporter/") for name in tar.getnames()}
    assert "files/rules/alerts.rules.yaml" in names
    assert "files/dashboards/policy-overview.json" in names
    assert "values.schema.json" in names
    assert not [name for name in names if name.startswith("ci/")]
    # A release is kept in a Secret, which holds one MiB.
    assert package.stat().st_size < 400_000
