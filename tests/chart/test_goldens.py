"""What an operator applies, as text: read the difference before accepting it.

UPDATE_GOLDENS=1 writes the files anew.
"""

import os
from pathlib import Path

import pytest

from tests.chart.rendering import Object, render

pytestmark = pytest.mark.tier("chart")

GOLDEN = Path(__file__).with_name("golden")
# Rules and dashboards are compared with their sources elsewhere.
WITHOUT_RULES: Object = {"prometheusRule": {"enabled": False}}
GOLDENS: dict[str, Object] = {
    "default": {},
    "namespaced": {"namespaces": ["carts", "checkout"]},
    "shards": {"shards": 3, "state": {"persistence": {"enabled": True}}},
    "secured": {
        "web": {"existingSecret": "exporter-web", "tls": True},
        "alertmanager": {"urls": ["http://alertmanager:9093"], "existingSecret": "am"},
        "networkPolicy": {
            "enabled": True,
            "ingress": {"from": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]},
            "egress": {"extra": [{"ports": [{"port": 9093, "protocol": "TCP"}]}]},
        },
    },
    "podmonitor": {
        "serviceMonitor": {"enabled": False},
        "podMonitor": {"enabled": True},
        "replicas": 2,
        "podDisruptionBudget": {"enabled": True},
    },
}


@pytest.mark.parametrize(("name", "values"), GOLDENS.items(), ids=GOLDENS.keys())
def test_the_render_is_the_one_that_was_read(name: str, values: Object) -> None:
    file = GOLDEN / f"{name}.yaml"
    text = render({**WITHOUT_RULES, **values}).text
    if os.environ.get("UPDATE_GOLDENS") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_goldens_are_as_many_as_files() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == GOLDENS.keys()
