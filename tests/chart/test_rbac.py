"""The roles allow what the configuration needs, and nothing else."""

from pathlib import Path

import pytest

from exporter.model.resource import OWNED_RESOURCES, POLICY_RESOURCES, REPORT_RESOURCES, Resource
from tests.chart.rendering import FEATURES, Chart, Json, Object, at, items, render, render_file
from tests.chart.roles import Permission, permissions

pytestmark = pytest.mark.tier("chart")


def reading(*resources: Resource) -> set[Permission]:
    """Return what following these resources takes."""
    return {(v, r.group, r.plural, "*") for r in resources for v in ("list", "watch")}


EVENTS = {("list", "events.k8s.io", "events", "*"), ("watch", "events.k8s.io", "events", "*")}
NAMESPACES = {("list", "", "namespaces", "*"), ("watch", "", "namespaces", "*")}
CLUSTER_ID = {("get", "", "namespaces", "kube-system")}
REPORTS = reading(*REPORT_RESOURCES)
POLICIES = reading(*POLICY_RESOURCES)
METADATA: Object = {"config": {"workloads": {"watch": "metadata"}}}

STATE = {(verb, "", "configmaps", "r-policy-report-exporter-state") for verb in ("get", "patch")}

CONFIGURATIONS: dict[str, tuple[Object, set[Permission]]] = {
    "the default": ({}, REPORTS | POLICIES | EVENTS | CLUSTER_ID),
    "no events": (
        {"config": {"events": {"watch": False}}},
        REPORTS | POLICIES | CLUSTER_ID,
    ),
    "no policies": (
        {"config": {"policies": {"watch": False}}},
        REPORTS | EVENTS | CLUSTER_ID,
    ),
    "labels of namespaces": (
        {"config": {"labels": {"namespace_labels": ["team"]}}},
        REPORTS | POLICIES | EVENTS | CLUSTER_ID | NAMESPACES,
    ),
    "metadata of what has owners": (
        METADATA,
        REPORTS | POLICIES | EVENTS | CLUSTER_ID | reading(*OWNED_RESOURCES),
    ),
    "no state": ({"state": {"enabled": False}}, REPORTS | POLICIES | EVENTS),
    "sections removed": (
        {"config": {"events": None, "policies": None, "labels": None}},
        REPORTS | POLICIES | EVENTS | CLUSTER_ID,
    ),
}


