"""The values, their schema, their documentation and the generated files say the same."""

import json
import re

import pytest
import yaml

from exporter import __version__
from helm import build, readme
from helm.build import CHART, DEPLOY
from tests.chart.rendering import FEATURES, Json, Object, RefusedError, fields, notes, render
from tests.tools import tool

VALUES = (CHART / "values.yaml").read_text(encoding="utf-8")
SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
chart_tier = pytest.mark.tier("chart")

# What a misspelt or mistyped value looks like, and the path that Helm must name.
WRONG = {
    "an unknown value": ({"replicaCount": 2}, "replicaCount"),
    "an unknown value inside": ({"state": {"persistance": {}}}, "state.persistance"),
    "an unknown family setting": (
        {"config": {"families": {"policyreport_results": {"limit": 1}}}},
        "config.families.policyreport_results.limit",
    ),
    "a number for a string": ({"image": {"tag": 1.2}}, "image.tag"),
    "a string for a number": ({"replicas": "two"}, "replicas"),
    "a word outside the choice": ({"log": {"level": "verbose"}}, "log.level"),
    "an unknown result": ({"config": {"results": ["passed"]}}, "config.results.0"),
    "a label that is no string": ({"commonLabels": {"tier": 1}}, "commonLabels.tier"),
    "a duration without a unit": (
        {"serviceMonitor": {"interval": "30"}},
        "serviceMonitor.interval",
    ),
    "no shards": ({"shards": 0}, "shards"),
    "a port that is none": ({"service": {"port": 70000}}, "service.port"),
    "a role that may write": (
        {"rbac": {"extraRules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]}},
        "rbac.extraRules.0.verbs.0",
    ),
    "a tag for a digest": ({"image": {"digest": "v1"}}, "image.digest"),
    "an address without a scheme": ({"alertmanager": {"urls": ["am:9093"]}}, "alertmanager.urls.0"),
    "an override of nothing": (
        {"prometheusRule": {"overrides": {"PolicyNewViolation": {"expr": "1"}}}},
        "prometheusRule.overrides.PolicyNewViolation.expr",
    ),
    "a label that Kubernetes does not know": (
        {"config": {"labels": {"namespace_labels": ["the team"]}}},
        "config.labels.namespace_labels.0",
    ),
    "a label of alerts that Prometheus 2 does not know": (
        {"prometheusRule": {"additionalRuleLabels": {"cost-center": "7"}}},
        "prometheusRule.additionalRuleLabels.cost-center",
    ),
    "a reference to a group in the name of a cluster": (
        {"cluster": {"name": "a$1"}},
        "cluster.name",
    ),
    "a label that Prometheus keeps for itself": (
        {"monitoring": {"namespaceLabel": "__name__"}},
        "monitoring.namespaceLabel",
    ),
    "yes for true": ({"dashboards": {"enabled": "yes"}}, "dashboards.enabled"),
}


@chart_tier
@pytest.mark.parametrize(("values", "path"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_refused_with_its_path(values: Object, path: str) -> None:
    with pytest.raises(RefusedError) as refused:
        render(values)
    # Helm writes /state and then the name of what does not belong there.
    last = path.rsplit(".", 1)[-1]
    inside = "/" + path.rpartition(".")[0].replace(".", "/")
    complaint = str(refused.value)
    assert f"at '/{path.replace('.', '/')}'" in complaint or (
        f"at '{inside if len(inside) > 1 else ''}'" in complaint
        and f"'{last}' not allowed" in complaint
    ), complaint


def leaves(value: Json, path: str = "") -> set[str]:
    """Return the path of each key that holds no further keys."""
    if not isinstance(value, dict) or not value:
        return {path}
    return set().union(*(leaves(below, f"{path}.{key}".strip(".")) for key, below in value.items()))


def described(schema: Json, path: str = "") -> set[str]:
    """Return the path of each property that has no properties of its own."""
    properties = fields(schema).get("properties")
    if not isinstance(properties, dict):
        return {path}
    return set().union(
        *(described(below, f"{path}.{key}".strip(".")) for key, below in properties.items())
    )


def related(one: str, other: str) -> bool:
    """Say whether one of the two paths leads to the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def test_every_value_has_a_type_and_every_type_a_value() -> None:
    values = leaves(yaml.safe_load(VALUES))
    schema = described(SCHEMA)
    untyped = {v for v in values if not any(related(v, s) for s in schema)}
    unset = {s for s in schema if not any(v == s or v.startswith(f"{s}.") for v in values)}
    assert not untyped
    # An empty object may have members that are typed, and no default.
    below = {s for s in unset if any(s.startswith(f"{v}.") for v in values)}
    parents = {s.rpartition(".")[0] for s in below}
    assert parents == {
        "config.alerting",
        "state.persistence.retentionPolicy",
        "serviceMonitor.attachMetadata",
    }
    assert unset - below == {"resources.claims"}


def objects_of(schema: Json) -> list[Object]:
    """Return each schema inside that describes an object by its properties."""
    if isinstance(schema, list):
        return [found for below in schema for found in objects_of(below)]
    if not isinstance(schema, dict):
        return []
    self_metrics = [schema] if "properties" in schema else []
    return self_metrics + [found for below in schema.values() for found in objects_of(below)]


def test_every_object_of_the_schema_is_closed_but_what_helm_itself_fills() -> None:
    found = [o for o in objects_of(SCHEMA) if isinstance(o["properties"], dict)]
    opened = [o for o in found if o.get("additionalProperties") is not False]
    assert len(found) > 30
    assert [set(fields(o["properties"])) for o in opened] == [{"imageRegistry", "imagePullSecrets"}]


def test_every_value_is_documented() -> None:
    told = {value.path for value in readme.documented(VALUES)}
    untold = {
        leaf
        for leaf in leaves(yaml.safe_load(VALUES))
        if not any(leaf == path or leaf.startswith(f"{path}.") for path in told)
    }
    # The one member of a map, said of the map.
    assert untold == set()


def test_the_table_says_the_default_and_joins_the_lines_of_a_comment() -> None:
    values = "# Not a value.\na:\n  # -- First,\n  # second | third.\n  b: [1]\nc: 2\n"
    assert readme.table(values).splitlines()[2:] == [
        "| `a.b` | list | `[1]` | First, second \\| third. |",
    ]


def test_generated_files_are_current() -> None:
    files = build.generated()
    old = [path for path, text in files.items() if path.read_text(encoding="utf-8") != text]
    assert not old, "make chart"


def test_links_of_the_chart_lead_to_rules_and_dashboards() -> None:
    wanted = build.links()
    assert {path: str(path.readlink()) for path in wanted} == wanted, "make chart"
    assert all(path.exists() for path in wanted)
    assert not build.stale(wanted), "make chart"


def undescribed(schema: Json, path: str = "") -> set[str]:
    """Return the path of each property inside that has no description."""
    if isinstance(schema, list):
        return {found for below in schema for found in undescribed(below, path)}
    if not isinstance(schema, dict):
        return set()
    own = {
        f"{path}.{name}"
        for name, below in fields(schema.get("properties", {})).items()
        if isinstance(schema.get("properties"), dict) and not fields(below).get("description")
    }
    return own | {
        found for key, below in schema.items() for found in undescribed(below, f"{path}.{key}")
    }


def test_every_property_of_the_schema_has_a_description() -> None:
    assert not undescribed(SCHEMA["properties"]) | undescribed(SCHEMA["definitions"])


@chart_tier
def test_the_plain_manifests_are_current() -> None:
    for path, text in build.manifests(tool("helm4")).items():
        assert path.read_text(encoding="utf-8") == text, "make chart"


@chart_tier
def test_the_plain_manifests_say_nothing_of_helm() -> None:
    for path in DEPLOY.glob("**/*.yaml"):
        assert "helm.sh" not in path.read_text(encoding="utf-8")
        assert "Helm" not in path.read_text(encoding="utf-8")


def test_chart_image_and_program_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == chart["version"] == __version__
    [image] = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    assert image["image"] == f"ghcr.io/policy-report-exporter/policy-report-exporter:{__version__}"


def test_artifact_hub_reads_the_annotations() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    annotations = {k.removeprefix("artifacthub.io/"): v for k, v in chart["annotations"].items()}
    for change in yaml.safe_load(annotations["changes"]):
        assert change["kind"] in {"added", "changed", "deprecated", "removed", "fixed", "security"}
        assert change["description"]
    for link in yaml.safe_load(annotations["links"]):
        assert link.keys() == {"name", "url"}
    assert annotations["category"] == "monitoring-logging"


def test_every_feature_file_says_what_it_is_for() -> None:
    for feature in FEATURES:
        assert re.match(r"# [A-Z].*\.\n", feature.read_text(encoding="utf-8")), feature.name


SAID = {
    "which command waits": ({"shards": 2}, "rollout status statefulset/r-policy-report-exporter"),
    "nobody scrapes": ({"monitoring": {"enabled": False}}, "monitoring.enabled is false"),
    "the operator is missing": ({}, "does not serve monitoring.coreos.com/v1"),
    "honorLabels is off": (
        {"monitoring": {"enabled": True}, "serviceMonitor": {"honorLabels": False}},
        "exported_namespace",
    ),
    "monitors carry no label": (
        {"monitoring": {"enabled": True}},
        "monitoring.labels.release=kube-prometheus-stack",
    ),
    "no reports are served": ({}, "neither wgpolicyk8s.io nor openreports.io"),
    "a folder needs the sidecar's help": (
        {"dashboards": {"folder": "Policies"}},
        "sidecar.dashboards.folderAnnotation=grafana_folder",
    ),
    "nothing is kept": ({"state": {"enabled": False}}, "counters start at 0"),
    "the status page is open": (
        {"ingress": {"enabled": True, "hosts": ["a.example"]}},
        "published without a password",
    ),
    "rules come from elsewhere": ({"secondary": True}, "rules and dashboards come from another"),
    "how an upgrade keeps values": ({"monitoring": {"enabled": True}}, "--reset-then-reuse-values"),
}


@chart_tier
@pytest.mark.parametrize(("values", "text"), SAID.values(), ids=SAID.keys())
def test_the_notes_say(values: Object, text: str) -> None:
    assert text in notes(values)
    quiet: Object = {"monitoring": {"enabled": True, "labels": {"release": "p"}}}
    unlike = "" if "reports" in text else notes(quiet)
    assert text not in unlike
