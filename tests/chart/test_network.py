"""Who may reach the pods, and whom they may reach."""

import pytest

from tests.chart.rendering import Object, at, fields, items, render

pytestmark = pytest.mark.tier("chart")

TESTER = {
    "app.kubernetes.io/name": "policy-report-exporter",
    "app.kubernetes.io/instance": "r",
    "app.kubernetes.io/component": "test",
}
PROMETHEUS: Object = {"matchLabels": {"app": "prometheus"}}


def rule(flavor: str, **values: Object) -> Object:
    """Return the only rule for what comes in."""
    policy: Object = {"enabled": True, "flavor": flavor, "ingress": values.pop("ingress", {})}
    kind = "CiliumNetworkPolicy" if flavor == "cilium" else "NetworkPolicy"
    [found] = items(at(render({"networkPolicy": policy, **values}).one(kind), "spec", "ingress"))
    return fields(found)


def test_without_peers_the_whole_cluster_may_come_in() -> None:
    assert "from" not in rule("kubernetes")
    # A selector of endpoints in a namespaced policy means those of its namespace.
    assert rule("cilium")["fromEntities"] == ["cluster"]


def test_helm_test_may_come_in_beside_the_peers() -> None:
    plain = rule("kubernetes", ingress={"from": [{"podSelector": PROMETHEUS}]})
    assert plain["from"] == [
        {"podSelector": PROMETHEUS},
        {"podSelector": {"matchLabels": TESTER}},
    ]
    cilium = rule("cilium", ingress={"from": [PROMETHEUS]})
    assert cilium["fromEndpoints"] == [PROMETHEUS, {"matchLabels": TESTER}]
    assert "fromEntities" not in cilium


def test_the_test_pod_has_the_labels_that_may_come_in() -> None:
    labels = fields(at(render().one("Pod"), "metadata", "labels"))
    assert TESTER.items() <= labels.items()


def test_without_a_test_nobody_else_may_come_in() -> None:
    off: Object = {"enabled": False}
    plain = rule("kubernetes", ingress={"from": [{"podSelector": PROMETHEUS}]}, tests=off)
    assert plain["from"] == [{"podSelector": PROMETHEUS}]
    cilium = rule("cilium", ingress={"from": [PROMETHEUS]}, tests=off)
    assert cilium["fromEndpoints"] == [PROMETHEUS]