@pytest.mark.parametrize(("values", "allowed"), CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_the_cluster_role_follows_the_configuration(
    values: Object, allowed: set[Permission]
) -> None:
    assert permissions(render(values).one("ClusterRole")) == allowed


def test_one_role_in_each_namespace_and_nothing_in_the_cluster() -> None:
    chart = render({"namespaces": ["a", "b", "a"]})
    namespaced = reading(*(r for r in (*REPORT_RESOURCES, *POLICY_RESOURCES) if r.namespaced))
    *roles, state = sorted(
        chart.all("Role"), key=lambda role: str(at(role, "metadata", "namespace"))
    )
    assert [at(role, "metadata", "namespace") for role in roles] == ["a", "b"]
    assert all(permissions(role) == namespaced | EVENTS for role in roles)
    assert permissions(state) == STATE
    assert not chart.all("ClusterRole") + chart.all("ClusterRoleBinding")


def test_the_roles_of_namespaces_allow_their_metadata_where_it_is_watched() -> None:
    chart = render({**METADATA, "namespaces": ["a", "b"]})
    roles = [role for role in chart.all("Role") if at(role, "metadata", "namespace") != "here"]
    assert len(roles) == 2
    assert all(reading(*OWNED_RESOURCES) <= permissions(role) for role in roles)


def bound(chart: Chart, kind: str) -> list[tuple[Json, Json, Json]]:
    """Return the role and the account of each binding of the kind, and the account's namespace."""
    return [
        (
            at(binding, "roleRef", "name"),
            at(binding, "subjects", 0, "name"),
            at(binding, "subjects", 0, "namespace"),
        )
        for binding in chart.all(kind)
    ]


def test_bindings_name_the_role_and_the_account_that_the_pod_uses() -> None:
    renamed: Object = {"serviceAccount": {"name": "own"}, "fullnameOverride": "short"}
    for values in (None, renamed):
        chart = render(values)
        account = at(chart.pod(), "serviceAccountName")
        role = at(chart.one("ClusterRole"), "metadata", "name")
        assert bound(chart, "ClusterRoleBinding") == [(role, account, "here")]
        assert at(chart.one("ServiceAccount"), "metadata", "name") == account


def test_in_namespaced_mode_the_account_of_the_release_is_bound_in_each() -> None:
    chart = render({"namespaces": ["a", "b"]})
    name = "r-policy-report-exporter"
    roles = [role for role, *_ in bound(chart, "RoleBinding")]
    assert roles == [name, name, f"{name}-state"]
    assert {tuple(who) for _, *who in bound(chart, "RoleBinding")} == {(name, "here")}


def test_releases_in_two_namespaces_do_not_fight_over_one_cluster_role() -> None:
    view: Object = {"rbac": {"aggregateToView": True}}
    charts = render(view), render({**view, "namespaceOverride": "there"})
    names = {at(role, "metadata", "name") for c in charts for role in c.all("ClusterRole")}
    assert len(names) == 4


def test_an_existing_role_is_bound_and_none_is_made() -> None:
    chart = render({"rbac": {"existingClusterRole": "readers"}})
    assert not chart.all("ClusterRole")
    assert at(chart.one("ClusterRoleBinding"), "roleRef", "name") == "readers"


def test_switched_off_nothing_is_made() -> None:
    chart = render({"rbac": {"create": False}})
    assert not [kind for kind in chart.kinds() if "Role" in kind]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda path: path.name[:-12])
def test_no_feature_may_read_secrets_or_write_anything_but_its_state(feature: Path) -> None:
    chart = render_file(feature)
    allowed = {
        p for role in chart.all("ClusterRole") + chart.all("Role") for p in permissions(role)
    }
    states = {
        name for o in chart.all("ConfigMap") if "-state" in (name := str(at(o, "metadata", "name")))
    }
    written = {p for p in allowed if p[0] not in {"get", "list", "watch"}}
    assert written == {("patch", "", "configmaps", name) for name in states}
    assert not [p for p in allowed if p[2] in {"secrets", "*"} or p[1] == "*"]


STATES: dict[str, tuple[Object, list[str]]] = {
    "the default": ({}, ["state"]),
    "shards": ({"shards": 3}, ["state-0", "state-1", "state-2"]),
    "replicas": ({"replicas": 2}, ["state"]),
    "a claim": ({"state": {"persistence": {"enabled": True}}}, []),
    "a claim, and a copy": (
        {"state": {"persistence": {"enabled": True}, "configMap": {"enabled": True}}},
        ["state"],
    ),
    "an emptyDir": ({"state": {"configMap": {"enabled": False}}}, []),
    "no state": ({"state": {"enabled": False}}, []),
}


@pytest.mark.parametrize(("values", "suffixes"), STATES.values(), ids=STATES.keys())
def test_the_state_may_be_written_in_its_own_objects_alone(
    values: Object, suffixes: list[str]
) -> None:
    chart = render(values)
    names = [f"r-policy-report-exporter-{suffix}" for suffix in suffixes]
    made = [o for o in chart.all("ConfigMap") if "data" not in o]
    assert [at(o, "metadata", "name") for o in made] == names
    keep = {at(o, "metadata", "annotations", "helm.sh/resource-policy") for o in made}
    assert keep == ({"keep"} if names else set())
    allowed = {p for role in chart.all("Role") for p in permissions(role)}
    assert allowed == {(verb, "", "configmaps", n) for n in names for verb in ("get", "patch")}


def test_the_name_of_the_state_can_be_chosen() -> None:
    chart = render({"state": {"configMap": {"name": "kept"}}})
    assert "--state.configmap=kept" in items(at(chart.container(), "args"))
    assert {p[3] for p in permissions(chart.one("Role"))} == {"kept"}
