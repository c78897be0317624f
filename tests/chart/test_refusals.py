"""Combinations that cannot work are refused, with a text that says what to do."""

import pytest

from tests.chart.rendering import Object, RefusedError, Run, render

pytestmark = pytest.mark.tier("chart")

PERSISTENT: Object = {"persistence": {"enabled": True}}
CLAIM: Object = {"persistence": {"enabled": True, "existingClaim": "c"}}

# The values, what the text must say, and the change that makes them work.
REFUSED: dict[str, tuple[Object, str, Object]] = {
    "replicas of shards": (
        {"shards": 2, "replicas": 2},
        "install a second release",
        {"replicas": 1},
    ),
    "two writers of one checkpoint": (
        {"replicas": 2, "state": PERSISTENT},
        "a checkpoint belongs to one pod",
        {"replicas": 1},
    ),
    "one claim for two shards": (
        {"shards": 2, "state": CLAIM},
        "each pod gets its own claim",
        {"shards": 1},
    ),
    "a claim that nothing mounts": (
        {"state": {"persistence": {"existingClaim": "c"}}},
        "set but not used",
        {"state": CLAIM},
    ),
    "namespace labels without a ClusterRole": (
        {"namespaces": ["a"], "config": {"labels": {"namespace_labels": ["team"]}}},
        "can only be read with a ClusterRole",
        {"namespaces": []},
    ),
    "a ClusterRole for some namespaces": (
        {"namespaces": ["a"], "rbac": {"existingClusterRole": "x"}},
        "bound for the whole cluster",
        {"namespaces": []},
    ),
    "TLS out of nowhere": (
        {"web": {"tls": True}},
        "web.existingSecret is empty",
        {"web": {"tls": True, "existingSecret": "s"}},
    ),
    "credentials for nobody": (
        {"alertmanager": {"existingSecret": "s"}},
        "name an Alertmanager",
        {"alertmanager": {"existingSecret": "s", "urls": ["http://am"]}},
    ),
    "an Alertmanager that nothing lets the pods reach": (
        {"alertmanager": {"urls": ["http://am:9093/"]}, "networkPolicy": {"enabled": True}},
        "http://am:9093/: allow your Alertmanagers in networkPolicy.egress.extra",
        {"networkPolicy": {"enabled": True, "egress": {"extra": [{"ports": [{"port": 9093}]}]}}},
    ),
    "one of the configuration": (
        {
            "config": {"alerting": {"alertmanagers": [{"url": "http://am.example"}]}},
            "networkPolicy": {"enabled": True},
        },
        "does not allow traffic to http://am.example:",
        {"config": {"alerting": {"alertmanagers": [{"url": "https://am.example"}]}}},
    ),
    "any one behind Cilium, which lets out to the API server and not to its port": (
        {
            "alertmanager": {"urls": ["https://am"]},
            "networkPolicy": {"enabled": True, "flavor": "cilium"},
        },
        "does not allow traffic to https://am:",
        {"networkPolicy": {"enabled": True}},
    ),
    "counters that are born between two scrapes": (
        {"serviceMonitor": {"interval": "1m"}},
        "serviceMonitor.interval is 1m and config.birth_hold is only 35 seconds",
        {"config": {"birth_hold": 65}},
    ),
    "the same with an interval of two units": (
        {"serviceMonitor": {"interval": "1m30s"}, "config": {"birth_hold": 65}},
        "serviceMonitor.interval is 1m30s and config.birth_hold is only 65 seconds",
        {"config": {"birth_hold": 95}},
    ),
    "the same with whatever interval Prometheus has": (
        {"serviceMonitor": {"interval": ""}},
        "serviceMonitor.interval is empty (Prometheus' own default, up to 1m)",
        {"config": {"birth_hold": 65}},
    ),
    "a scrape that outlasts its interval": (
        {"serviceMonitor": {"scrapeTimeout": "1m"}},
        "serviceMonitor.scrapeTimeout is 1m, which is longer than serviceMonitor.interval (30s)",
        {"serviceMonitor": {"scrapeTimeout": "20s"}},
    ),
    "two scrapes": (
        {"podMonitor": {"enabled": True}},
        "scraped twice",
        {"serviceMonitor": {"enabled": False}},
    ),
    "roles for everybody": (
        {"serviceAccount": {"create": False}},
        "every pod of the namespace",
        {"rbac": {"create": False}},
    ),
    "a node that never drains": (
        {"podDisruptionBudget": {"enabled": True, "minAvailable": 1}},
        "its node could never be drained",
        {"replicas": 2},
    ),
    "dashboards by reference to nothing": (
        {"dashboards": {"enabled": False, "grafanaOperator": {"enabled": True}}},
        "Set both to true",
        {"dashboards": {"grafanaOperator": {"enabled": True}}},
    ),
    "an unknown alert switched off": (
        {"prometheusRule": {"disabled": {"PolicyNewViolations": True}}},
        "prometheusRule.disabled.PolicyNewViolations is unknown; there are Kyverno",
        {"prometheusRule": {"disabled": {"PolicyNewViolation": True}}},
    ),
    "an unknown alert changed": (
        {"prometheusRule": {"overrides": {"PolicyNewViolations": {"for": "1m"}}}},
        "prometheusRule.overrides.PolicyNewViolations is unknown",
        {"prometheusRule": {"overrides": {"PolicyNewViolation": {"for": "1m"}}}},
    ),
    "an unknown rule file": (
        {"prometheusRule": {"files": {"alert": True}}},
        "prometheusRule.files.alert is unknown; there are alerts, kyverno-webhook, recording, slo,",
        {"prometheusRule": {"files": {"alerts": True}}},
    ),
    "an unknown threshold": (
        {"prometheusRule": {"settings": {"compliance": "1"}}},
        "prometheusRule.settings.compliance is unknown; there are block_window_seconds",
        {"prometheusRule": {"settings": {"compliance_minimum": "1"}}},
    ),
    "an address that is none": (
        {"prometheusRule": {"settings": {"runbook_url": "'"}}},
        """prometheusRule.settings.runbook_url: "'" is not an address""",
        {"prometheusRule": {"settings": {"runbook_url": "https://example.org"}}},
    ),
    "a threshold that is no number": (
        {"prometheusRule": {"settings": {"compliance_minimum": "90 %"}}},
        'prometheusRule.settings.compliance_minimum: "90 %" is not a number, such as 0.8',
        {"prometheusRule": {"settings": {"compliance_minimum": 0.9}}},
    ),
    "a broken regular expression": (
        {"prometheusRule": {"settings": {"system_namespaces": "kube-(system"}}},
        '"kube-(system" is not a valid regular expression',
        {"prometheusRule": {"settings": {"system_namespaces": "kube-(system|public)"}}},
    ),
    "a backslash that PromQL does not know": (
        {"prometheusRule": {"settings": {"webhook_names": "a\\.b"}}},
        "each backslash must be doubled",
        {"prometheusRule": {"settings": {"webhook_names": "a\\\\.b"}}},
    ),
    "a quote inside an expression": (
        {"prometheusRule": {"settings": {"system_namespaces": 'a"} or vector(1) #'}}},
        "it must have no quotes",
        {"prometheusRule": {"settings": {"system_namespaces": "a"}}},
    ),
    "matchers that are none": (
        {"prometheusRule": {"settings": {"uncontrolled": "controlled"}}},
        "is not a list of PromQL matchers, such as controlled=",
        {"prometheusRule": {"settings": {"uncontrolled": 'controlled="false", kind!~"Job|Pod"'}}},
    ),
    "a broken regular expression in a matcher": (
        {"prometheusRule": {"settings": {"uncontrolled": 'kind=~"(Job"'}}},
        'not usable in PromQL: "(Job" is not a valid regular expression',
        {"prometheusRule": {"settings": {"uncontrolled": 'kind=~"(Job)"'}}},
    ),
    "matchers that end the selector": (
        {"prometheusRule": {"settings": {"uncontrolled": 'controlled="false"} or up{a="b"'}}},
        "is not a list of PromQL matchers",
        {"prometheusRule": {"settings": {"uncontrolled": ""}}},
    ),
    "a label that Prometheus does not know": (
        {"prometheusRule": {"settings": {"ownership_labels": "app.kubernetes.io/team"}}},
        "is not a list of Prometheus label names",
        {"prometheusRule": {"settings": {"ownership_labels": "team, unit"}}},
    ),
    "an unknown rule group": (
        {"prometheusRule": {"groups": {"policy": {"interval": "2m"}}}},
        "prometheusRule.groups.policy is unknown; there are",
        {"prometheusRule": {"groups": {"policy-violations": {"interval": "2m"}}}},
    ),
    "a dependency without its condition": (
        {"enabled": False},
        "add `condition: policy-report-exporter.enabled` to this dependency",
        {"enabled": True},
    ),
    "an Ingress for no host": (
        {"ingress": {"enabled": True}},
        "ingress.hosts is empty",
        {"ingress": {"enabled": True, "hosts": ["policies.example.org"]}},
    ),
    "a route through no Gateway": (
        {"httpRoute": {"enabled": True}},
        "httpRoute.parentRefs is empty",
        {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}},
    ),
    "an unknown dashboard": (
        {"dashboards": {"disabled": {"overview": True}}},
        "dashboards.disabled.overview is unknown; the dashboards are policy-enforcement,",
        {"dashboards": {"disabled": {"policy-overview": True}}},
    ),
}


@pytest.mark.parametrize(("values", "text", "cure"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_is_refused_with_its_cure(values: Object, text: str, cure: Object, helm: str) -> None:
    with pytest.raises(RefusedError) as refused:
        render(values, Run(helm=helm))
    assert text in str(refused.value)
    assert render({**values, **cure}, Run(helm=helm)).objects


def test_shards_are_refused_where_pods_do_not_know_their_ordinal() -> None:
    with pytest.raises(RefusedError, match=r"needs Kubernetes 1\.28 .* this cluster has v1\.27\.9"):
        render({"shards": 2}, Run(kubernetes="1.27.9"))
    assert render({"shards": 2}, Run(kubernetes="1.28.0")).one("StatefulSet")


def test_an_autoscaler_is_refused_where_its_api_is_missing() -> None:
    with pytest.raises(RefusedError, match="Install the autoscaler first"):
        render({"verticalPodAutoscaler": {"enabled": True}}, Run(apis=()))


def test_a_cluster_that_is_too_old_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"incompatible with Kubernetes v1\.24\.0"):
        render({}, Run(kubernetes="1.24.0"))
