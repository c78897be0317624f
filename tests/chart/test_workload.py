"""The pod is what the values say, restricted, and rolls when its configuration changes."""

import pytest
import yaml

from tests.chart.rendering import Object, Run, at, fields, items, render

pytestmark = pytest.mark.tier("chart")


def flags(values: Object) -> list[str]:
    return [str(flag) for flag in items(at(render(values).container(), "args"))]


FLAGS: dict[str, tuple[Object, list[str]]] = {
    "shards": (
        {"shards": 3},
        [
            "--shard=$(POD_INDEX)/3",
            "--state.configmap=r-policy-report-exporter-state-$(POD_INDEX)",
        ],
    ),
    "namespaces": ({"namespaces": ["a", "b"]}, ["--namespace=a", "--namespace=b"]),
    "a port": ({"service": {"port": 9999}}, ["--web.listen-address=:9999"]),
    "a path": ({"web": {"telemetryPath": "/m"}}, ["--web.telemetry-path=/m"]),
    "web configuration": (
        {"web": {"existingSecret": "s", "configKey": "w.yaml"}},
        ["--web.config.file=/etc/policy-report-exporter/web/w.yaml"],
    ),
    "Alertmanagers": (
        {"alertmanager": {"urls": ["http://a", "http://b"]}},
        ["--alertmanager.url=http://a", "--alertmanager.url=http://b"],
    ),
    "the log": (
        {"log": {"level": "debug", "format": "json"}},
        ["--log.level=debug", "--log.format=json"],
    ),
    "more flags": ({"extraArgs": ["--x=1"]}, ["--x=1"]),
}


@pytest.mark.parametrize(("values", "added"), FLAGS.values(), ids=FLAGS.keys())
def test_values_become_flags(values: Object, added: list[str]) -> None:
    assert [flag for flag in flags(values) if flag not in flags({})] == added


def test_without_state_there_is_no_flag_and_no_volume_for_it() -> None:
    values: Object = {"state": {"enabled": False}}
    state = "--state.configmap=r-policy-report-exporter-state"
    assert set(flags({})) - set(flags(values)) == {state}
    assert [at(v, "name") for v in items(at(render(values).pod(), "volumes"))] == ["config"]


PLACES: dict[str, tuple[Object, set[str], list[str]]] = {
    "an object": ({}, {"--state.configmap=r-policy-report-exporter-state"}, ["config"]),
    "an emptyDir": (
        {"configMap": {"enabled": False}},
        {"--state.dir=/var/lib/policy-report-exporter"},
        ["config", "state"],
    ),
    "a claim": (
        {"persistence": {"enabled": True, "existingClaim": "c"}},
        {"--state.dir=/var/lib/policy-report-exporter"},
        ["config", "state"],
    ),
    "a claim and a copy": (
        {"persistence": {"enabled": True, "existingClaim": "c"}, "configMap": {"enabled": True}},
        {
            "--state.dir=/var/lib/policy-report-exporter",
            "--state.configmap=r-policy-report-exporter-state",
        },
        ["config", "state"],
    ),
}


@pytest.mark.parametrize(("state", "expected", "volumes"), PLACES.values(), ids=PLACES.keys())
def test_the_state_is_kept_where_the_values_say(
    state: Object, expected: set[str], volumes: list[str]
) -> None:
    values: Object = {"state": state}
    assert {flag for flag in flags(values) if flag.startswith("--state.")} == expected
    assert [at(v, "name") for v in items(at(render(values).pod(), "volumes"))] == volumes


def test_a_shard_learns_its_ordinal_from_its_pods_label() -> None:
    [variable] = items(at(render({"shards": 2}).container(), "env"))
    path = at(variable, "valueFrom", "fieldRef", "fieldPath")
    assert (at(variable, "name"), path) == (
        "POD_INDEX",
        "metadata.labels['apps.kubernetes.io/pod-index']",
    )


WORKLOADS: dict[str, tuple[Object, str, int]] = {
    "the default": ({}, "Deployment", 1),
    "replicas": ({"replicas": 2}, "Deployment", 2),
    "shards": ({"shards": 3}, "StatefulSet", 3),
    "a claim": ({"state": {"persistence": {"enabled": True}}}, "StatefulSet", 1),
    "a claim, but no state": (
        {"state": {"enabled": False, "persistence": {"enabled": True}}},
        "Deployment",
        1,
    ),
}


@pytest.mark.parametrize(("values", "kind", "pods"), WORKLOADS.values(), ids=WORKLOADS.keys())
def test_shards_and_claims_make_a_stateful_set(values: Object, kind: str, pods: int) -> None:
    workload = render(values).one(kind)
    assert at(workload, "spec", "replicas") == pods


def test_the_pod_and_the_test_pod_ask_for_nothing_that_restricted_forbids() -> None:
    chart = render()
    for pod in (chart.pod(), at(chart.one("Pod"), "spec")):
        assert at(pod, "securityContext", "runAsNonRoot") is True
        assert at(pod, "securityContext", "runAsUser") == 65532
        assert at(pod, "securityContext", "seccompProfile", "type") == "RuntimeDefault"
        assert at(pod, "containers", 0, "securityContext") == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_the_service_does_not_select_the_test_pod() -> None:
    chart = render()
    selected = fields(at(chart.one("Service"), "spec", "selector")).items()
    workload = chart.one("Deployment")
    assert selected <= fields(at(workload, "spec", "template", "metadata", "labels")).items()
    assert not selected <= fields(at(chart.one("Pod"), "metadata", "labels")).items()


def checksum(values: Object) -> object:
    path = ("spec", "template", "metadata", "annotations", "checksum/config")
    return at(render(values).one("Deployment"), *path)


def test_pods_roll_when_the_configuration_changes_and_only_then() -> None:
    assert checksum({"config": {"max_series": 1}}) != checksum({})
    assert checksum({"service": {"annotations": {"a": "b"}}}) == checksum({})


def test_selectors_do_not_change_with_the_version() -> None:
    selector = fields(at(render().one("Deployment"), "spec", "selector", "matchLabels"))
    assert set(selector) == {f"app.kubernetes.io/{k}" for k in ("name", "instance", "component")}


def test_labels_of_the_pod_cannot_take_it_out_of_its_selector() -> None:
    values: Object = {"podLabels": {"app.kubernetes.io/name": "other", "own": "label"}}
    labels = at(render(values).one("Deployment"), "spec", "template", "metadata", "labels")
    assert at(labels, "app.kubernetes.io/name") == "policy-report-exporter"
    assert at(labels, "own") == "label"


def test_the_configuration_file_holds_the_values() -> None:
    values: Object = {"config": {"max_series": 7, "filters": {"kinds": {"exclude": ["Pod"]}}}}
    text = at(render(values).one("ConfigMap", "exporter"), "data", "config.yaml")
    config = yaml.safe_load(str(text))
    assert (config["max_series"], config["filters"]["kinds"]) == (
        7,
        {"include": ["*"], "exclude": ["Pod"]},
    )


def test_tls_turns_probes_and_scrapes_to_https() -> None:
    chart = render({"web": {"tls": True, "existingSecret": "s"}})
    probes = [
        at(chart.container(), f"{kind}Probe") for kind in ("liveness", "readiness", "startup")
    ]
    assert [at(probe, "httpGet", "scheme") for probe in probes] == ["HTTPS"] * 3
    assert at(chart.one("ServiceMonitor"), "spec", "endpoints", 0, "scheme") == "https"


def test_another_kind_of_probe_takes_the_place_of_the_request() -> None:
    probe: Object = {"httpGet": None, "tcpSocket": {"port": "http"}}
    values: Object = {"web": {"tls": True, "existingSecret": "s"}, "readinessProbe": probe}
    rendered = at(render(values).container(), "readinessProbe")
    assert at(rendered, "httpGet") is None
    assert at(rendered, "tcpSocket", "port") == "http"


def test_liveness_does_not_ask_for_readiness() -> None:
    container = render().container()
    assert at(container, "livenessProbe", "httpGet", "path") == "/livez"
    assert at(container, "readinessProbe", "httpGet", "path") == "/readyz"


def test_no_variable_of_a_service_is_taken_for_a_flag() -> None:
    assert at(render().pod(), "enableServiceLinks") is False


IMAGES: dict[str, tuple[Object, str]] = {
    "the app's version": ({}, "ghcr.io/policy-report-exporter/policy-report-exporter:0.1.0"),
    "a tag": (
        {"image": {"tag": "main"}},
        "ghcr.io/policy-report-exporter/policy-report-exporter:main",
    ),
    "a digest over a tag": (
        {"image": {"tag": "main", "digest": "sha256:" + "0" * 64, "registry": "r"}},
        "r/policy-report-exporter/policy-report-exporter@sha256:" + "0" * 64,
    ),
    "a mirror over a registry": (
        {"global": {"imageRegistry": "mirror:5000"}, "image": {"registry": "r", "repository": "x"}},
        "mirror:5000/x:0.1.0",
    ),
}


@pytest.mark.parametrize(("values", "image"), IMAGES.values(), ids=IMAGES.keys())
def test_the_image_is(values: Object, image: str) -> None:
    chart = render(values)
    assert at(chart.container(), "image") == image
    assert at(chart.one("Pod"), "spec", "containers", 0, "image") == image


def test_a_budget_knows_unhealthy_pods_from_kubernetes_1_27_on() -> None:
    values: Object = {"replicas": 2, "podDisruptionBudget": {"enabled": True}}
    old, new = (
        at(render(values, Run(kubernetes=v)).one("PodDisruptionBudget"), "spec")
        for v in ("1.26.0", "1.27.0")
    )
    assert (at(old, "unhealthyPodEvictionPolicy"), at(new, "unhealthyPodEvictionPolicy")) == (
        None,
        "AlwaysAllow",
    )
